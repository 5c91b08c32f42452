"""What is declared of log events is what the program passes: the fields of every `emit` in the sources."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.intake.origin import REWOUND
from bridge.log_events import EVENTS
from bridge.telemetry import REGISTRY

ROOT = Path(__file__).parents[2]
SOURCES = [path for folder in ("bridge", "connectors") for path in sorted((ROOT / folder).rglob("*.py"))]
DOCUMENT = {"source", "tenant", "topic", "id", "lane", "seq"}
HELPERS = {
    "names": DOCUMENT,
    "_names": DOCUMENT,
    "about": {"source", "tenant", "topic", "id"},
    "_about": {"source", "tenant", "topic", "id"},
    "lost": {"position", "first", "end"},
    "fields": set(),
}
"""The fields that stand behind `**name` or `**name(...)`; the callers of `_wait` give its `**fields` by name."""
WRAPPERS = {
    "emit": (set(), None),
    "_tell_partition": ({"source", "topic", "partition"}, None),
    "_wait": ({"source", "topic", "partition", "detail"}, "record.waits"),
}
"""Functions that log: the fields that they add, and the event if they name it themselves."""
VARIABLES = {
    "origin.event": {REWOUND, "partition.placed", "partition.adopted", "partition.ahead"},
    "name": {"subscription.mended", "subscription.missing"},
    "event": set(),
}
"""Events that a call names by a variable; `event` is that of `_tell_partition`."""


def calls(tree: ast.AST) -> Iterator[tuple[set[str], set[str]]]:
    """The events that each call may log, with the fields that it passes."""
    for node in ast.walk(tree):
        called = ast.unparse(node.func).removeprefix("self.") if isinstance(node, ast.Call) else ""
        if called in WRAPPERS:
            added, event = WRAPPERS[called]
            given = {keyword.arg for keyword in node.keywords if keyword.arg}
            for keyword in node.keywords:
                if keyword.arg is None:
                    inner = keyword.value.func if isinstance(keyword.value, ast.Call) else keyword.value
                    given |= HELPERS[ast.unparse(inner).rpartition(".")[2]]
            yield {event} if event else named(node.args[0]), added | given


def named(node: ast.expr) -> set[str]:
    match node:
        case ast.Constant(value=str(name)):
            return {name}
        case ast.IfExp(body=one, orelse=other):
            return named(one) | named(other)
        case _:
            return VARIABLES[ast.unparse(node)]


PASSED: dict[str, set[str]] = {"log": {"logger", "message", "problem", "frames"}}
for source in SOURCES:
    for events, found in calls(ast.parse(source.read_text())):
        for name in events:
            PASSED.setdefault(name, set()).update(found)


@pytest.mark.parametrize("name", EVENTS)
def test_the_fields_that_are_declared_are_those_that_are_passed(name):
    assert PASSED.get(name) == {*EVENTS[name].fields}


def test_no_event_is_logged_that_is_not_declared():
    assert {*EVENTS} == {*PASSED}


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_and_field_says_its_meaning_in_a_sentence(name):
    assert [] == [
        said
        for said in (EVENTS[name].when, *EVENTS[name].fields.values())
        if not re.match("[A-Z`]", said) or not said.endswith(".")
    ]


@pytest.mark.parametrize("name", [name for name, kind in EVENTS.items() if kind.metric])
def test_the_labels_of_a_counter_are_fields_of_its_event(name):
    assert {*EVENTS[name].labels} <= {*EVENTS[name].fields}


@pytest.mark.parametrize("source", ["emit('a', x=1, **names)", "self._tell_partition('a' if b else 'c', place, x=1)"])
def test_the_fields_of_a_call_are_found(source):
    ((events, found),) = calls(ast.parse(source))
    assert "a" in events
    assert {"x", "source", "topic"} < found


PAGES = [path for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]) if path.name != "CHANGELOG.md"]
TEXTS = [*PAGES, *sorted((ROOT / "helm").rglob("*.yaml")), *sorted((ROOT / "helm").rglob("*.json"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_names_only_log_events_that_there_are(page):
    first = {name.partition(".")[0] for name in EVENTS if "." in name} - {"log", "rules", "partition"}
    found = re.findall(rf"`((?:{'|'.join(sorted(first))})\.[a-z_]+)`", page.read_text())
    assert [] == [name for name in found if name not in {*EVENTS, *OF_OTHERS} and not name.endswith(".py")]


OF_OTHERS = {"delivery.concurrency", "journal.db", "journal.keep"}
"""Names of files and keys that look like those of events."""


@pytest.mark.parametrize("page", TEXTS, ids=lambda path: path.name)
def test_a_page_names_only_metrics_that_there_are(page):
    there = {each.rpartition("_bucket")[0] or each for each in REGISTRY._names_to_collectors}
    found = re.findall(r"\bbridge_[a-z_]+[a-z]\b(?!\.| @)", page.read_text())
    assert [] == [name for name in found if name.removesuffix("_bucket") not in there]
