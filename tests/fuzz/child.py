"""A bridge in a process of its own, which is watched: its log, its memory, its journal."""

import asyncio
import json
import os
import sqlite3
import sys
import tempfile
import uuid
from collections import Counter
from contextlib import asynccontextmanager, closing
from pathlib import Path

import aiohttp
import asyncpg

from bridge.config import read
from tests.processes import ROOT, Process

ENVIRON = {"SHOPIFY_SECRET": "secret-of-the-fuzzers", "HELLOTEXT_TOKEN": "token-of-the-fuzzers"}
SHOP = "example.myshopify.com"
CONFIG = """
sources:
  shop: {{connector: shopify, shops: {{{shop}: {{secrets: [env:SHOPIFY_SECRET]}}}}}}
destinations:
  hellotext: {{connector: hellotext, token: env:HELLOTEXT_TOKEN, url: "{url}", session_patience: 300ms, mode: {mode}}}
journal: {journal}
door: {{host: 127.0.0.1, port: 0, fast: {fast}, answer_within: {within}}}
private: {{port: 0}}
delivery: {delivery}
logs: {{style: json}}
include: [shopify/default]
"""
BUGS = {"connector.failed", "reload.failed", "journal.broken", "journal.unsaved", "lane.lost", "errand.failed"}
"""Log events that say: here is a bug. What a library logs above info is one too, and whatever has frames."""
GROWTH = 192 * 1024
"""Kilobytes by which a process may grow after it has become warm: bodies of 8 MiB in flight are among them."""


class Child(Process):
    """A running bridge. Problems that its log shows are found by `problems`."""

    def __init__(self, folder, *, url="http://127.0.0.1:9", mode="shadow", fast=True, within="1s", postgres=None,
                 delivery="{first_wait: 10ms, longest_wait: 50ms, grace: 5s}"):  # fmt: skip
        self.journal = folder / "journal.db"
        self.dsn, self.schema = postgres, f"fuzz_{uuid.uuid4().hex[:12]}"
        kept = (
            f"{{kind: postgres, url: env:DATABASE_URL, schema: {self.schema}}}"
            if postgres
            else f'{{path: "{self.journal}", min_free: 0, ballast: 0}}'
        )
        text = CONFIG.format(
            shop=SHOP, url=url, mode=mode, fast=json.dumps(fast), within=within, journal=kept, delivery=delivery
        )
        environ = ENVIRON | ({"DATABASE_URL": postgres} if postgres else {})
        super().__init__(folder, "bridge", text, environ, 0)
        self.signer = read(text, environ=environ).sources["shop"]
        self.canaries: set[str] = set()
        self._warm = 0
        self._read = 0
        self.events: Counter[str] = Counter()

    async def start(self):
        with self.log.open("ab") as log:
            self.running = await asyncio.create_subprocess_exec(
                sys.executable, "-X", "faulthandler", "-m", "bridge", "run", "--config", self.config,
                cwd=ROOT, env=self.environ, stderr=log,
            )  # fmt: skip
        async with asyncio.timeout(60):
            while not (started := self._started()):
                assert self.running.returncode is None, self.log.read_text()
                await asyncio.sleep(0.05)
        self.port, self.private = started["port"], started["private_port"]
        return self

    async def run(self, *words):
        """Another command of the program with its configuration."""
        words = [sys.executable, "-m", "bridge", *words, "--config", self.config]
        made = await asyncio.create_subprocess_exec(*words, cwd=ROOT, env=self.environ, stdout=-1, stderr=-2)
        said, _ = await made.communicate()
        assert made.returncode == 0, said.decode()

    def _started(self):
        for line in self.log.read_text().splitlines():
            if '"service.started"' in line:
                return json.loads(line)
        return None

    def problems(self):
        """What its log, its memory and its end say that must not be, since the last time; None if all is well."""
        if self.running.returncode is not None:
            return f"the service has ended with {self.running.returncode}: {self.log.read_text()[-3000:]}"
        with self.log.open("rb") as file:
            file.seek(self._read)
            *whole, rest = file.read().split(b"\n")
            self._read = file.tell() - len(rest)
        return next((found for line in whole if (found := self._problem(line))), None) or self._grown()

    def _problem(self, line):
        text = line.decode(errors="replace")
        told = [word for word in self.canaries if word in text]
        if told:
            return f"the log has personal data {told}: {text[:2000]}"
        try:
            entry = json.loads(line)
        except ValueError:
            return f"the log has a line that is no JSON: {text[:2000]}"
        self.events[entry["event"]] += 1
        is_of_library = entry["event"] == "log" and entry["level"] not in ("debug", "info")
        if entry["event"] in BUGS or entry.get("frames") or is_of_library:
            return f"the log tells of a bug: {text[:3000]}"
        return None

    def _grown(self):
        if not self._warm:
            return None
        grown = self.resident() - self._warm
        return f"its memory has grown by {grown} kB" if grown > GROWTH else None

    def resident(self):
        """Kilobytes of memory."""
        status = Path(f"/proc/{self.running.pid}/status")
        if not status.exists():  # no Linux
            return 0
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmRSS"))

    def is_warm(self):
        """From now on its memory is compared."""
        self._warm = self.resident()

    def signed(self, body, *, topic, delivery):
        return self.signer.sign(body, topic=topic, tenant=None, delivery_id=delivery)

    async def asked(self, statement):
        """Rows of its journal, in either kind."""
        if self.dsn is None:
            return self.rows(statement)
        connection = await asyncpg.connect(self.dsn, server_settings={"search_path": self.schema})
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    async def deliveries(self):
        """The ids of all deliveries."""
        return {delivery for (delivery,) in await self.asked("SELECT id FROM envelope")}

    async def facts(self):
        """How many facts are in each state."""
        return dict(await self.asked("SELECT state, count(*) FROM fact GROUP BY state"))

    async def states(self, lane):
        """The states of the facts of an order."""
        joined = "SELECT f.state FROM fact f JOIN lane l ON l.n = f.lane WHERE f.dest <> '' AND l.name ="
        return [state for (state,) in await self.asked(f"{joined} '{lane}'")]

    def rows(self, statement, *given):
        """Rows of its journal, which is looked at from here as an operator would."""
        with closing(sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True, timeout=20)) as journal:
            return journal.execute(statement, given).fetchall()


