"""One world: its happenings one after the other, the lives of the program in it, and the judgement at its end."""

import gc
import hashlib
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from multidict import CIMultiDict

from bridge import clock as program_clock
from bridge.config import Settings, read
from bridge.contract import State
from bridge.errors import BridgeError, ConfigurationError, JournalError, Reply
from bridge.journal import Erasure, Retention, Selection, control, dump
from bridge.journal.sqlite.store import SqliteStore
from bridge.texts import Sign, sign_of
from tests.world.api import KINDS, Api, Said, Weather
from tests.world.loop import Stuck, WorldClock
from tests.world.machine import PERSON, Killed, Machine, open_files
from tests.world.oracle import NEVER, Books, Broken, Oracle, once_of
from tests.world.plan import Happening
from tests.world.shop import Document, Shop
from tests.world.topic import Brokers

SHOP = "example.myshopify.com"
CONFIG = """
sources:
  shop: {{connector: shopify, shops: {{example.myshopify.com: {{secrets: [env:SHOPIFY_SECRET]}}}}}}
{topic}destinations:
  hellotext: {{connector: hellotext, token: env:HELLOTEXT_TOKEN, url: "https://api.example.com", session_patience: 2m}}
journal: {{path: journal.db, min_free: 1048576, ballast: 65536}}
door: {{host: 127.0.0.1, port: 0}}
delivery: {{grace: 20s}}
include: [shopify/default]
rules: {rules}
"""
STREAM = """
  orders:
    connector: kafka
    brokers: [127.0.0.1:9092]
    group: attribution-bridge
    topics:
      shopify.orders:
        tenant: example.myshopify.com
        lane: = text(doc.id)
        version: = time(doc.updated_at)
        aliases: {email: = email(doc.email)}
    tells: {currency: shop}
"""
ENVIRON = {"SHOPIFY_SECRET": "shhh", "HELLOTEXT_TOKEN": "token-of-the-tests"}
RULES = ("{}", "{delivered: false}", "{redeemed: true}", "{shipped: {when: 'broken ('}}")
"""What the rules change to; the last is refused, and changes nothing."""

_PATIENCE = (10.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0)
"""Seconds after which the platform sends again what was not answered 200, one after the other."""
HARMLESS = frozenset(
    (
        "order",
        "rush",
        "retry",
        "drop",
        "resend",
        "settle",
        "release",
        "erase",
        "change rules",
        "prune",
        "look",
        "long look",
        "backup",
    )
)
"""Happenings beside which all goes on as if nothing were wrong."""

_AFTERMATH = 700.0
"""Seconds after trouble in which a destination may still rest: it does so for ten minutes at the most."""

_CALM = 2 * 3600.0
"""Seconds of good weather, after the last delivery, in which all that waits must have ended: no wait is longer than ten
minutes, be it the program's own or asked for by the API."""


_known: dict[str, Settings | ConfigurationError] = {}
"""Settings by the text of their file: to read the same rules again and again would take most of the time."""


def _settings_of(text: str) -> Settings:
    if text not in _known:
        try:
            _known[text] = read(text, environ=ENVIRON)
        except ConfigurationError as problem:
            _known[text] = problem.with_traceback(None)
    found = _known[text]
    if isinstance(found, ConfigurationError):
        raise ConfigurationError(found.problems)  # a new one: an error keeps the frames that it went through
    return found


def _read_all() -> None:
    """Read what any world reads, before the first one. The collector then need not look at it at each death."""
    if not _known:
        for topic in ("", STREAM):
            for rules in RULES:
                with suppress(BridgeError):
                    _settings_of(CONFIG.format(rules=rules, topic=topic))
        gc.collect()
        gc.freeze()


