"""Everything at once for an hour, over both journals: does anything grow that should not?

make soak                two minutes, to see it run
make soak HOURS=1        an hour

For each journal a bridge takes webhooks in and reads a topic of a real Kafka broker, and sends to an API with weather.
Meanwhile people look, retry, back up and change the rules. Memory, open files, threads and the size of the journal are
read every few seconds. At the end the weather clears, every order is looked up, and the account is printed. Exits 1 if
something grew, an order has no state, or something unrepeatable arrived twice.
"""

import argparse
import asyncio
import logging
import os
import signal
import statistics
import sys
import time
import uuid
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import aiohttp
import asyncpg

from bridge import journals
from bridge.config import read
from tests.kafka import broker
from tests.kafka.orders import an_order as a_record
from tests.kafka.orders import create_topic, producing
from tests.postgres import PostgresServer, open_folder
from tests.processes import ROOT, Process
from tests.replicas.api import KINDS, Api, Weather
from tests.walks.processes import an_order

CONFIG = """
sources:
  shop: {{connector: shopify, shops: {{example.myshopify.com: {{secrets: [env:SHOPIFY_SECRET]}}}}}}
  erp:
    connector: kafka
    brokers: [{address}]
    group: soak-{name}
    topics:
      {topic}:
        {{tenant: erp.example, kind: erp_order, lane: = doc.number, version: = doc.changed,
          aliases: {{customer: = doc.buyer.id, email: = doc.buyer.mail}}}}
destinations:
  hellotext: {{connector: hellotext, token: env:HELLOTEXT_TOKEN, url: "{url}", session_patience: 300ms}}
journal: {journal}
door: {{host: 127.0.0.1, port: {port}}}
private: {{port: {private}}}
console: {{port: {console}}}
delivery: {{first_wait: 100ms, longest_wait: 5s, read_timeout: 5s, total_timeout: 10s}}
logs: {{style: json, level: warning}}
include: [shopify/default, kafka/erp]
vars: {{changed: 0}}
"""
ENVIRON = {"SHOPIFY_SECRET": "secret-of-the-soak", "HELLOTEXT_TOKEN": "token-1"}
LOOK_EVERY = 5.0  # seconds
WARM_UP = 0.2
"""Share of the time after which figures count: caches are full by then."""
GROWTH = {
    "resident kB": 1.10,
    "open files": 1.25,
    "threads": 1.0,
    "log-ahead bytes": 2.0,
    "journal bytes an order": 1.05,
}
"""How much larger a figure may be in the last part of the time than in the first."""
SLACK = {
    "resident kB": 16_384,
    "open files": 8,
    "threads": 2,
    "log-ahead bytes": 8 * 2**20,
    "journal bytes an order": 64,
}
"""... and this much beside it."""
PAGES = ("/", "/orders", "/orders?state=dead", "/repair", "/rules", "/orders/1")


