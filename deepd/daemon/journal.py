"""Journal: every step of a call's life as one transaction of its row, its event and its audit."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from deepd.daemon.attachment import Live
from deepd.daemon.collect import Collector
from deepd.daemon.events import EventBus
from deepd.daemon.outcome import Outcome
from deepd.model.body import Body
from deepd.model.call import TERMINAL, Call, CallState
from deepd.model.ids import CallId
from deepd.store.store import Store
from deepd.store.text import to_sorted_text

_ARGS_IN_AUDIT = 4096
"""Longer arguments are in the trail by their hash only."""
_SUMMARY = 200
_ENDED = ("reason", "exit_code", "result", "ended_at", "output_size", "truncated")


class Journal:
    """Writes what happens to calls; knows nothing of tasks and streams."""

    def __init__(self, store: Store, bus: EventBus, clock: Callable[[], float] = time.time) -> None:
        self.store = store
        self._bus = bus
        self.clock = clock

    def receive(self, call: Call, body: Body | None, *, durable: bool = False) -> None:
        """Store a new call in its first state, with its body."""
        with self.store.write(durable=durable):
            self.store.insert_call(call)
            if body is not None and call.state not in TERMINAL:
                self.store.put_body(call.id, body, durable=durable)
            if call.state is CallState.SENT:
                self._tell_sent(call)
                return
            self._publish("call_received", call, state=call.state)
            if call.state is CallState.DENIED:
                self._publish("call_denied", call, rule=call.rule, reason=call.reason)
            if call.state in TERMINAL:
                self._audit("call_ended", call, {"state": call.state, "rule": call.rule})

    def send(self, call: Call, live: Live, rule: str, grant: str = "") -> Call | None:
        """Note that a call is about to be sent, to which container; `None`: it moved elsewhere."""
        sent: dict[str, Any] = {
            "rule": rule,
            "grant": grant,
            "container": live.container,
            "boot": live.guest.info.boot,
            "started_at": self.clock(),
        }
        with self.store.write():
            if call.state is CallState.APPROVED and not self._move(call, CallState.ADMITTED):
                return None
            if not self.store.move(call.id, CallState.ADMITTED, CallState.SENT, **sent):
                return None
            call = replace(call, state=CallState.SENT, **sent)
            self._tell_sent(call)
        return call

    def run(self, call_id: CallId) -> None:
        """Note that a sent call has been running for a while."""
        self.store.move(call_id, CallState.SENT, CallState.RUNNING)

    def ended(self, call: Call, outcome: Outcome, collector: Collector | None) -> Call:
        """Return what an open call is when it ends so; nothing is stored."""
        state, reason = _end_of(call, outcome)
        size, truncated = call.output_size, call.truncated
        if collector is not None:
            size = collector.received if outcome.output_size is None else outcome.output_size
            truncated = collector.truncated
        return replace(
            call,
            state=state,
            reason=reason,
            exit_code=outcome.exit_code,
            result=outcome.result,
            ended_at=self.clock(),
            output_size=size,
            truncated=truncated,
        )

    def end(self, was: Call, call: Call, collector: Collector | None) -> Call | None:
        """Store the end of an open call with all that came of it; `None`: it moved elsewhere."""
        ended = {name: getattr(call, name) for name in _ENDED}
        with self.store.write():
            if was.state is CallState.APPROVED and call.state is CallState.FINISHED:
                self._move(was, CallState.ADMITTED)
                was = replace(was, state=CallState.ADMITTED)
            if not self.store.move(call.id, was.state, call.state, **ended):
                return None
            if collector is not None:
                collector.store_kept()
            if call.body_sha256:
                self.store.drop_body(call.id)
            facts = {"state": call.state, "exit_code": call.exit_code, "reason": call.reason}
            self._publish("call_finished", call, **facts)
            self._audit("call_ended", call, facts)
        return call

    def deny(self, call: Call, rule: str, reason: str) -> Call | None:
        """Deny a call that was on its way: the policy changed under it."""
        ended: dict[str, Any] = {"rule": rule, "reason": reason, "ended_at": self.clock()}
        with self.store.write():
            if not self.store.move(call.id, call.state, CallState.DENIED, **ended):
                return None
            call = replace(call, state=CallState.DENIED, **ended)
            self.told_denied(call)
            self.store.drop_body(call.id)
        return call

    def told_denied(self, call: Call) -> None:
        """Publish and audit the end of a call without running."""
        facts = {"state": call.state, "rule": call.rule, "reason": call.reason}
        never_ran = call.state in {CallState.DENIED, CallState.EXPIRED}
        self._publish("call_denied" if never_ran else "call_finished", call, **facts)
        self._audit("call_ended", call, facts)

    def ask_to_cancel(self, call: Call, reason: str) -> None:
        """Note that a call shall be cancelled, wherever it is, also after a restart."""
        self.store.change_call(call.id, call.state, cancel_reason=reason)

    def _move(self, call: Call, to: CallState) -> bool:
        return self.store.move(call.id, call.state, to)

    def _tell_sent(self, call: Call) -> None:
        granted = {"rule": call.rule, "grant": call.grant} if call.grant else {}
        self._publish("call_started", call, container=call.container, **granted)
        facts = {"rule": call.rule, "container": call.container, "boot": call.boot} | granted
        self._audit("call_sent", call, facts | args_for_audit(call.args))

    def _publish(self, kind: Any, call: Call, **data: Any) -> None:
        facts = {"tool": call.tool, "summary": summary(call.args), "client": call.client}
        self._bus.publish(kind, session=call.session, call=call.id, **facts, **data)

    def _audit(self, kind: str, call: Call, facts: dict[str, Any]) -> None:
        who = {"session": call.session, "tool": call.tool, "client": call.client, "uid": call.uid}
        self.store.append_audit(self.clock(), kind, call.id, who | facts)


def _end_of(call: Call, outcome: Outcome) -> tuple[CallState, str]:
    """Return the end that an outcome is to a call, by how far the call had come."""
    state, reason = outcome.state, outcome.reason or call.reason
    if state is CallState.LOST and call.state not in {CallState.SENT, CallState.RUNNING}:
        state = CallState.FAILED
    elif state is CallState.LOST and call.cancel_reason:
        # What was to be killed is gone with its container.
        state = CallState.CANCELLED
    elif state is CallState.FAILED and call.state is CallState.RUNNING:
        state = CallState.LOST
    if state is CallState.CANCELLED:
        reason = call.cancel_reason or reason
    return state, reason


def args_for_audit(args: dict[str, Any]) -> dict[str, Any]:
    """Return a call's arguments for the trail: whole when short, and their hash."""
    text = to_sorted_text(args)
    digest = {"args_sha256": hashlib.sha256(text.encode()).hexdigest()}
    return digest | {"args": args} if len(text) <= _ARGS_IN_AUDIT else digest


def summary(args: dict[str, Any]) -> str:
    """Return the one argument that says most, cut short; for lists, never for a decision."""
    for name in ("command", "path", "pattern"):
        if isinstance(value := args.get(name), str):
            return value[:_SUMMARY]
    argv = args.get("argv")
    return " ".join(map(str, argv))[:_SUMMARY] if isinstance(argv, list) else ""
