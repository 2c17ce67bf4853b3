"""An event in one line for people."""

from __future__ import annotations

from deepd.model.event import told


def test_what_says_nothing_to_a_person_is_left_out() -> None:
    data = {"state": "held", "reason": "", "edited": False, "by": None, "deadline": 1.5}
    assert told(data | {"fingerprint": "f" * 64}) == "state=held"


def test_a_zero_is_said() -> None:
    assert told({"exit_code": 0}) == "exit_code=0"


def test_a_text_with_blanks_or_quotes_cannot_be_taken_for_more_facts() -> None:
    assert told({"summary": 'x" state=approved'}) == 'summary="x\\" state=approved"'


def test_a_digest_is_as_short_as_everywhere() -> None:
    assert told({"container": "0123456789ab" + "0" * 52}) == "container=0123456789ab"
