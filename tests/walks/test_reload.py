"""Rules that change while the bridge runs: taken over whole, or refused loudly with the old ones in force."""

import asyncio
import functools
import gc
import json
import os
import signal
import sqlite3
from contextlib import asynccontextmanager, closing, contextmanager, nullcontext

import aiohttp
import pytest

from bridge import reload
from bridge.config import read_file
from bridge.contract import State
from bridge.journal import Selection
from tests.conftest import CONFIG
from tests.walks.processes import ShopProcess

OFF = "rules: {confirmed: false, cancelled: false}\n"
RENAMED = "rules: {confirmed: false, cancelled: false, placed: {fact: order.made, formerly: order.placed}}\n"


@pytest.fixture
def written(sandbox, tmp_path, environ, monkeypatch):
    """Writes the configuration as a ConfigMap does: a folder of its own, and a symlink that is swapped."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(reload, "LOOK_EVERY", 0.05)
    text = CONFIG.format(url=sandbox, mode="live", path=tmp_path / "journal.db")
    mount = tmp_path / "config"
    mount.mkdir()
    versions = iter(range(1000))

    def write(more="", *, base=text):
        folder = mount / f"..version-{next(versions)}"
        folder.mkdir()
        (folder / "bridge.yaml").write_text(base + more)
        (mount / "..data.new").symlink_to(folder.name)
        os.replace(mount / "..data.new", mount / "..data")  # noqa: PTH105
        if not (mount / "bridge.yaml").is_symlink():
            (mount / "bridge.yaml").symlink_to("..data/bridge.yaml")
        return mount / "bridge.yaml"

    write.text = text
    return write


@pytest.fixture
def reloadable(running, written):
    @asynccontextmanager
    async def opened(more="", base=written.text):
        async with running(read_file(written(more, base=base))) as bridge:
            yield bridge

    return opened


async def rules_of(bridge):
    async with bridge.session.get(f"{bridge.private}/status") as answer:
        return (await answer.json())["rules"]


async def until_generation(bridge, number):
    async def reached():
        rules = await rules_of(bridge)
        return rules if rules["generation"] == number else None

    return await bridge.until(reached)


async def test_rules_that_were_replaced_are_not_kept(reloadable, written):
    async with reloadable() as bridge:
        generations = iter(range(2, 20))

        async def reloaded(times):
            for _ in range(times):
                generation = next(generations)
                written("" if generation % 2 else OFF)
                await until_generation(bridge, generation)
            await asyncio.sleep(0.2)

        gc.disable()  # what is left is not collected by chance
        try:
            await reloaded(2)
            before = len(gc.get_objects())
            await reloaded(6)
            assert len(gc.get_objects()) - before < 3000
        finally:
            gc.enable()


@contextmanager
def locked(bridge, path):
    """Another program writes to the journal, and takes its time."""
    bridge.house.journal._writer._connection.execute("PRAGMA busy_timeout = 1")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def until_refused(bridge):
    async def refused():
        return (await rules_of(bridge))["refused"]

    return await bridge.until(refused)


async def test_a_file_that_changed_between_its_reading_and_the_first_look_is_taken_over(running, written):
    settings = read_file(written())
    written(OFF)  # as the journal was opened, which can take its time
    async with running(settings) as bridge:
        assert "" == (await until_generation(bridge, 2))["refused"]


async def test_a_table_that_changed_with_a_broken_configuration_is_not_refused_again_and_again(
    reloadable, written, log, tmp_path
):
    table = tmp_path / "names.csv"
    table.write_text("key,value\na,b\n")
    more = f"tables: {{names: {table}}}\n"
    async with reloadable(more) as bridge:
        table.write_text("key,value\na,b\nc,d\n")
        written(more + "rules: {\n")
        await until_refused(bridge)
        await asyncio.sleep(5 * reload.LOOK_EVERY)
        assert 1 == len([line for line in log() if line["event"] == "rules.refused"])


async def test_a_changed_file_is_taken_over_whole_and_counted(reloadable, written, order):
    number, body = order()
    async with reloadable(OFF) as bridge:
        assert 1 == (await rules_of(bridge))["generation"]
        await bridge.post(body)
        await bridge.settled(number)
        written("rules: {cancelled: false}\n")
        await until_generation(bridge, 2)
        await bridge.post(body, topic="orders/updated")
        await bridge.settled(number)
        assert ["order.placed", "order.confirmed"] == await bridge.actions()
        async with bridge.session.get(f"{bridge.private}/metrics") as answer:
            assert "bridge_rules_generation 2.0" in await answer.text()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("rules: {placed: {at: = order.creatd_at}}\n", "did you mean created_at?"),
        ("rules: {placed: [}\n", "not YAML"),
        ("vars: {a: 1}\nlogs: {level: debug}\n", "logs changed, which needs a restart: nothing was taken over"),
    ],
)
async def test_a_bad_change_leaves_the_old_rules_in_force_and_says_so(reloadable, written, order, more, said):
    number, body = order()
    async with reloadable(OFF) as bridge:
        written(more)
        assert said in await until_refused(bridge)
        await bridge.post(body)
        await bridge.settled(number)
        assert ["order.placed"] == await bridge.actions()
        written("rules: {cancelled: false}\n")
        assert "" == (await until_generation(bridge, 2))["refused"]


async def test_a_renamed_fact_is_refused_as_it_is_at_the_start(reloadable, written, order):
    number, body = order()
    async with reloadable() as bridge:
        await bridge.post(body)
        await bridge.settled(number)
        written("rules: {placed: {fact: order.made}}\n")
        assert "write `formerly: order.placed` in its rule" in await until_refused(bridge)
        written("rules: {placed: {fact: order.made, formerly: order.placed}}\n")
        await until_generation(bridge, 2)
        await bridge.post(body, topic="orders/updated")
        await bridge.settled(number)
        assert ["order.placed", "order.confirmed"] == await bridge.actions()


async def test_what_was_sent_by_a_name_that_is_taken_back_is_not_sent_again(reloadable, written, order):
    number, body = order()
    async with reloadable(OFF) as bridge:
        written(RENAMED)
        await until_generation(bridge, 2)
        await bridge.post(body)
        await bridge.settled(number)
        written(OFF)
        await until_generation(bridge, 3)
        await bridge.post(body, topic="orders/updated")
        await bridge.settled(number)
        assert ["order.placed"] == await bridge.actions()


async def test_rules_that_met_a_busy_journal_are_taken_over_when_it_has_time(reloadable, written, order, tmp_path):
    async with reloadable(OFF) as bridge:
        with locked(bridge, tmp_path / "journal.db"):
            written(RENAMED)
            assert "it is tried again" in await until_refused(bridge)
        assert "" == (await until_generation(bridge, 2))["refused"]
        number, body = order()
        await bridge.post(body)
        await bridge.settled(number)
        assert {"order.made": "delivered"} == await bridge.states(number)


async def test_a_rule_that_was_added_while_it_ran_is_taken_out_again(reloadable, written, order):
    number, body = order()
    big = "{for: order, fact: big, at: = order.created_at, give: {action: order.placed, session: s}}"
    async with reloadable(OFF) as bridge:
        written(f"rules: {{confirmed: false, cancelled: false, big: {big}}}\n")
        await until_generation(bridge, 2)
        await bridge.post(body)
        await bridge.settled(number)
        assert "big" in await bridge.states(number)
        written(OFF)
        assert "" == (await until_generation(bridge, 3))["refused"]
    async with reloadable(OFF):
        pass


@pytest.mark.parametrize("is_busy", [False, True], ids=["", "though the journal is busy just then"])
async def test_a_held_rule_that_changes_goes_on(reloadable, written, order, tmp_path, is_busy):
    bodies = [order() for _ in range(30)]
    async with reloadable(OFF) as bridge:
        await bridge.fail(path="/v1/attribution/events", status=422, times=1000)
        for _, body in bodies:
            await bridge.post(body)

        async def held():
            return await bridge.house.journal.holds()

        await bridge.until(held)
        await bridge.recover()
        last, body = order()
        await bridge.post(body)
        with locked(bridge, tmp_path / "journal.db") if is_busy else nullcontext():
            written("rules: {confirmed: false, cancelled: false, placed: {max_age: 29d}}\n")
            await until_generation(bridge, 2)
            await asyncio.sleep(0.1)  # the worker meets the lock

        async def released():
            return not await bridge.house.journal.holds()

        await bridge.until(released)
        await bridge.settled(last)
        assert {"order.placed": "delivered"} == await bridge.states(last)


async def test_dead_retry_maps_the_stored_document_by_the_new_rules(reloadable, written, order):
    number, body = order()
    async with reloadable("rules: {confirmed: false, cancelled: false, placed: {at: = order.closed_at}}\n") as bridge:
        await bridge.post(body)
        await bridge.settled(number)
        assert {"order.placed": "dead"} == await bridge.states(number)
        written(OFF)
        await until_generation(bridge, 2)
        refs = [fact.ref async for fact in bridge.house.journal.parked(Selection(state=State.DEAD))]
        assert 1 == await bridge.house.journal.retry(refs)

        async def delivered():
            return (await bridge.states(number))["order.placed"] == "delivered"

        await bridge.until(delivered)


async def test_a_signal_reads_the_rules_again_in_a_real_process(sandbox, environ, tmp_path, unused_tcp_port_factory):
    process = ShopProcess(tmp_path, sandbox, environ, (unused_tcp_port_factory(), unused_tcp_port_factory()))
    await process.start()
    text = process.config.read_text()
    changed = process.config.with_suffix(".new")
    changed.write_text(text + OFF)
    changed.replace(process.config)  # in one step: the process looks at it by itself, too
    process.running.send_signal(signal.SIGHUP)
    try:
        async with aiohttp.ClientSession() as session:
            for _ in range(400):
                async with session.get(f"http://127.0.0.1:{process.private}/status") as answer:
                    if (await answer.json())["rules"]["generation"] == 2:
                        break
                await asyncio.sleep(0.05)
    finally:
        assert 0 == await process.end(signal.SIGTERM)
    lines = [json.loads(line) for line in process.log.read_text().splitlines() if line.startswith("{")]
    loaded = [(line["generation"], line["rules"]) for line in lines if line["event"] == "rules.loaded"]
    assert [(1, 6), (2, 4)] == loaded
    assert {"confirmed", "cancelled"} == {line["rule"] for line in lines if line["event"] == "rule.switched_off"}


TOPIC = "{rows: {tenant: t, kind: order, lane: = vars.site + text(doc.id)}}"


async def test_a_variable_that_names_records_is_as_it_was_at_the_start(reloadable, written, order):
    stream = f"  db: {{connector: kafka, brokers: [127.0.0.1:1], group: g, topics: {TOPIC}}}\n"
    base = written.text.replace("destinations:", stream + "destinations:", 1)
    number, body = order()
    write = functools.partial(written, base=base)
    async with reloadable("vars: {site: a, other: 1}\n" + OFF, base=base) as bridge:
        write("vars: {site: b, other: 1}\n" + OFF)
        assert "vars that a source or destination reads changed, which needs a restart" in await until_refused(bridge)
        write("vars: {site: a, other: 2}\nrules: {cancelled: false}\n")
        assert "" == (await until_generation(bridge, 2))["refused"]
        await bridge.post(body)
        await bridge.settled(number)
