"""What the values of a profile must be to each other."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from deepd.config.document import Document
from deepd.config.policy import policy_problems
from deepd.config.problem import Problem, file_problem
from deepd.config.shape import ProfileFile
from deepd.config.toml_positions import Path
from deepd.model.duration import render_duration, render_size
from deepd.model.profile import Limits


def check_rules(shape: ProfileFile, document: Document) -> Iterator[Problem]:
    """Yield each pair of values that cannot both hold."""
    yield from _image_or_build(document)
    yield from _twice(shape.sessions, ("sessions",), document)
    yield from _twice(shape.secrets, ("secrets",), document)
    yield from _twice(shape.security.cap_add, ("security", "cap_add"), document)
    yield from _twice(shape.approvals.remember, ("approvals", "remember"), document)
    if isinstance(shape.interrupt_on, list):
        yield from _twice(shape.interrupt_on, ("interrupt_on",), document)
    yield from policy_problems(shape, document)
    for number, name in enumerate(shape.secrets):
        if name in shape.env:
            path = ("secrets", number)
            yield document.value_problem(path, f"`{name}` is in `env` and in `secrets`")
    yield from _limits(shape, document)


def read_limits(shape: ProfileFile) -> Limits:
    """Return the limits; a default gives way to the limit above it that was written."""
    table = shape.limits
    given = table.model_fields_set
    timeout = table.timeout if "timeout" in given else min(table.timeout, table.max_timeout)
    output = table.output if "output" in given else min(table.output, table.output_kill)
    return Limits(
        memory=table.memory,
        cpus=table.cpus,
        pids=table.pids,
        timeout=timeout,
        max_timeout=table.max_timeout,
        output=output,
        output_kill=table.output_kill,
    )


def _image_or_build(document: Document) -> Iterator[Problem]:
    given = {"image", "build"} & document.values.keys()
    if not given and document.values.get("engine") != "local":
        yield file_problem(
            document.source.file,
            "there is neither `image` nor `[build]`",
            'begin with image = "python:3.12-slim"',
        )
    if len(given) == 2:
        yield document.key_problem(
            ("build",), "there are both `image` and `[build]`", "leave one of them out"
        )


def _twice(items: Sequence[Hashable], path: Path, document: Document) -> Iterator[Problem]:
    for number, item in enumerate(items):
        if item in items[:number]:
            yield document.value_problem((*path, number), f"`{item}` is in the array twice")


def _limits(shape: ProfileFile, document: Document) -> Iterator[Problem]:
    limits = read_limits(shape)
    if limits.timeout > limits.max_timeout:
        yield document.value_problem(
            ("limits", "timeout"),
            "`limits.timeout` is longer than `limits.max_timeout`",
            f"which is {render_duration(limits.max_timeout)}",
        )
    if limits.output > limits.output_kill:
        yield document.value_problem(
            ("limits", "output"),
            "`limits.output` is more than `limits.output_kill`",
            f"which is {render_size(limits.output_kill)}",
        )
    if limits.memory < 6 << 20:
        yield document.value_problem(
            ("limits", "memory"), "`limits.memory` is less than engines take", "6m is the least"
        )
