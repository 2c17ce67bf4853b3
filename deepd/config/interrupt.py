"""`interrupt_on` in all its forms, to one policy for each tool that it names."""

from __future__ import annotations

from collections.abc import Iterator

from deepd.config.document import Document
from deepd.config.shape import InterruptOn, RuleEntry, RuleTable, ToolEntry, ToolTable
from deepd.config.validation import dotted
from deepd.model.profile import Answer, Rule, ToolPolicy

_KEY = "interrupt_on"


def read_interrupt_on(value: InterruptOn, document: Document) -> tuple[ToolPolicy, ...]:
    """Return the policies by tool: what means the same is the same, however it is written."""
    match value:
        case False:
            policies = []
        case True:
            policies = [
                ToolPolicy("*", "ask", position=document.at((_KEY,)), written=f"{_KEY} = true")
            ]
        case list():
            policies = [_listed(tool, number, document) for number, tool in enumerate(value)]
        case _:
            policies = [_keyed(tool, entry, document) for tool, entry in value.items()]
    by_tool = {policy.tool: policy for policy in reversed(policies)}
    return tuple(by_tool[tool] for tool in sorted(by_tool))


def _listed(tool: str, number: int, document: Document) -> ToolPolicy:
    position = document.at_value((_KEY, number))
    return ToolPolicy(tool, "ask", position=position, written=f'{_KEY} = ["{tool}"]')


def _keyed(tool: str, entry: ToolEntry, document: Document) -> ToolPolicy:
    path = (_KEY, tool)
    position = document.at(path)
    match entry:
        case bool():
            answer: Answer = "ask" if entry else "allow"
            written = f"{dotted(path)} = {str(entry).lower()}"
        case ToolTable():
            answer = entry.default
            written = f'{dotted((*path, "default"))} = "{answer}"'
            position = document.at((*path, "default"))
        case _:
            answer = entry
            written = f'{dotted(path)} = "{answer}"'
    if not isinstance(entry, ToolTable):
        return ToolPolicy(tool, answer, position=position, written=written)
    rules = tuple(_rules(tool, entry, document))
    return ToolPolicy(tool, answer, rules, entry.timeout, position, written)


def _rules(tool: str, table: ToolTable, document: Document) -> Iterator[Rule]:
    """Yield the rules of a tool, the strongest first; their order means nothing."""
    lists: tuple[tuple[Answer, list[RuleEntry]], ...] = (
        ("deny", table.deny),
        ("ask", table.ask),
        ("allow", table.allow),
    )
    for answer, entries in lists:
        for number, entry in enumerate(entries):
            path = (_KEY, tool, answer)
            rule = entry if isinstance(entry, RuleTable) else RuleTable.model_construct(match=entry)
            said = f'{{path = "{rule.path}"}}' if rule.path else f'"{rule.match}"'
            yield Rule(
                answer,
                match=rule.match or "",
                path=rule.path or "",
                reason=rule.reason or "",
                position=document.at_value((*path, number)),
                written=f"{dotted(path)} = [{said}]",
            )
