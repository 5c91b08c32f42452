"""Journals of every implementation that there is, found by folder, on real files."""

import importlib
import io
import itertools
import pkgutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

import bridge.journal
from bridge.contract import Envelope, Reason, State
from bridge.journal import Done, Erasure, Hold, Postponed, Progress, Selection, Settled
from bridge.journal.dump import header_of, read_in, write_out

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
KINDS = [module.name for module in pkgutil.iter_modules(bridge.journal.__path__) if module.ispkg]
PAIRS = list(itertools.product(KINDS, repeat=2))


@pytest.fixture(params=KINDS)
def implementation(request):
    """The package of one implementation."""
    return importlib.import_module(f"bridge.journal.{request.param}")


@pytest.fixture
def sqlite_place(tmp_path):
    return tmp_path / "journal.db"


@pytest.fixture
def place(implementation, request):
    """Where the journal of this test is: each implementation has a fixture that says so."""
    return request.getfixturevalue(f"{implementation.__name__.rpartition('.')[2]}_place")


@pytest.fixture
def opened(implementation, place):
    """Opens the journal of this test, again and again: `async with opened() as journal`."""

    def again(*, destinations=("api",), **options):
        return implementation.opened(place, destinations=destinations, **options)

    return again


@pytest.fixture
async def journal(opened):
    async with opened() as found:
        yield found


@pytest.fixture
def envelope():
    """Makes envelopes; `minutes` are after NOW, and order versions."""

    def make(order="1", delivery=None, *, minutes=0, version=True, kind="order", source="shop", **more):
        at = NOW + timedelta(minutes=minutes)
        return Envelope(
            source=source,
            id=delivery or f"{order}-{minutes}",
            topic="orders/create",
            kind=kind,
            tenant=more.pop("tenant", "shop.example"),
            lane=order,
            version=at if version else None,
            received_at=more.pop("received_at", NOW),
            raw=more.pop("raw", b'{"id": %d, "minutes": %d, "padding": "%s"}' % (int(order), minutes, b"x" * 200)),
            **more,
        )

    return make


class Desk:
    """Makes documents, claims them and writes down what became of them, in as few words as a test wants to read."""

    now = NOW
    later = NOW + timedelta(days=36_500)

    def __init__(self):
        self._numbers = itertools.count(1)

    def document(self, order="1042", **changes):
        """Another delivery of this order, without a version."""
        number = next(self._numbers)
        given = {
            "source": "shop",
            "id": f"delivery-{number}",
            "topic": "orders/updated",
            "kind": "order",
            "tenant": "shop.example",
            "lane": order,
            "received_at": NOW,
            "raw": b'{"id": %d, "note": "a document"}' % number,
        }
        return Envelope(**(given | changes))

    async def claims(self, journal, dest="api", *, at=later, limit=1000, budget=1 << 30):
        return await journal.claim(dest, now=at, limit=limit, budget=budget)

    async def claim(self, journal, dest="api", *, at=later):
        """The one that is due."""
        (claim,) = await self.claims(journal, dest, at=at)
        return claim

    def fact(self, state=State.DELIVERED, fact="placed", once="[]", **more):
        return Settled(fact=fact, once=once, rule=more.pop("rule", "a rule"), state=state, **more)

    async def record(self, journal, claim, *settled, at=NOW, **more):
        """Without an end, unless one is given."""
        await journal.record(claim, Progress(settled=settled, **more), now=at)

    async def done(self, journal, claim, *settled, at=NOW, **more):
        await self.record(journal, claim, *settled, at=at, end=Done(), **more)

    async def carry(self, journal, envelope, *settled, at=NOW, **more):
        """A document all the way: taken in, claimed, ended."""
        appended = await journal.append(envelope)
        await self.done(journal, await self.claim(journal), *settled, at=at, **more)
        return appended

    async def parked(self, journal, state=State.DEAD, **selected):
        return [fact async for fact in journal.parked(Selection(state=state, **selected))]

    async def states(self, journal, lane):
        """Fact to state, as the story tells them."""
        return {fact["fact"]: fact["state"] for fact in (await journal.story(lane)).facts}


@pytest.fixture
def desk():
    return Desk()


class Kind:
    """One implementation, with places for two journals."""

    def __init__(self, name, tmp_path, postgres_place):
        from bridge.journal import postgres, sqlite  # noqa: PLC0415
        from bridge.journal.sqlite import dump  # noqa: PLC0415

        self.is_file = name == "sqlite"
        self.package = {"sqlite": sqlite, "postgres": postgres}[name]
        self.exporting, self.importing = (
            (dump.exporting, dump.importing) if self.is_file else (postgres.exporting, postgres.importing)
        )
        self.here = tmp_path / "here.db" if self.is_file else postgres_place
        self.there = tmp_path / "there.db" if self.is_file else replace(postgres_place, schema="there_of_" + "x" * 8)

    async def read_out(self, place):
        file = io.BytesIO()
        sums = await self._in(self.exporting(place), lambda source: write_out(source, file, lambda _rows: None))
        return file.getvalue(), sums

    async def fill(self, place, content, *, doubt=False):
        async def filled(target):
            file = io.BytesIO(content)
            sums = await read_in(target, file, header_of(file), lambda _rows: None)
            if doubt:
                await target.doubt()
            return sums

        return await self._in(self.importing(place), filled)

    async def _in(self, context, work):
        if self.is_file:
            with context as one:
                return await work(one)
        async with context as one:
            return await work(one)


@pytest.fixture
def kinds(tmp_path, postgres_place):
    from bridge.journal import postgres  # noqa: PLC0415

    async def made(name):
        kind = Kind(name, tmp_path, postgres_place)
        if not kind.is_file:
            kind.there = replace(postgres_place, schema=f"{postgres_place.schema}_there")
            await postgres.init(kind.there)
        return kind

    return made


async def lived_in(kind, desk):
    """A journal with something in every table."""
    async with kind.package.opened(kind.here, destinations=("api", "other")) as journal:
        for order in range(20):
            aliases = (f"email:{order}@example.com",)
            document = desk.document(str(order), aliases=aliases, version=desk.now, headers={"a": "ü"})
            await journal.append(document)
        claims = await desk.claims(journal)
        await desk.done(journal, claims[0], desk.fact(), desk.fact(fact="refund", once='["1"]'))
        await desk.done(journal, claims[1], desk.fact(State.DEAD, reason=Reason.REFUSED, detail="422"))
        postponed = Postponed(until=desk.later, fact="placed", reason=Reason.THROTTLED)
        await desk.record(journal, claims[2], end=postponed)
        await desk.record(journal, claims[3], end=Postponed(until=None, fact="x", reason=Reason.RULE_HELD, rule="r"))
        await journal.hold(Hold(dest="api", rule="r", digest="d", since=desk.now, detail="422"))
        await journal.append(desk.document("21", reason=Reason.TEST_ORDER))
        await journal.append(desk.document("22", reason=Reason.UNREADABLE))
        await desk.record(journal, claims[4], desk.fact(State.DEPARTED))
        await journal.remember("mark", "seen")
        await journal.keep_positions("stream", {("orders", 0): 7, ("orders", 1): 0})
        await journal.block(Erasure(tenant="shop.example", aliases=("email:erased@example.com",)))
        await journal.unite([("api", "placed", "ordered")])
