"""`bench` as a person starts it: a process that measures, and leaves everything else alone."""

import asyncio
import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.bench import processes
from bridge.bench.plan import DEFAULT, Place, Plan, pointed_at, settings_of, source_of
from bridge.config import read
from bridge.dry_run import deliveries
from bridge.jobs.schedule import admins
from tests.cli.conftest import CONFIG

PARTS = ["fsync", "intake", "mapping", "delivery", "chain"]
EVERYTHING = """
sources:
  shop:
    connector: shopify
    address: https://bridge.example.com/webhooks/shop
    shops: {{name.myshopify.com: {{secrets: [env:SHOPIFY_SECRET], access: {{token: env:SHOPIFY_TOKEN}}}}}}
  erp:
    connector: kafka
    brokers: ["127.0.0.1:{port}"]
    group: bridge
    topics: {{orders: {{kind: erp_order, tenant: erp, lane: = text(doc.id)}}}}
destinations:
  hellotext:
    connector: hellotext
    token: env:HELLOTEXT_TOKEN
    url: http://127.0.0.1:{port}
    mode: shadow
    delivery: {{rate: 1/h, concurrency: 8}}
delivery: {{rate: 1/h}}
journal: {{path: journal/orders.db}}
include: [shopify/default]
rules:
  failing:
    fact: failing
    for: order
    at: = order.created_at
    give: {{action: order.placed, profile: P1, object: = text(number(order.name))}}
"""
"""A configuration with all that must not be touched. The last rule fails with every order."""

NO_SHOP = """
sources:
  erp:
    connector: kafka
    brokers: ["127.0.0.1:1"]
    group: bridge
    topics: {orders: {kind: erp_order, tenant: erp, lane: = text(doc.id)}}
destinations:
  hellotext: {connector: hellotext, token: env:HELLOTEXT_TOKEN}
rules:
  placed:
    for: erp_order
    at: = erp_order.made
    give: {action: order.placed, profile: P1}
"""


def _command(*words):
    return [sys.executable, "-m", "bridge", "bench", *words]


def _environ():
    """The environment of a person who has no secret at hand, and a proxy for everything."""
    names = {name: text for name, text in os.environ.items() if name not in ("SHOPIFY_SECRET", "HELLOTEXT_TOKEN")}
    return {**names, "PYTHONPATH": str(Path(__file__).parents[2]), "HTTP_PROXY": "http://127.0.0.1:9"}


def _run(folder, *words):
    return subprocess.run(
        _command(*words), cwd=folder, env=_environ(), capture_output=True, text=True, timeout=180, check=False
    )


def _content(folder):
    """Every file and folder, with what is in it and when it was changed."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns if path.is_file() else 0,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in sorted(folder.rglob("*"))
    }


@asynccontextmanager
async def _counting():
    """A port that counts who comes: broker, API and whatever else the configuration names."""
    came = []
    server = await asyncio.start_server(lambda _reader, writer: (came.append(1), writer.close()), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], came


async def test_the_card_holds_every_part_and_nothing_that_is_configured_was_touched(tmp_path):
    async with _counting() as (port, came):
        (tmp_path / "bridge.yaml").write_text(EVERYTHING.format(port=port))
        made = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "bridge", "journal", "init"],
            cwd=tmp_path,
            env=_environ(),
            check=True,
            capture_output=True,
        )
        assert 0 == made.returncode
        before = _content(tmp_path)
        done = await asyncio.to_thread(_run, tmp_path, "--json", "--seconds", "2")
        assert (0, "") == (done.returncode, done.stderr)
        assert (before, []) == (_content(tmp_path), came)
    card = json.loads(done.stdout)
    assert str(tmp_path / "journal") == card["folder"]
    assert ("sqlite", "bridge.yaml") == (card["journal"], card["rules"])
    assert {"facts": 3, "requests": 4} == {name: card["order"][name] for name in ("facts", "requests")}
    assert PARTS == list(card["parts"])
    for name, part in card["parts"].items():
        assert {"count", "seconds", "p50_ms", "p99_ms", "per_second", "orders_per_day"} == set(part)
        assert 0 < part["p50_ms"] <= part["p99_ms"], name
        assert part["per_second"] == pytest.approx(part["count"] / part["seconds"], rel=0.01)
        assert (part["orders_per_day"] is None) == (name == "fsync")
    assert [remark for remark in card["remarks"] if re.fullmatch(r"chain: [\d,]+ facts became dead\.", remark)]


def test_the_card_fits_80_columns_and_is_of_sqlite_also_where_the_journal_is_in_postgres(tmp_path):
    (tmp_path / "bridge.yaml").write_text(CONFIG + "journal: {kind: postgres, url: env:DATABASE_URL}\n")
    (tmp_path / "disk").mkdir()
    done = _run(tmp_path, "--seconds", "2", "--folder", "disk")
    assert (0, "") == (done.returncode, done.stderr)
    assert [] == list((tmp_path / "disk").iterdir())
    lines = done.stdout.splitlines()
    assert [] == [line for line in lines if len(line) > 80 and str(tmp_path) not in line]
    assert f"a SQLite journal in {tmp_path / 'disk'}" in lines
    for name in ("fsync", "intake", "mapping", "delivery", "whole chain"):
        assert 2 == sum(line.startswith(f"{name} ") for line in lines), "its figures, and what they mean"
    assert "facts became" not in done.stdout
    assert "- The journal of bridge.yaml is in Postgres: this card is of SQLite." in lines


def _processes_with(text):
    """The processes whose words hold a text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if text in words:
            found.append(path)
    return found