STATELESS = """
SELECT e.seq, e.id, e.kind, e.topic FROM envelope e
WHERE NOT EXISTS (SELECT 1 FROM work w WHERE w.seq = e.seq)
AND NOT EXISTS (SELECT 1 FROM fact f WHERE f.lane = e.lane AND (f.seq = e.seq OR f.dest <> ''))
AND NOT EXISTS (SELECT 1 FROM verdict v WHERE v.lane = e.lane AND v.seq = e.seq)
"""
"""Documents of which nothing waits and nothing is known: they are in no state."""


@asynccontextmanager
async def serving(**options):
    """A running bridge in a folder of its own. At the end it is asked once more whether all was well."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        child = Child(Path(place), **options)
        try:
            if child.dsn is not None:
                await child.run("journal", "init")
            await child.start()
            yield child
            assert (problem := child.problems()) is None, problem
            assert 0 == await child.end(), child.log.read_text()[-3000:]
        finally:
            if child.running is not None and child.running.returncode is None:
                child.running.kill()
                await child.running.wait()


async def all_settled(child, *, seconds=120):
    """Wait until nothing waits, and see that each document is in a state."""
    deadline = asyncio.get_running_loop().time() + seconds
    async with aiohttp.ClientSession() as session:
        while waiting := await child._waiting(session):
            left = deadline - asyncio.get_running_loop().time()
            assert left > 0, f"{waiting} documents wait still: {await child.asked('SELECT * FROM turn LIMIT 5')}"
            await asyncio.sleep(0.05)
    assert [] == await child.asked(STATELESS), "documents are in no state"


def cpu_kindly():
    """Other work of the machine goes first."""
    os.nice(5)
