"""`status`: one screen that says whether all is well, beside a running bridge and on a stopped one."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from aiohttp import web

from bridge.config import read_file
from bridge.journal import Hold, Levels, sqlite
from bridge.views.live import Destination, Door, Live, Partition, Rules, StreamState
from bridge.views.overview import Recorded, lines_of
from tests.conftest import CONFIG

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOTHING = Levels(waiting={}, overdue={}, held=frozenset(), parked={}, free=5 * 10**9)
QUIET = Recorded(levels=NOTHING, holds=(), parked=(), outages={}, reconciled=())


def _live(**changes):
    given = {
        "version": "1",
        "journal": "/j",
        "door": Door(open=True, refuses=None),
        "rules": Rules(generation=1, digest="d", since=None, refused=""),
        "destinations": [],
        "streams": [],
    }
    return Live(**{**given, **changes})


def _destination(**changes):
    given = {"mode": "live", "state": "well", "reason": "", "since": None, "in_flight": 0, "asked_again_in_s": 0.0}
    return Destination(name="api", **{**given, **changes})


def _needing(live, found=QUIET):
    """The lines that are not well."""
    return [(line.section, line.subject, line.text) for line in lines_of(found, live, journal="j") if not line.is_well]


async def test_all_is_well_beside_a_bridge_that_is(running, typed_beside, order, tmp_path):
    number, body = order()
    async with running() as bridge:
        await bridge.post(body)
        await bridge.settled(number)
        told = await typed_beside("status", "--journal", tmp_path / "journal.db", "--private", bridge.private)
        as_json = await typed_beside("status", "--json", "--journal", "journal.db", "--private", bridge.private)
    assert 0 == told.exit_code, told.output
    assert told.output.endswith("all is well\n")
    for part in (r"bridge +running +version \d", r"door +open", r"rules +generation 1", r"GB free",
                 r"hellotext +well +live; nothing waits", r"held rules +none", r"parked +none"):  # fmt: skip
        assert re.search(part, told.output), (part, told.output)
    assert all(len(line) <= 80 for line in told.output.splitlines())
    assert "\x1b" not in told.output
    found = json.loads(as_json.output)
    assert (0, True, []) == (as_json.exit_code, found["well"], found["problems"])
    assert {"name": "hellotext", "mode": "live", "state": "well"}.items() <= found["bridge"]["destinations"][0].items()


def test_a_destination_that_does_not_answer_needs_a_person_once_orders_are_late():
    def needing(state, late):
        levels = replace(NOTHING, waiting={"api": 3}, overdue={"api": late})
        return [
            subject
            for _, subject, _ in _needing(
                _live(destinations=[_destination(state=state)]), replace(QUIET, levels=levels)
            )
        ]

    assert [] == needing("suspicious", 59.0)
    assert ["suspicious"] == needing("suspicious", 61.0)
    assert [] == needing("resting", 600.0)
    assert ["well"] == needing("well", 901.0)


def test_a_bridge_without_webhooks_has_no_open_door():
    live = _live(door=Door(open=True, refuses=None, takes_webhooks=False))
    (door,) = [line for line in lines_of(QUIET, live, journal="j") if line.section == "door"]
    assert ("closed", "no source takes webhooks", True) == (door.subject, door.text, door.is_well)


async def test_what_needs_a_person_is_named_with_its_cure(running, typed_beside, order, tmp_path):
    where = ("--journal", tmp_path / "journal.db")
    number, body = order()
    async with running() as bridge:
        await bridge.fail(status=422, path="/v1/attribution/events")
        await bridge.post(body)
        await bridge.settled(number)
        told = await typed_beside("status", *where, "--private", bridge.private)
    assert 1 == told.exit_code
    said = " ".join(told.output.split())
    assert re.search(r"! parked 1 dead hellotext, confirmed: refused, since 20[0-9: -]+; `dead list`, then", said), said
    assert told.output.endswith("2 of these need you\n")


async def test_a_stopped_bridge_is_not_well_and_its_journal_still_tells(typed_beside, tmp_path):
    path = tmp_path / "journal.db"
    async with sqlite.opened(path, destinations=("api",)) as journal:
        await journal.hold(Hold(dest="api", rule="placed", digest="d", since=NOW, detail="422 \x1b[2J [bold]no"))
        await journal.remember("destination:api", '{"state":"paused","since":"2026-11-20T12:00:00Z","reason":"401"}')
        await journal.begin_job("turn:reconcile:shop:a.example", every=NOW - NOW, now=NOW)
        await journal.remember("reconciled:shop:a.example", "2026-11-20T11:59:00+00:00")
    told = await typed_beside("status", "--journal", path, "--private", "http://127.0.0.1:1")
    as_json = await typed_beside("status", "--json", "--journal", path, "--private", "http://127.0.0.1:1")
    said = " ".join(told.output.split())
    assert (1, 1) == (told.exit_code, as_json.exit_code)
    assert "bridge stopped nothing answers at http://127.0.0.1:1; start it" in said
    assert "api paused since 2026-11-20 12:00:00: 401; nothing waits" in said
    assert "held rules placed api, since 2026-11-20 12:00:00: 422 \ufffd[2J [bold]no; `dead release api placed`" in said
    assert "a.example: last run 2026-11-20 12:00:00, compared up to 2026-11-20 11:59:00" in said
    assert said.endswith("3 of these need you")
    found = json.loads(as_json.output)
    assert (False, None, "paused") == (found["well"], found["bridge"], found["outages"]["api"]["state"])


async def test_a_journal_in_postgres_tells_the_same(
    running, typed_beside, order, tmp_path, postgres_place, monkeypatch
):
    monkeypatch.setenv("DATABASE", postgres_place.dsn)
    journal = f'journal: {{kind: postgres, url: env:DATABASE, schema: "{postgres_place.schema}", poll: 500ms}}\n'
    text = CONFIG.format(url="http://127.0.0.1:1", mode="shadow", path="")
    text = "\n".join(journal if line.startswith("journal:") else line for line in text.splitlines())
    (tmp_path / "bridge.yaml").write_text(text)
    number, body = order()
    async with running(read_file(tmp_path / "bridge.yaml")) as bridge:
        await bridge.post(body)
        await bridge.settled(number)
        told = await typed_beside("status", "--json", "--private", bridge.private)
        listed = await typed_beside("orders", "list", "--state", "shadowed", "--until", "0h", "--json")
    found = json.loads(told.output)
    assert (0, True, "shadow") == (told.exit_code, found["well"], found["bridge"]["destinations"][0]["mode"])
    assert [number] == [order["order"] for order in json.loads(listed.output)["orders"]]


async def test_a_bridge_with_another_journal_is_not_the_one_that_is_meant(running, typed_beside, tmp_path):
    async with sqlite.opened(tmp_path / "other.db", destinations=()):
        pass
    async with running() as bridge:
        told = await typed_beside("status", "--journal", tmp_path / "other.db", "--private", bridge.private)
    assert 1 == told.exit_code
    assert "works with another journal" in told.output


@pytest.mark.parametrize("answer", ['{"status": "fine"}', "hello", "[]"])
async def test_what_is_no_bridge_is_not_taken_for_one(typed_beside, tmp_path, answer, aiohttp_serving):
    async with sqlite.opened(tmp_path / "journal.db", destinations=()):
        pass
    url = await aiohttp_serving(lambda _request: web.Response(text=answer))
    told = await typed_beside("status", "--journal", tmp_path / "journal.db", "--private", url)
    assert 1 == told.exit_code
    assert "is no bridge of this version (200)" in " ".join(told.output.split())


@pytest.fixture
async def aiohttp_serving():
    """Serves one answer at every path, on a port of its own; gives its address."""
    runners = []

    async def serve(handler):
        app = web.Application()
        app.router.add_get("/{path:.*}", _awaited(handler))
        runners.append(web.AppRunner(app))
        await runners[-1].setup()
        site = web.TCPSite(runners[-1], "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runners[-1].addresses[0][1]}"

    yield serve
    for runner in runners:
        await runner.cleanup()


def _awaited(handler):
    async def answered(request):
        return handler(request)

    return answered


@pytest.mark.parametrize(
    ("state", "needs"), [("well", 0), ("suspicious", 0), ("resting", 0), ("down", 1), ("paused", 1)]
)
def test_a_destination_needs_a_person_if_it_takes_nothing(state, needs):
    assert needs == len(_needing(_live(destinations=[_destination(state=state, reason="why", since=NOW)])))


def test_a_partition_that_stopped_a_door_that_refuses_and_rules_that_were_refused_need_a_person():
    partitions = [
        Partition(topic="orders", partition=0, lag=3, state="reading"),
        Partition(topic="orders", partition=1, lag=None, state="stopped: offset 7 is gone"),
    ]
    live = _live(
        door=Door(open=True, refuses="the disk is full"),
        rules=Rules(generation=2, digest="d", since=NOW, refused="bridge.yaml:3: no"),
        streams=[StreamState(name="events", state="reading", partitions=partitions)],
    )
    assert [
        ("door", "open", "the disk is full"),
        ("rules", "generation 2", "d, since 2026-11-20 12:00:00; a change was refused: bridge.yaml:3: no; ask `check`"),
        ("events", "stopped", "orders/1: offset 7 is gone"),
    ] == _needing(live)
    shown = [line.text for line in lines_of(QUIET, live, journal="j") if line.subject == "reading"]
    assert ["2 partitions, 3 records behind"] == shown


def test_what_waits_is_told_with_its_age():
    levels = Levels(waiting={"api": 2}, overdue={"api": 7200.0}, held=frozenset(), parked={}, free=None)
    found = Recorded(levels=levels, holds=(), parked=(), outages={}, reconciled=())
    (line,) = [line for line in lines_of(found, _live(destinations=[_destination()]), journal="j") if line[0] == "api"]
    assert "live; 2 orders wait, the oldest overdue for 2 h" == line.text
    (line,) = [line for line in lines_of(found, "nothing answers", journal="j") if line[0] == "api"]
    assert ("-", "2 orders wait, the oldest overdue for 2 h") == (line.subject, line.text)


def test_the_private_port_is_taken_from_the_configuration(configured, tmp_path):
    text = (tmp_path / "bridge.yaml").read_text()
    (tmp_path / "bridge.yaml").write_text(text + "private: {host: '::', port: 1}\njournal: {path: journal.db}\n")
    configured("journal", "init")
    told = configured("status")
    assert "nothing answers at http://[::1]:1;" in " ".join(told.output.split())
