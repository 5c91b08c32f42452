"""docs/log-events.md from the closed list of log events."""

from collections.abc import Mapping

from bridge.log_events import EVENTS, FIELDS, Kind

_TOP = """# Log events

`make docs` makes this page from the program.

The bridge logs events to stderr, one on a line.
Their names never change with the text of a message, so you can search for them.
At a terminal a line is text; elsewhere it is JSON ([settings.md](settings.md#logs)).
Each line has these fields first:

| Field | Meaning |
| --- | --- |
| `at` | time, with its zone |
| `level` | `debug`, `info`, `warning` or `error` |
| `event` | name of the event, as on this page |

A field without a value is `null` in JSON, and left out at a terminal.
Nothing personal and no secret is ever a field.
Many events are counted too, whatever `logs: {level: ...}` says: [metrics.md](metrics.md).

## Every event

| Event | Level | When | Fields | Counted in |
| --- | --- | --- | --- | --- |
"""
_FIELDS = """
## What the fields mean

If an event is named, the field has this meaning there.

| Field | Meaning |
| --- | --- |
"""


def page() -> str:
    rows = "\n".join(_row(name, kind) for name, kind in EVENTS.items())
    fields = "\n".join(f"| `{name}` | {' '.join(said)} |" for name, said in sorted(_meanings().items()))
    return f"{_TOP}{rows}\n{_FIELDS}{fields}\n"


def _row(name: str, kind: Kind) -> str:
    metric = f"`bridge_{kind.metric}_total`" if kind.metric else ""
    fields = ", ".join(f"`{field}`" for field in kind.fields)
    return f"| `{name}` | {kind.level} | {kind.when} | {fields} | {metric} |"


def _meanings() -> Mapping[str, list[str]]:
    """For each field what it usually means, then what it means in events that say so."""
    found: dict[str, dict[str, list[str]]] = {}
    for event, kind in EVENTS.items():
        for name, meaning in kind.fields.items():
            found.setdefault(name, {}).setdefault(meaning, []).append(event)
    return {
        name: [_said(name, meaning, events) for meaning, events in _usual_first(name, all_of)]
        for name, all_of in found.items()
    }


def _usual_first(name: str, meanings: Mapping[str, list[str]]) -> list[tuple[str, list[str]]]:
    return sorted(meanings.items(), key=lambda each: each[0] != FIELDS.get(name))


def _said(name: str, meaning: str, events: list[str]) -> str:
    if meaning == FIELDS.get(name):
        return meaning
    return f"{', '.join(f'`{event}`' for event in events)}: {meaning[:1].lower()}{meaning[1:]}"