def say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@dataclass
class Soaked:
    """A bridge over one kind of journal, with all that happens to it."""

    name: str
    process: Process
    api: Api
    environ: dict[str, str]
    door: str
    console: str
    dsn: str | None
    topic: str
    chance: Random
    file: Path
    acknowledged: list[str] = field(default_factory=list)
    produced: list[str] = field(default_factory=list)
    counted: Counter = field(default_factory=Counter)
    figures: list[dict[str, float]] = field(default_factory=list)

    def everything(self, bootstrap, rate, until):
        """What happens until then, as coroutines."""
        yield self.post(rate, until)
        yield self.produce(bootstrap, rate / 4, until)
        yield self.weather(until)
        yield self.people(until)
        yield self.watch(until)

    async def post(self, rate, until):
        """Orders, some of them twice, at a steady pace."""
        signer = read(self.process.config.read_text(), environ=self.environ).sources["shop"]
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            while time.monotonic() < until:
                number, body = an_order(with_buyer=self.chance.random() < 0.7)
                delivery = str(uuid.uuid4())
                headers = signer.sign(body, topic="orders/create", tenant=None, delivery_id=delivery)
                for _ in range(2 if self.chance.random() < 0.1 else 1):
                    await self._post(session, number, body, headers)
                await asyncio.sleep(self.chance.expovariate(rate))

    async def _post(self, session, number, body, headers):
        with suppress(aiohttp.ClientError, TimeoutError):
            async with session.post(self.door, data=body, headers=headers) as answer:
                self.counted[f"answers {answer.status}"] += 1
                if answer.status == 200:
                    self.acknowledged.append(number)
                return
        self.counted["no answer"] += 1

    async def produce(self, bootstrap, rate, until):
        async with producing(bootstrap) as producer:
            while time.monotonic() < until:
                number = f"SO-{uuid.uuid4().hex[:16]}"
                await producer.send_and_wait(self.topic, a_record(number), key=number.encode())
                self.produced.append(number)
                await asyncio.sleep(self.chance.expovariate(rate))

    async def weather(self, until):
        """The API is well for a while, and then it is not."""
        while time.monotonic() < until:
            await asyncio.sleep(self.chance.uniform(5, 40))
            now = asyncio.get_running_loop().time()
            kind = self.chance.choice(KINDS)
            self.api.weather = [Weather(kind, now + self.chance.uniform(1, 12), self.chance.choice((0.1, 0.5, 1.0)))]
            self.counted[f"weather {kind}"] += 1
        self.api.weather = []

    async def people(self, until):
        """Look, retry, settle, back up and change the rules, one after the other."""
        deeds = (self._look, self._command, self._changed_rules)
        async with aiohttp.ClientSession() as session:
            while time.monotonic() < until:
                await self.chance.choice(deeds)(session)
                await asyncio.sleep(self.chance.uniform(2, 10))

    async def _look(self, session):
        for url in (*(self.console + page for page in PAGES), f"http://127.0.0.1:{self.process.private}/metrics"):
            async with session.get(url) as answer:
                await answer.read()
                self.counted[f"pages {answer.status}"] += 1

    async def _command(self, _session):
        backup = self.file.with_name(f"{uuid.uuid4().hex}.bak")
        commands = (
            ("status",),
            ("orders", "list", "--state", "dead"),
            ("dead", "retry", "--all", "--yes", "--rate", "200"),
            ("uncertain", "settle", "--as", "delivered", "--all", "--yes", "--rate", "200"),
            ("dead", "release", "hellotext", "placed"),
            *([("journal", "backup", str(backup))] if self.dsn is None else []),
        )
        words = self.chance.choice(commands)
        made = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bridge", *words, "--config", self.process.config,
            cwd=ROOT, env={**os.environ, **self.environ}, stdout=-3, stderr=-3,
        )  # fmt: skip
        await made.wait()
        backup.unlink(missing_ok=True)
        self.counted[f"command {' '.join(words[:2])}"] += 1

    async def _changed_rules(self, _session):
        text = self.process.config.read_text()
        changed = text.replace("vars: {changed: 0}", "vars: {changed: 1}")
        self.process.config.write_text(changed if changed != text else text.replace("changed: 1", "changed: 0"))
        self.process.send(signal.SIGHUP)
        self.counted["rules changed"] += 1

    async def watch(self, until):
        while time.monotonic() < until:
            self.figures.append(await self._figures())
            await asyncio.sleep(LOOK_EVERY)

    async def _figures(self):
        place = Path(f"/proc/{self.process.running.pid}")
        status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines() if ":" in line)
        size, ahead = await self._sizes()
        orders = len(self.acknowledged) + len(self.produced)
        return {
            "resident kB": float(status["VmRSS"].split()[0]),
            "open files": len(list((place / "fd").iterdir())),
            "threads": float(status["Threads"]),
            "log-ahead bytes": ahead,
            "journal bytes an order": size / max(orders, 1),
        }

    async def _sizes(self):
        """Bytes of the journal, and of the file that is written ahead of it."""
        if self.dsn is None:
            ahead = self.file.with_name(self.file.name + "-wal")
            return self.file.stat().st_size, ahead.stat().st_size if ahead.exists() else 0
        connection = await asyncpg.connect(self.dsn)
        try:
            size = await connection.fetchval(
                "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c"
                " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'soak' AND c.relkind = 'r'"
            )
        finally:
            await connection.close()
        return float(size), 0

    async def account(self):
        """Sentences about what must not be."""
        say(f"{self.name}:")
        for what, times in sorted(self.counted.items()):
            say(f"  {times:>8}  {what}")
        await self.process.settled(seconds=600)
        store = journals.store_of(read(self.process.config.read_text(), environ=self.environ).journal)
        ends: Counter = Counter()
        lost = []
        async with store.reading() as journal:
            for number in dict.fromkeys(self.acknowledged + self.produced):
                stories = [await journal.story(lane) for lane in await journal.find(number)]
                states = {str(fact["state"]) for story in stories for fact in story.facts}
                if not states and not any(story.skips for story in stories):
                    lost.append(number)
                ends[", ".join(sorted(states)) or "nothing to send"] += 1
        for end, times in ends.most_common():
            say(f"  {times:>8}  {end}")
        arrivals = Counter(each.key for each in self.api.arrivals if each.took_effect and not each.is_repeatable)
        twice = [key for key, times in arrivals.items() if times > 1]
        return [
            *([f"{len(lost)} orders have no state: {lost[:5]}"] if lost else []),
            *([f"{len(twice)} unrepeatable events arrived twice: {twice[:5]}"] if twice else []),
            *self._grown(),
        ]

    def _grown(self):
        kept = self.figures[int(len(self.figures) * WARM_UP) :]
        third = max(1, len(kept) // 3)
        for name, factor in GROWTH.items():
            first, last = (statistics.median(each[name] for each in part) for part in (kept[:third], kept[-third:]))
            say(f"  {name:<24} {first:>14,.0f} -> {last:>14,.0f}   x {last / first if first else 1:.3f}")
            if last > first * factor + SLACK[name]:
                yield f"{name} grew from {first:,.0f} to {last:,.0f}"


async def main(seconds, rate):
    """Gives the exit code."""
    seed = int(time.time()) % 1_000_000
    say(f"seed {seed}, {seconds:,.0f} s, {rate:g} orders and {rate / 4:g} records a second for each journal")
    async with AsyncExitStack() as stack:
        folder = open_folder("bridge-soak-")
        cluster = await asyncio.to_thread(stack.enter_context, broker.running())
        server = await asyncio.to_thread(PostgresServer, open_folder("bridge-soak-postgres-"))
        stack.callback(server.signal, signal.SIGINT)
        soaked = [
            await _begun(stack, name, Random(f"{seed} {name}"), cluster, folder, dsn)
            for name, dsn in (("sqlite", None), ("postgres", server.dsn))
        ]
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as tasks:
            for each in soaked:
                for work in each.everything(cluster.bootstrap, rate, until):
                    tasks.create_task(work)
            tasks.create_task(_progress(soaked, until))
        wrong = [f"{each.name}: {sentence}" for each in soaked for sentence in await each.account()]
    for sentence in wrong:
        say(sentence)
    say("something is not as it should be" if wrong else "nothing grew, nothing was lost, nothing arrived twice")
    return 1 if wrong else 0


async def _begun(stack, name, chance, cluster, folder, dsn):
    """A bridge over a new journal, which runs until the stack is left."""
    api = await stack.enter_async_context(Api(chance, asyncio.get_running_loop().time, _heard))
    port, private, console = broker.free_ports(3)
    file = folder / "journal.db"
    journal = "{kind: postgres, url: env:DATABASE_URL, schema: soak}" if dsn else f'{{path: "{file}", min_free: 0}}'
    topic = f"soak.{name}"
    await create_topic(cluster.bootstrap, topic)
    places = {"address": cluster.broker.address, "url": api.url, "journal": journal, "topic": topic}
    text = CONFIG.format(name=name, port=port, private=private, console=console, **places)
    environ = ENVIRON | ({"DATABASE_URL": dsn} if dsn else {})
    if dsn:
        await journals.store_of(read(text, environ=environ).journal).init()
    process = await Process(folder, name, text, environ, private).start()
    stack.push_async_callback(process.end)
    return Soaked(
        name=name,
        process=process,
        environ=environ,
        api=api,
        door=f"http://127.0.0.1:{port}/webhooks/shop",
        console=f"http://127.0.0.1:{console}",
        dsn=dsn,
        topic=topic,
        chance=chance,
        file=file,
    )


async def _heard(_arrival):
    """Nobody asks the journal about each event here."""


async def _progress(soaked, until):
    while (left := until - time.monotonic()) > 0:
        await asyncio.sleep(min(60, left))
        told = (
            f"{each.name} {len(each.acknowledged):,} orders, {len(each.produced):,} records, "
            f"{each.figures[-1]['resident kB']:,.0f} kB, {each.figures[-1]['open files']} files"
            for each in soaked
            if each.figures
        )
        say(f"{max(0, left - 60):>6.0f} s left; {'; '.join(told)}")


if __name__ == "__main__":
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    words = argparse.ArgumentParser(
        prog="make soak", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    words.add_argument("--hours", default="")
    words.add_argument("--rate", type=float, default=10.0)
    chosen = words.parse_args()
    sys.exit(asyncio.run(main(float(chosen.hours) * 3600 if chosen.hours else 120.0, chosen.rate)))