async def _made(folder, file, process):
    """Waits until a file is in the temporary folder."""
    async with asyncio.timeout(120):
        while not [*folder.glob(f"attribution-bridge-bench-*/{file}")]:
            assert process.returncode is None
            await asyncio.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are looked for in /proc")
@pytest.mark.parametrize(
    ("number", "file"),
    [(signal.SIGINT, "intake.db"), (signal.SIGTERM, "fsync"), (signal.SIGHUP, "fsync"), (signal.SIGKILL, "intake.db")],
)
async def test_a_signal_leaves_neither_a_folder_nor_a_process(tmp_path, number, file):
    process = await asyncio.create_subprocess_exec(
        *_command("--seconds", "8"),
        cwd=tmp_path,
        env=_environ(),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    await _made(tmp_path, file, process)
    assert _processes_with(str(tmp_path))
    process.send_signal(number)
    told, said = await asyncio.wait_for(process.communicate(), 60)
    async with asyncio.timeout(60):
        while _processes_with(str(tmp_path)):
            await asyncio.sleep(0.05)
    if number != signal.SIGKILL:  # of which nobody is told
        assert (1, b"", b"Aborted!") == (process.returncode, told, said.strip())
        assert [] == list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are looked for in /proc")
@pytest.mark.parametrize(("file", "work"), [("fsync", "parts.json"), ("intake.db", "serve.json")])
async def test_a_process_that_ends_while_it_is_measured_is_said_and_nothing_is_left(tmp_path, file, work):
    process = await asyncio.create_subprocess_exec(
        *_command("--seconds", "8"), cwd=tmp_path, env=_environ(), stderr=asyncio.subprocess.PIPE
    )
    await _made(tmp_path, file, process)
    for measured in _processes_with(work):
        if str(tmp_path) in measured.read_text():
            os.kill(int(measured.parent.name), signal.SIGKILL)
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert 1 == process.returncode
    assert re.match(rb"the process that (is measured|measures) has ended", said), said
    assert (b"Traceback" in said, [*tmp_path.iterdir()]) == (False, [])


@pytest.mark.parametrize(
    ("words", "text", "code", "said"),
    [
        (["--seconds", "1"], CONFIG, 2, "--seconds"),
        (["--folder", "nowhere"], CONFIG, 2, "'nowhere' does not exist"),
        (["--config", "nowhere.yaml"], CONFIG, 2, "nowhere.yaml: cannot be read"),
        ([], CONFIG + "door: {prt: 1}\n", 2, "did you mean `port`?"),
        ([], CONFIG + "rules: {placed: false, confirmed: false}\n", 1, "there would be nothing to send"),
        ([], NO_SHOP, 1, "bridge.yaml has no shop of Shopify"),
    ],
    ids=["too short", "no folder", "no file", "a wrong key", "rules that give nothing", "no shop"],
)  # fmt: skip
def test_what_cannot_be_measured_is_said_before_anything_is_made(tmp_path, words, text, code, said):
    (tmp_path / "bridge.yaml").write_text(text)
    done = _run(tmp_path, *words)
    assert code == done.returncode
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert ["bridge.yaml"] == [path.name for path in tmp_path.iterdir()]


def _planned(text):
    """The settings with which is measured, of a configuration."""
    found = read(text, environ=deliveries.MadeUp())
    source = source_of(found, "bridge.yaml")
    place = Place(api=1234, journal=Path("made/chain.db"), min_free=5)
    sections = pointed_at(place, found.sections, source)
    plan = Plan(sections=sections, file="bridge.yaml", source=source, body="", topic="", seconds={})
    return sections, settings_of(plan)


def test_nothing_of_the_plan_leads_to_the_shop_the_api_or_the_journal():
    sections, settings = _planned(EVERYTHING.format(port=1))
    assert {} == admins(settings)
    assert ["shop"] == list(settings.sources)
    assert Path("made/chain.db") == settings.journal.path
    outlet = settings.destinations["hellotext"]
    assert ("http://127.0.0.1:1234", False) == (outlet.destination.url, outlet.shadow)
    assert (("127.0.0.1", 0), ("127.0.0.1", 0)) == (
        (settings.door.host, settings.door.port), (settings.private.host, settings.private.port))  # fmt: skip
    shop = json.dumps(json.loads(sections)["sources"]["shop"])
    assert ("access" in shop, "SHOPIFY_SECRET" in sections, "HELLOTEXT_TOKEN" in sections) == (False, False, False)


def test_a_limit_of_the_rate_is_no_limit_of_the_machine_and_the_concurrency_stays():
    _, settings = _planned(EVERYTHING.format(port=1))
    delivery = settings.delivery.of(settings.destinations["hellotext"].delivery)
    assert (None, 8) == (delivery.rate, delivery.concurrency)


def test_without_a_configuration_the_default_rules_are_measured():
    place = Place(api=1234, journal=Path("made/chain.db"), min_free=5)
    sections = pointed_at(place, DEFAULT, "shop")
    settings = settings_of(Plan(sections=sections, file="", source="shop", body="", topic="", seconds={}))
    assert {"placed", "confirmed", "cancelled"} <= set(settings.rules.names("hellotext"))


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="this system has pipes of one size")
async def test_the_log_of_many_orders_at_once_finds_room_in_the_pipe():
    """Lines that find none come a quarter of a second later, and so would the end of their orders."""
    async with processes.pipe() as (_, end):
        os.set_blocking(end, False)
        assert 300_000 == os.write(end, b"x" * 300_000)
        os.close(end)
