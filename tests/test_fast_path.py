"""The inside of aiohttp is looked for at the start; where something of it is missing, an order goes by the twins."""

import ast
import asyncio
import importlib
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import TCPConnector, client_proto, http_exceptions, http_parser, web_protocol

from bridge import fast_path
from bridge.delivery import plain_wire, wire
from bridge.intake import connections, plain_connections

TABLES = {"wire.py": (wire, fast_path.WIRE), "connections.py": (connections, fast_path.CONNECTIONS)}
OF_THE_DOOR = {"read_nowait", "total_bytes"}
"""What webhook.py asks of a body that the fast connections give it."""


def _named(inside):
    """All names that are looked for."""
    return {*inside.names, *(inside.takes or {}), *(inside.replaces or {})} - {""}


@pytest.mark.parametrize(("module", "needed"), TABLES.values(), ids=TABLES)
class TestTheListOfWhatAFastPartNeeds:
    def test_is_there(self, module, needed):
        assert [] == fast_path.missing(needed)

    def test_has_all_that_it_imports_from_the_inside(self, module, needed):
        tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
        imported = {
            f"{node.module}.{name.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aiohttp.")
            for name in node.names
        }
        assert imported <= {inside.name for inside in needed}
        assert "aiohttp" not in {
            name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
        }

    def test_has_all_private_attributes_of_aiohttp_that_it_uses(self, module, needed):
        tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
        own = {
            id(node) for each in ast.walk(tree) if _stands_alone(each) for node in ast.walk(each) if _is_of_self(node)
        }
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and id(node) not in own}
        private = {name for name in used if name.startswith("_") and not name.startswith("__")}
        classes = [_class(inside.name) for inside in needed]
        of_aiohttp = {name for name in private if any(fast_path._has(each, name) for each in classes)}
        assert of_aiohttp
        assert of_aiohttp == {name for inside in needed for name in _named(inside) if name.startswith("_")} - {
            "__call__"
        }

    def test_has_nothing_that_it_does_not_use(self, module, needed):
        tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        used |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        used |= OF_THE_DOOR
        assert set() == {name for inside in needed for name in _named(inside)} - used


def _stands_alone(node):
    return isinstance(node, ast.ClassDef) and not node.bases


def _is_of_self(node):
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def _class(name):
    module, _, own = name.rpartition(".")
    return getattr(importlib.import_module(module), own)


# -- what is missing is said, and an order goes its way ----------------------------------------------------------------


def _another_signature_of_the_wire(monkeypatch):
    original = client_proto.ResponseHandler.set_response_params

    def other(self, **params):
        return original(self, **params)

    monkeypatch.setattr(client_proto.ResponseHandler, "set_response_params", other)


def _another_signature_of_the_door(monkeypatch):
    original = web_protocol.RequestHandler.handle_error

    def other(self, request, status=500, exc=None, message=None, more=None):
        return original(self, request, status, exc, message)

    monkeypatch.setattr(web_protocol.RequestHandler, "handle_error", other)


def _another_way_of_the_bytes(monkeypatch):
    """As where they would not come by data_received any more."""
    monkeypatch.setattr(wire._Protocol, "data_received", client_proto.ResponseHandler.data_received)


def _another_factory(monkeypatch):
    """As where the pool would make its connections in another way."""
    connect = TCPConnector.connect

    async def other(self, req, traces, timeout):  # noqa: ASYNC109  aiohttp's signature
        if getattr(self._factory, "func", None) is wire._Protocol:
            self._factory = lambda: client_proto.ResponseHandler(loop=asyncio.get_running_loop())
        return await connect(self, req, traces, timeout)

    monkeypatch.setattr(TCPConnector, "connect", other)


def _another_parser(monkeypatch):
    """As where a request would be told otherwise."""
    monkeypatch.setattr(connections, "RawRequestMessage", http_parser.RawResponseMessage)


BROKEN = {
    "delivery, a class is gone": (
        "delivery",
        lambda patch: patch.delattr(http_parser, "RawResponseMessage"),
        "no aiohttp.http_parser.RawResponseMessage",
    ),
    "delivery, another signature": (
        "delivery",
        _another_signature_of_the_wire,
        "aiohttp.client_proto.ResponseHandler.set_response_params takes no read_until_eof",
    ),
    "delivery, the bytes come otherwise": ("delivery", _another_way_of_the_bytes, "its trial failed"),
    "delivery, connections are made otherwise": ("delivery", _another_factory, "its trial failed"),
    "door, a class is gone": (
        "door",
        lambda patch: patch.delattr(http_exceptions, "LineTooLong"),
        "no aiohttp.http_exceptions.LineTooLong",
    ),
    "door, another signature": (
        "door",
        _another_signature_of_the_door,
        "aiohttp.web_protocol.RequestHandler.handle_error takes self, request, status, exc, message, more",
    ),
    "door, requests come otherwise": ("door", _another_parser, "requests came otherwise"),
}


@pytest.fixture
def twins(monkeypatch):
    """Which twins were opened."""
    found = []
    for name, module, entry in (("delivery", plain_wire, "opened"), ("door", plain_connections, "listening")):
        original = getattr(module, entry)

        def noted(*given, name=name, original=original, **more):
            found.append(name)
            return original(*given, **more)

        monkeypatch.setattr(module, entry, noted)
    return found


@pytest.fixture
def untried(monkeypatch):
    """No fast part was tried in this process."""
    monkeypatch.setattr(fast_path, "_tried", set())


@pytest.mark.usefixtures("untried")
@pytest.mark.parametrize(("part", "broken", "said"), BROKEN.values(), ids=BROKEN)
async def test_where_a_fast_part_does_not_fit_it_is_said_and_an_order_goes_by_the_twin(
    running, order, twins, log, monkeypatch, part, broken, said
):
    broken(monkeypatch)
    number, body = order()
    async with running() as bridge:
        assert (200, "") == await bridge.post(body)
        await bridge.settled(number)
        assert ["order.placed", "order.confirmed"] == await bridge.actions()
    (line,) = [line for line in log() if line["event"] == "fast_path.missing"]
    assert ("warning", part) == (line["level"], line["part"])
    assert said in line["detail"]
    assert {part} == {*twins} - {"delivery" if part == "door" else ""}


@pytest.mark.usefixtures("untried")
async def test_where_all_is_there_the_fast_parts_are_used_and_nothing_is_said(running, order, twins, log):
    number, body = order()
    async with running() as bridge:
        assert (200, "") == await bridge.post(body)
        await bridge.settled(number)
    assert "door" not in twins
    assert [] == [line for line in log() if line["event"] in ("fast_path.missing", "log")]


async def test_the_twins_may_be_chosen_by_hand(running, settings_for, sandbox, order, twins, log):
    settings = settings_for(sandbox)
    by_hand = {"fast": False}
    number, body = order()
    chosen = replace(
        settings, door=settings.door.model_copy(update=by_hand), delivery=settings.delivery.model_copy(update=by_hand)
    )
    async with running(chosen) as bridge:
        assert (200, "") == await bridge.post(body)
        await bridge.settled(number)
    assert {"delivery", "door"} == {*twins}
    assert [] == [line for line in log() if line["event"] == "fast_path.missing"]


def test_a_proxy_of_the_environment_is_not_asked_in_the_trial(monkeypatch):
    monkeypatch.setattr(fast_path, "_tried", set())
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert wire.opened is asyncio.run(fast_path.wire(wanted=True))
