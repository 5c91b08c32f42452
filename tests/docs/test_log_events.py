"""What is declared of log events is what the program passes: the fields of every `emit` in the sources."""

import ast
import re
from pathlib import Path

import pytest

from bridge.intake.origin import REWOUND
from bridge.log_events import EVENTS
from bridge.telemetry import REGISTRY

ROOT = Path(__file__).parents[2]
SOURCES = [path for folder in ("bridge", "connectors") for path in sorted((ROOT / folder).rglob("*.py"))]
PLACED = {REWOUND, "partition.placed", "partition.adopted", "partition.ahead"}
"""Events that a call takes from an attribute: those of an Origin."""


class Calls:
    """The calls in some sources that log an event, with the fields that they pass.

    A function with `**fields` that passes them on to `emit` logs too: its callers are looked at. What stands behind
    `**name` is found where the name is assigned, or in the function that makes it.
    """

    def __init__(self, *trees):
        functions = [
            node
            for tree in trees
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        self._functions = functions
        self._wrappers = {"emit": (None, set())}
        self._trees = trees
        while more := [each for each in functions if each.name not in self._wrappers and self._passed_on(each)]:
            for each in more:
                call = self._passed_on(each)
                event, fields = self._wrappers[name_of(call.func)]
                parameters = [argument.arg for argument in each.args.args]
                is_given = isinstance(call.args[0], ast.Name) and call.args[0].id in parameters
                event = event or (None if is_given else self._events(call.args[0], each))
                added = {keyword.arg for keyword in call.keywords if keyword.arg}
                self._wrappers[each.name] = (event, fields | added)

    def _passed_on(self, function):
        """The call by which it passes its `**fields` on."""
        return next(
            (
                node
                for node in ast.walk(function)
                if function.args.kwarg and isinstance(node, ast.Call) and name_of(node.func) in self._wrappers
                for keyword in node.keywords
                if keyword.arg is None and ast.unparse(keyword.value) == function.args.kwarg.arg
            ),
            None,
        )

    def __iter__(self):
        for tree in self._trees:
            for function in ast.walk(tree):
                if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    passed_on = self._passed_on(function)
                    for node in ast.walk(function):
                        is_call = isinstance(node, ast.Call) and name_of(node.func) in self._wrappers
                        if is_call and node is not passed_on and node.args:
                            yield self._read(node, function)

    def _read(self, call, function):
        event, fields = self._wrappers[name_of(call.func)]
        for keyword in call.keywords:
            fields = fields | ({keyword.arg} if keyword.arg else self._keys(keyword.value, function))
        return event or self._events(call.args[0], function), fields

    def _events(self, node, function):
        match node:
            case ast.Constant(value=str(name)):
                return {name}
            case ast.IfExp(body=one, orelse=other):
                return self._events(one, function) | self._events(other, function)
            case ast.Attribute(attr="event"):
                return PLACED
            case _:
                return self._events(assigned(ast.unparse(node), function), function)

    def _maker(self, called, function):
        """The function that makes a mapping: one of the same module, or any that returns one written out."""
        own = next(tree.body for tree in self._trees if function in ast.walk(tree))
        for each in own if isinstance(called, ast.Name) else self._functions:
            if isinstance(each, ast.FunctionDef) and each.name == name_of(called):
                (returned,) = [one.value for one in ast.walk(each) if isinstance(one, ast.Return)]
                if isinstance(called, ast.Name) or isinstance(returned, ast.Dict):
                    return each, returned
        raise AssertionError(f"nothing is found that {ast.unparse(called)} returns")

    def _keys(self, node, function):
        """The keys of a mapping."""
        match node:
            case ast.Dict(keys=keys):
                return {key.value for key in keys}
            case ast.Call(func=called):
                made, returned = self._maker(called, function)
                return self._keys(returned, made)
            case _:
                return self._keys(assigned(ast.unparse(node), function), function)


def name_of(called):
    return ast.unparse(called).rpartition(".")[2]


def assigned(name, function):
    """What a name in a function is assigned."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            pairs = zip(target.elts, value.elts, strict=True) if isinstance(value, ast.Tuple) else [(target, value)]
            for one, given in pairs:
                if ast.unparse(one) == name:
                    return given
    raise AssertionError(f"{function.name} says nowhere what {name} is: write it in a way that this test understands")


PASSED: dict[str, set[str]] = {"log": {"logger", "message", "problem", "frames"}}
for events, found in Calls(*(ast.parse(source.read_text()) for source in SOURCES)):
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


SHOWN = """
def names(self):
    return {"source": self.source}

class Some:
    def _say(self, event, **fields):
        emit(event, topic=1, **fields)

    def told(self):
        about = self.names()
        name = "a" if self else "b"
        self._say(name, x=1, **about)
        emit("c")
"""


def test_the_fields_of_a_call_are_found():
    assert [({"a", "b"}, {"source", "topic", "x"}), ({"c"}, set())] == list(Calls(ast.parse(SHOWN)))


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