class World:
    """A world of a seed. plan: its happenings, or some of them."""

    def __init__(self, seed: int, plan: Sequence[Happening], folder: Path) -> None:
        self.seed = seed
        self.plan = plan
        self.books = Books()
        self.counted: Counter[str] = Counter()
        self._chance = Random(f"{seed} world")
        self._folder = folder
        self._path = folder / "journal.db"
        self._oracle = Oracle(self._path, self.books)
        self._broken: Exception | None = None
        self._machine = Machine(folder, str(seed), wire=self._wire, read=self._read, brokers=self._joined)
        self._schedule = self._machine.schedule
        self._has_topic = bool(plan) and plan[-1].at < 700 and self._chance.random() < 0.6
        self._brokers = Brokers(self._schedule, Random(f"{seed} brokers"), committed=self._committed)
        self._api = Api(self._schedule, Random(f"{seed} api"), leaving=self._leaving)
        self._shop = Shop(Random(f"{seed} shop"), seed)
        self._config = folder / "bridge.yaml"
        self._rules = 0
        self._limits = {
            "longest_wait": timedelta(seconds=self._chance.choice((10, 120, 600))),
            "give_up": timedelta(hours=self._chance.choice((1, 336))),
            "concurrency": self._chance.choice((1, 2, 8, 64)),
        }
        self._is_over = False
        self._is_timed = True
        self._troubled_until = 0.0
        self._may_start_at = 0.0
        self._settings: Any = None
        self._is_valid = True
        self._lock: sqlite3.Connection | None = None
        self._readers: list[sqlite3.Connection] = []
        self._backed_up: set[Document] | None = None
        self._must_restore = False
        self._make_room: Callable[[], None] = lambda: None

    def _wire(self, *arguments: Any, **named: Any) -> Any:
        return self._api.opened(*arguments, **named)

    def _joined(self, *arguments: Any, **named: Any) -> Any:
        return self._brokers.opened(*arguments, **named)

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self._machine.clock.START + self._machine.clock.at, UTC)

    # -- its course ----------------------------------------------------------------------------------------------------

    def run(self) -> Counter[str]:
        """Run it to its end. Raises Broken when a promise did not hold."""
        _read_all()
        files = open_files()
        try:
            with self._machine:
                self._configure()
                self._settings = self._read(self._config)
                for happening in self.plan:
                    self._schedule.after(happening.at, self._guarded(happening))
                end = (self.plan[-1].at if self.plan else 0.0) + 60.0
                self._schedule.after(end, self._calm)
                self._schedule.after(30.0, self._look_for_forgotten)
                while not self._is_over:
                    self._live()
                self._judge()
        finally:
            self._unlock()
            self._schedule.clear()  # both know processes that are gone
            self._make_room = lambda: None
            for reader in self._readers:
                reader.close()
            self._oracle.close()
        if open_files() > files:
            gc.collect()
        if open_files() > files:
            raise Broken(f"{open_files() - files} files are left open")
        return self.counted

    def _live(self) -> None:
        self._idle_until(self._may_start_at)
        if self._must_restore:
            self._put_back()
        self._machine.free = max(self._machine.free, 1 << 30)
        # A process cannot know what was done to the clock before it began.
        self._is_timed = self._is_timed and not self._machine.clock.set_by
        ended = self._machine.live(self._settings)
        self.counted[f"lives {ended}"] += 1
        self._raise_broken()
        if self._machine.faults:
            raise Broken(f"the event loop was told of errors: {self._machine.faults[:2]}")
        self._unlock()
        self._trouble(60.0)
        self._may_start_at = self._machine.clock.at + self._chance.choice((0.0, 1.0, 30.0))

    def _raise_broken(self) -> None:
        if self._broken is not None:
            raise self._broken

    def _idle_until(self, at: float) -> None:
        """Nothing serves meanwhile; the world goes on."""
        clock = self._machine.clock
        while (next_at := self._schedule.next_at) is not None and next_at <= at:
            clock.at = max(clock.at, next_at)
            self._schedule.do_next()
        clock.at = max(clock.at, at)

    def _guarded(self, happening: Happening) -> Any:
        def happen() -> None:
            if happening.what not in HARMLESS:
                self._trouble(0.0)
            self.counted[happening.what] += 1
            getattr(self, "_" + happening.what.replace(" ", "_"))(happening.chance)

        return happen

    def _trouble(self, seconds: float) -> None:
        """Something is wrong from now on, for so long. What it caused may last a little longer."""
        self._troubled_until = max(self._troubled_until, self._machine.clock.at + seconds + _AFTERMATH)

    def _look_for_forgotten(self) -> None:
        """When all has been well for a while, nothing that is due waits."""
        process = self._machine.process
        if self._is_timed and process is not None and process.is_open:
            self._check(lambda: self._oracle.judge_patience(self._limits["give_up"], self._shop.orders, self.now))
        if self._machine.clock.at > self._troubled_until and process is not None and process.is_open:
            now = self._machine.clock.time_ns() // 1000
            self._check(lambda: self._oracle.judge_due(now))
        if not self._is_over:
            self._schedule.after(30.0, self._look_for_forgotten)

    def _configure(self) -> None:
        self._config.write_text(CONFIG.format(rules=RULES[self._rules], topic=STREAM if self._has_topic else ""))

    def _read(self, path: Path, files: dict[Path, Sign] | None = None) -> Settings:
        """Read the configuration as read_file does, with the limits of this world. Raises ConfigurationError."""
        files = {} if files is None else files
        files[path] = sign_of(path)
        found = _settings_of(path.read_text())
        journal = found.journal.model_copy(update={"path": self._path})
        return replace(found, journal=journal, delivery=found.delivery.of(self._limits), file=path, files=files)

    # -- the end of it -------------------------------------------------------------------------------------------------

    def _calm(self) -> None:
        """From now on all is well. What a person must decide is decided, once."""
        self._api.weather = []
        self._machine.free = 1 << 40
        self._make_room()
        self._unlock()
        self._trouble(0.0)  # it began earlier, and lasts: a destination may be asked once an hour
        self._last_order = self._shop.order(self.now)
        for number, document in enumerate(self._last_order.documents):
            self._post_later(document, 1500.0 + 10.0 * number, self._chance, 0)
        self._schedule.after(1.0, self._wait_for_the_end)

    def _wait_for_the_end(self) -> None:
        """Stop when nothing waits any more, or when all has had its time."""
        process = self._machine.process
        is_served = process is not None and process.is_open
        has_posts = self._posting > 0 or self._machine.clock.at - self._posted_at < 30.0
        is_quiet = (
            is_served
            and self._brokers.are_done()
            and not has_posts
            and all(due == NEVER for _, due, _ in self._oracle.waiting())
        )
        if is_quiet or (not has_posts and self._machine.clock.at > self._posted_at + _CALM):
            self._is_over = True
            if process is not None:
                process.ending.stop.set()
            return
        self._schedule.after(30.0, self._wait_for_the_end)

    def _judge(self) -> None:
        self.books.refused |= {
            line["lane"]
            for line in self._machine.lines()
            if line["event"] == "fact.settled" and line["state"] != State.DELIVERED
        }
        self.counted += self._oracle.judge(self._shop.orders, self._api.said)
        if any(document.kept_at is None for document in self._last_order.documents):
            raise Broken("an order that came when all was well for long was not taken in")
        if not self._brokers.are_done():
            raise Broken("records of the topic are not committed, though all has been well for long")
        if self._is_valid and self._rules_in_force() != self._settings.rules.digest[:12]:
            raise Broken("the rules in force are not those of the file")
        log = self._machine.log.buffer.getvalue().decode()
        self._oracle.judge_erased(self._shop.orders, log)
        for line in self._machine.lines():
            if line["event"] in ("connector.failed", "reload.failed", "log"):
                raise Broken(f"the log tells of a bug: {line}")
        self.counted["requests"] += self._api.requests
        self.counted["steps"] += self._machine.steps
        self.counted["virtual seconds"] += int(self._machine.clock.at)

    def _rules_in_force(self) -> str:
        return [line["digest"] for line in self._machine.lines() if line["event"] == "rules.loaded"][-1]

    def digest(self) -> str:
        """What happened, to the step: the same in every run of the same seed."""
        told = self._machine.log.buffer.getvalue().replace(str(self._folder).encode(), b"")
        told += repr(self._api.said).encode()
        return hashlib.sha256(told).hexdigest()

    def _leaving(self, said: Said) -> None:
        self._check(lambda: self._oracle.on_leaving(said))

    def _check(self, look: Any) -> None:
        """A promise that did not hold ends the world, wherever it was noticed."""
        try:
            look()
        except Broken as broken:
            self._break(broken)

    def _break(self, broken: Broken) -> None:
        self._broken = self._broken or broken
        self._schedule.after(0.0, lambda: self._kill(self._chance))

    # -- orders --------------------------------------------------------------------------------------------------------

    _posting = 0
    _posted_at = 0.0

    def _order(self, chance: Random, *, most: int = 100, unknown: float = 0.3) -> None:
        """A customer orders. most: of the documents, the others are lost; unknown: how often the session is new."""
        order = self._shop.order(self.now)
        if order.session and chance.random() < unknown:
            self._api.know_session_later(order.session, self._machine.clock.at + chance.choice((5.0, 100.0, 1e9)))
        at = 0.0
        by_topic = self._has_topic and chance.random() < 0.6
        for document in order.documents[:most]:
            at += chance.choice((0.0, 0.01, 1.0, 30.0, 600.0))
            if by_topic:
                self._write_later(document, max(at, document.written))
                continue
            early = chance.random() < 0.15
            soon = max(at * (0.1 if early else 1.0), document.written)
            self._post_later(document, soon, chance, 0)
            if chance.random() < 0.15:  # once more, though it was answered
                self._post_later(document, soon + chance.choice((0.0, 0.001, 5.0, 3600.0)), chance, len(_PATIENCE))

    def _rush(self, chance: Random) -> None:
        """Several customers order in the same moment. Little comes after that: what is forgotten stays forgotten."""
        for _ in range(chance.choice((2, 4, 8))):
            self._order(chance, most=chance.choice((1, 1, 2)), unknown=0.7)

    def _write_later(self, document: Document, seconds: float) -> None:
        """The shop writes into its topic, and the brokers keep it until it is read."""
        self._posting += 1

        def write() -> None:
            self._posting -= 1
            self._posted_at = self._machine.clock.at
            self._brokers.write(document)

        self._schedule.after(seconds, write)

    def _committed(self, document: Document, identity: str) -> None:
        if document.kept_at is None:
            document.kept_at = self._machine.clock.at
        self.counted["committed"] += 1
        self._check(lambda: self._oracle.on_committed(document, identity))

    def _post_later(self, document: Document, seconds: float, chance: Random, tried: int) -> None:
        self._posting += 1
        self._schedule.after(seconds, lambda: self._post(document, chance, tried))

    def _post(self, document: Document, chance: Random, tried: int) -> None:
        self._posting -= 1
        self._posted_at = self._machine.clock.at
        process = self._machine.process
        if process is None or not process.is_open:
            self._post_again(document, chance, tried)
            return
        headers = self._settings.sources["shop"].sign(
            document.body, topic=document.topic, tenant=None, delivery_id=document.delivery
        )
        posting = _Posting(
            kept=lambda: self._kept(document),
            again=lambda: self._post_again(document, chance, tried),
            is_heard=chance.random() < 0.95,
            counted=self.counted,
        )
        self._schedule.after(5.0, posting.too_late)
        if not process.door.take(
            "POST", "/webhooks/shop", CIMultiDict(headers), _Body(document.body), posting.answered
        ):
            posting.too_late()

    def _kept(self, document: Document) -> None:
        if document.kept_at is None:
            document.kept_at = self._machine.clock.at
        self._check(lambda: self._oracle.on_kept(document))

    def _post_again(self, document: Document, chance: Random, tried: int) -> None:
        if tried < len(_PATIENCE) and not (self._is_over):
            self._post_later(document, _PATIENCE[tried] * chance.uniform(0.5, 1.0), chance, tried + 1)

    # -- what goes wrong -----------------------------------------------------------------------------------------------

    def _weather(self, chance: Random) -> None:
        kind = chance.choice(KINDS)
        actions: tuple[str, ...] = ()
        if chance.random() < 0.35:
            actions = (chance.choice(("order.placed", "order.confirmed", "refund.received", "order.shipped")),)
        until = self._machine.clock.at + chance.choice((1.0, 20.0, 120.0, 3600.0))
        # Where a probe may leave a fact uncertain, a paused destination is asked once an hour.
        self._trouble(until - self._machine.clock.at + (0.0 if kind.isdigit() else 3600.0))
        self._api.weather.append(Weather(kind, until, chance.choice((0.2, 0.7, 1.0)), actions))

    def _one_action_refused(self, chance: Random) -> None:
        """An action is not allowed for an hour. The facts of other rules go on, where nothing else is wrong."""
        action = chance.choice(("order.confirmed", "refund.received", "order.shipped"))
        begin, end = self._machine.clock.at, self._machine.clock.at + 3600.0
        self._api.weather.append(Weather("403", end, 1.0, (action,)))
        self._trouble(3600.0)
        harmless = HARMLESS - {"retry", "release", "erase", "change rules"} | {"one action refused"}
        others = [WorldClock.BEGIN + one.at for one in self.plan if one.what not in harmless]
        if not any(begin - 3600.0 < at < end for at in others):
            self._schedule.after(3599.0, lambda: self._check(lambda: self._judge_others(begin, end)))

    def _judge_others(self, begin: float, end: float) -> None:
        self._oracle.judge_others(self._shop.orders, begin, end)

    def _kill(self, chance: Random) -> None:
        if self._machine.process is not None:
            raise Killed

    def _stop(self, chance: Random) -> None:
        if (process := self._machine.process) is not None:
            process.ending.signal()
            if chance.random() < 0.3:
                process.ending.signal()

    def _freeze(self, chance: Random) -> None:
        self._machine.clock.at += chance.choice((1.0, 20.0, 90.0, 3600.0))
        self._trouble(0.0)

    def _set_the_clock(self, chance: Random) -> None:
        self._machine.clock.set_by = chance.choice((0.0, 0.0, 45.0, -45.0, 7200.0, -7200.0, 86_400.0))

    def _busy_disk(self, chance: Random) -> None:
        """Another program holds the lock of the file for a while."""
        if self._lock is not None or not self._path.exists():
            return
        lock = sqlite3.connect(self._path, isolation_level=None, timeout=0)
        try:
            lock.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            lock.close()
            return
        self._lock = lock
        self._trouble(60.0)
        self._schedule.after(chance.choice((0.5, 5.0, 60.0)), self._unlock)

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.execute("ROLLBACK")
            self._lock.close()
            self._lock = None

    def _full_disk(self, chance: Random) -> None:
        """The file cannot grow for a while: SQLite itself says that the disk is full."""
        life = self._machine.process
        if life is None or life.ending.stop.is_set() or not self._machine.writers:
            return
        connection = self._machine.writers[-1]._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + chance.choice((0, 1, 4))}")

        def room() -> None:
            if self._machine.process is life:
                connection.execute("PRAGMA max_page_count = 1073741823")

        self._make_room = room
        self._trouble(1800.0)
        self._schedule.after(chance.choice((1.0, 60.0, 1800.0)), room)

    def _little_room(self, chance: Random) -> None:
        self._machine.free = chance.choice((0, 1 << 19, 1 << 20))

        def room() -> None:
            self._machine.free = 1 << 40

        self._trouble(1800.0)
        self._schedule.after(chance.choice((2.0, 60.0, 1800.0)), room)

    # -- persons -------------------------------------------------------------------------------------------------------

    def _act(self, work: Any) -> None:
        """A command: beside the process, or on its own where none serves."""
        process = self._machine.process
        if self._machine.is_commanded:
            self._schedule.after(1.0, lambda: self._act(work))
            return
        if process is None:
            if self._path.exists():
                try:
                    self._machine.command(lambda: self._commanded(work))
                except JournalError:
                    self.counted["commands refused"] += 1
            return
        if process.journal is None or not process.is_open:
            return

        async def acted() -> None:
            try:
                await work(process.journal, process.released)
            except JournalError:
                self.counted["commands refused"] += 1

        task = process.loop.create_task(acted(), name=PERSON)
        task.add_done_callback(self._ended_act)

    def _ended_act(self, task: Any) -> None:
        if not task.cancelled() and (problem := task.exception()) is not None:
            self._break(Broken(f"a command failed: {problem!r}"))

    async def _commanded(self, work: Any) -> None:
        async with control.acting(self._path, destinations=("hellotext",)) as journal:
            await work(journal, lambda *_: None)

    async def _some_parked(self, journal: Any, state: State, chance: Random) -> list[Any]:
        found = [one async for one in journal.parked(Selection(state=state))]
        return [one for one in found if chance.random() < 0.7]

    def _retry(self, chance: Random) -> None:
        async def work(journal: Any, _released: Any) -> None:
            found = await self._some_parked(journal, State.DEAD, chance)
            self.books.retried.update(one.order for one in found)
            if self.counted["restored"]:  # the lost journal may have been asked to try it again, too
                self.books.resent.update((one.order, one.fact, once_of(one.once)) for one in found)
            await journal.retry([one.ref for one in found])

        self._act(work)

    def _drop(self, chance: Random) -> None:
        async def work(journal: Any, _released: Any) -> None:
            found = await self._some_parked(journal, State.DEAD, chance)
            self.books.retried.update(one.order for one in found)
            await journal.drop([one.ref for one in found])

        self._act(work)

    def _resend(self, chance: Random) -> None:
        async def work(journal: Any, _released: Any) -> None:
            found = await self._some_parked(journal, State.UNCERTAIN, chance)
            self.books.retried.update(one.order for one in found)
            self.books.resent.update((one.order, one.fact, once_of(one.once)) for one in found)
            await journal.resend([one.ref for one in found])

        self._act(work)

    def _settle(self, chance: Random) -> None:
        async def work(journal: Any, _released: Any) -> None:
            found = await self._some_parked(journal, State.UNCERTAIN, chance)
            self.books.retried.update(one.order for one in found)
            await journal.settle([one.ref for one in found], chance.choice((State.DELIVERED, State.DROPPED)))

        self._act(work)

    def _release(self, chance: Random) -> None:
        async def work(journal: Any, released: Any) -> None:
            for hold in await journal.holds():
                released(hold.dest, hold.rule)
                await journal.release(hold.dest, hold.rule)

        self._act(work)

    def _erase(self, chance: Random) -> None:
        persons = [order for order in self._shop.orders if order.email and not order.is_erased]
        if not persons:
            return
        order = chance.choice(persons)

        async def work(journal: Any, _released: Any) -> None:
            self.books.erased.add(order.id)
            erasure = Erasure(tenant=SHOP, aliases=(f"email:{order.email}",))
            await journal.block(erasure)
            erased = await journal.erase(erasure)
            order.is_erased = erased.is_lasting and not erased.more
            if not erased.more:
                self.books.gone.add(order.id)

        self._act(work)

    def _prune(self, chance: Random) -> None:
        """Bodies of what has long been settled go, as they do each hour; here sooner."""
        process = self._machine.process
        if process is None or not process.is_open:
            return
        keep = Retention(bodies=timedelta(minutes=10), history=timedelta(days=396), keys=timedelta(days=761))

        async def work(journal: Any, _released: Any) -> None:
            while (await process.running.journal.prune(keep, now=program_clock.now())).more:
                pass

        self._act(work)

    def _look(self, chance: Random) -> None:
        """Another program looks into the file, and may move its log into it."""
        if self._path.exists():
            with sqlite3.connect(self._path, timeout=0, isolation_level=None) as look:
                look.execute("SELECT count(*) FROM envelope").fetchone()
                if chance.random() < 0.5:
                    look.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            look.close()

    def _long_look(self, chance: Random) -> None:
        """A reader keeps an older picture for a while."""
        if not self._path.exists():
            return
        reader = sqlite3.connect(self._path, timeout=0, isolation_level=None)
        self._readers.append(reader)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        self._schedule.after(chance.choice((1.0, 60.0, 600.0)), reader.close)

    def _backup(self, chance: Random) -> None:
        kept = {document for document in self._documents() if document.kept_at is not None}

        async def work(_journal: Any, _released: Any) -> None:
            made = self._folder / "backup.part"
            async with SqliteStore(path=self._path).exporting() as source:
                with made.open("wb") as file:
                    await dump.write_out(source, file, lambda *_: None)
            made.rename(self._folder / "backup")
            self._backed_up = kept

        self._act(work)

    def _documents(self) -> list[Document]:
        return [document for order in self._shop.orders for document in order.documents]

    def _restore(self, chance: Random) -> None:
        """The disk is lost, and a person puts the backup in its place. What came since is not in it."""
        if self._backed_up is not None and not self._machine.is_commanded:
            self._must_restore = True
            self._kill(chance)

    def _put_back(self) -> None:
        """Put the backup in its place, while nothing serves."""
        self._must_restore = False
        self._unlock()
        self._oracle.close()
        self.counted["restored"] += 1
        lost = self._folder / f"lost-{self.counted['restored']}"
        lost.mkdir()
        for file in self._folder.glob("journal.db*"):
            if file.suffix != ".lock":
                file.rename(lost / file.name)

        async def work() -> None:
            with (self._folder / "backup").open("rb") as file:
                header = dump.header_of(file)
                async with SqliteStore(path=self._path).importing() as target:
                    await dump.read_in(target, file, header, lambda *_: None)
                    await target.doubt()

        self._machine.command(work)
        for document in self._documents():
            if document not in self._backed_up:
                document.kept_at = None
        for order in self._shop.orders:
            order.is_erased = False
        self.books.gone.clear()
        self.books.refused.update(order.id for order in self._shop.orders)

    def _change_rules(self, chance: Random) -> None:
        self._rules = chance.randrange(len(RULES))
        self.books.optional |= {"order.delivered", "coupon.redeemed"}
        self._configure()
        self._is_valid = False
        with suppress(BridgeError):
            self._settings = self._read(self._config)
            self._is_valid = True
        if (process := self._machine.process) is not None and chance.random() < 0.8:
            process.ending.reload.set()

    def _rebalance(self, chance: Random) -> None:
        self._brokers.take_back(chance.choice((0.1, 3.0, 30.0)))

    def _reset_connections(self, chance: Random) -> None:
        """The brokers are away for a while."""
        away = chance.choice((0.5, 20.0, 120.0))
        self._brokers.away_until = self._machine.clock.at + away
        self._trouble(away)


class _Posting:
    """One delivery on its way, as the platform sees it: it sends again what was not answered 200 in time, and what was,
    but whose answer was lost."""

    def __init__(
        self, *, kept: Callable[[], None], again: Callable[[], None], is_heard: bool, counted: Counter[str]
    ) -> None:
        self._kept = kept
        self._again = again
        self._is_heard = is_heard
        self._counted = counted
        self._is_over = False

    def answered(self, reply: Reply) -> None:
        self._counted[f"answered {reply.status}"] += 1
        if reply.status == 200:
            self._kept()
        self._end(is_well=reply.status == 200 and self._is_heard)

    def too_late(self) -> None:
        self._end(is_well=False)

    def _end(self, *, is_well: bool) -> None:
        if not self._is_over:
            self._is_over = True
            if not is_well:
                self._again()


class _Body:
    """A body that came together with its head."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.total_bytes = len(body)

    def read_nowait(self) -> bytes:
        return self._body


def run(seed: int, plan: Sequence[Happening]) -> Counter[str]:
    """Run the world of a seed with these happenings. Raises AssertionError when a promise did not hold."""
    folder = Path(tempfile.mkdtemp(prefix="world-", dir=_memory()))
    try:
        return World(seed, plan, folder).run()
    except Stuck as stuck:
        raise Broken(str(stuck)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _memory() -> str | None:
    """A folder in memory, where the machine has one: a file there costs no disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
