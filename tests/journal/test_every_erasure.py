"""What an erasure leaves, in every journal: keys, and nothing that tells of a person."""

import asyncio
import sqlite3
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from bridge.contract import Reason, State
from bridge.jobs import compliance
from bridge.journal import Done, Erasure, Postponed, Progress
from bridge.journal.rows import unpacked
from tests.journal.usual import USUAL_RETENTION

SHOP = "shop.example"
ADA = ("email:ada@example.com", "customer:7")
BODY = b'{"id": 1, "email": "ada@example.com", "name": "Ada Sample-Lovelace", "padding": "%s"}' % (b"x" * 600)


@pytest.fixture
def hers(desk):
    """Documents of Ada's orders."""
    return lambda order="1", **more: desk.document(order, **{"aliases": ADA, "raw": BODY} | more)


def _ada(**more):
    return Erasure(tenant=SHOP, aliases=ADA, **more)


async def test_bodies_aliases_and_history_go_and_the_keys_stay(journal, desk, hers):
    appended = await desk.carry(
        journal, hers(), desk.fact(detail="201"), desk.fact(State.DEAD, "refused", detail="422")
    )
    await journal.append(desk.document("2"))
    erased = await journal.erase(_ada())
    assert (1, 1, False) == (erased.orders, erased.bodies, erased.more)
    story = await journal.story(appended.lane)
    assert {"placed": ("delivered", ""), "refused": ("dropped", "")} == {
        fact["fact"]: (fact["state"], fact["detail"]) for fact in story.facts
    }
    assert ["erased"] == [skip["reason"] for skip in story.skips]
    assert not story.attempts
    assert [False] == [document["body"] for document in story.documents]
    assert b"" == (await journal.document(appended.seq)).raw
    assert [] == list(await journal.find("ada@example.com"))
    assert 1 == (await journal.stats()).bodies


async def test_a_delivery_is_found_by_its_id_before_and_after_and_says_what_became_of_it(journal, desk, hers):
    await desk.carry(journal, hers(id="before"), desk.fact())
    await journal.erase(_ada())
    await journal.block(_ada())
    await journal.append(hers("2", id="after"))
    for delivery, order in (("before", "1"), ("after", "2")):
        (lane,) = await journal.find_delivery("shop", delivery)
        story = await journal.story(lane)
        assert (order, ["erased"]) == (story.order, [skip["reason"] for skip in story.skips])
    assert [] == list(await journal.find("ada@example.com"))


async def test_what_waits_and_what_is_postponed_is_not_sent_any_more(journal, desk, hers):
    first = await journal.append(hers("1"))
    claim = await desk.claim(journal)
    await desk.record(
        journal, claim, end=Postponed(until=desk.now, fact="placed", reason=Reason.THROTTLED, detail="429")
    )
    second = await journal.append(hers("2"))
    await journal.erase(_ada())
    assert [] == list(await desk.claims(journal))
    assert await journal.next_due("api") is None
    for lane in (first.lane, second.lane):
        story = await journal.story(lane)
        assert (["erased"], [], []) == (
            [v["reason"] for v in story.skips],
            list(story.attempts),
            list(story.waiting),
        )


async def test_what_is_parked_is_dropped_as_erased(journal, desk, hers):
    await desk.carry(journal, hers(), desk.fact(State.DEAD, reason=Reason.REFUSED), desk.fact(State.UNCERTAIN, "paid"))
    await journal.erase(_ada())
    assert [] == await desk.parked(journal)
    assert [] == await desk.parked(journal, State.UNCERTAIN)
    (lane,) = await journal.find("1")
    assert {"placed": "dropped", "paid": "dropped"} == await desk.states(journal, lane)


async def test_what_is_in_flight_ends_and_its_key_is_kept(opened, desk, hers):
    async with opened() as journal:
        appended = await journal.append(hers())
        claim = await desk.claim(journal)
        erasing = asyncio.create_task(journal.erase(Erasure(tenant=SHOP, everything=True)))
        await asyncio.sleep(0.1)
        await desk.done(journal, claim, desk.fact())
        await erasing
        assert {"placed": "delivered"} == await desk.states(journal, appended.lane)
        assert [] == list(await desk.claims(journal))
        assert b"" == (await journal.document(appended.seq)).raw
        await journal.append(desk.document("1"))
        again = await desk.claim(journal)
        assert {("placed", "[]"): State.DELIVERED} == again.held


async def test_an_order_by_its_id_is_erased_alone(journal, desk, hers):
    await journal.append(hers("1"))
    await journal.append(hers("2"))
    await journal.erase(Erasure(tenant=SHOP, orders=("1",)))
    assert ["2"] == [claim.envelope.lane for claim in await desk.claims(journal)]
    assert 1 == len(await journal.find("ada@example.com"))


@pytest.mark.parametrize(
    ("kept", "asked"),
    [
        ("phone:+44 1632 960001", "phone:+441632960001"),
        ("phone:+441632960001", "phone:0044 (1632) 96-00-01"),
        ("phone:+44 (0)20 7946 0999", "phone:+442079460999"),
        ("phone:+442079460999", "phone:0044 (0) 20 7946 0999"),
        ("email:ADA@Example.com", "email:ada@example.com"),
        ("email:ad\u00e1@example.com", "email:ada\u0301@example.com"),
    ],
)
async def test_a_name_is_found_however_it_was_written_and_shut_out_too(journal, desk, hers, kept, asked):
    await journal.append(hers("1", aliases=(kept,)))
    whom = Erasure(tenant=SHOP, aliases=(asked,))
    await journal.block(whom)
    assert 1 == (await journal.erase(whom)).orders
    await journal.append(hers("2", aliases=(kept,)))
    assert [] == list(await desk.claims(journal))


async def test_another_shops_orders_of_the_same_person_stay(journal, desk, hers):
    await journal.append(hers(tenant="other.example"))
    assert 0 == (await journal.erase(_ada())).orders
    assert 1 == len(await desk.claims(journal))


async def test_all_of_a_shop_goes_page_by_page(journal, desk, hers):
    for order in range(130):
        await journal.append(hers(str(order)))
    await journal.append(hers(tenant="other.example"))
    first = await journal.erase(Erasure(tenant=SHOP, everything=True))
    assert (100, True) == (first.orders, first.more)
    second = await journal.erase(Erasure(tenant=SHOP, everything=True, after=first.last))
    assert (30, False) == (second.orders, second.more)
    assert ["other.example"] == [claim.envelope.tenant for claim in await desk.claims(journal)]


# -- what comes later --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("later", ["same order", "new order", "no contact"])
async def test_what_comes_later_of_an_erased_person_is_kept_without_body_and_skipped(opened, desk, hers, later):
    async with opened() as journal:
        await desk.carry(journal, hers("1"), desk.fact())
        await journal.block(_ada(orders=("1",)))
        await journal.erase(_ada(orders=("1",)))
    async with opened() as journal:
        order = "2" if later == "new order" else "1"
        aliases = () if later == "no contact" else ADA[:1]
        appended = await journal.append(hers(order, aliases=aliases, headers={"name": "Ada"}))
        assert not appended.known
        assert [] == list(await desk.claims(journal))
        kept = await journal.document(appended.seq)
        assert (b"", {}) == (kept.raw, kept.headers)
        story = await journal.story(appended.lane)
        assert "erased" == story.skips[-1]["reason"]
        assert [] == list(await journal.find("ada@example.com"))
        again = await journal.append(hers(order, id=kept.id, aliases=aliases))
        assert again.known


async def test_others_come_in_as_before_and_she_too_once_she_is_allowed(journal, desk, hers):
    assert 2 == await journal.block(_ada())
    await journal.append(desk.document("3", aliases=("email:eve@example.com",)))
    assert ["3"] == [claim.envelope.lane for claim in await desk.claims(journal)]
    assert 2 == await journal.allow(_ada())
    await journal.append(hers("4"))
    assert ["4"] == [claim.envelope.lane for claim in await desk.claims(journal)]


async def test_blocked_in_one_group_with_others_only_hers_is_shut_out(journal, desk, hers):
    await journal.block(_ada())
    documents = [desk.document(str(n)) if n % 2 else hers(str(n)) for n in range(20)]
    await asyncio.gather(*map(journal.append, documents))
    assert {str(n) for n in range(1, 20, 2)} == {claim.envelope.lane for claim in await desk.claims(journal)}


async def test_erasing_while_she_orders_leaves_nothing_of_her(journal, desk, hers):
    async def order(number):
        await asyncio.sleep(number / 2000)
        await journal.append(hers(str(number)))

    orders = [asyncio.create_task(order(number)) for number in range(200)]
    await asyncio.sleep(0.03)
    await journal.block(_ada())
    while (await journal.erase(_ada())).more:
        pass
    await asyncio.gather(*orders)
    assert 0 == (await journal.stats()).bodies
    assert [] == list(await desk.claims(journal))


@pytest.mark.parametrize("kind", ["fulfillment", "order"])
async def test_a_later_document_of_an_erased_order_that_names_nobody_is_shut_out_too(opened, desk, hers, kind):
    """A parcel's document has the address, and no customer."""
    async with opened() as journal:
        await desk.carry(journal, hers("1"), desk.fact())
        await journal.block(_ada())
        await journal.erase(_ada())
        appended = await journal.append(hers("1", kind=kind, aliases=()))
        assert b"" == (await journal.document(appended.seq)).raw
    async with opened() as journal:
        appended = await journal.append(hers("1", kind=kind, aliases=()))
        assert b"" == (await journal.document(appended.seq)).raw
        await journal.append(desk.document("2"))
        assert ["2"] == [claim.envelope.lane for claim in await desk.claims(journal)]


async def test_all_of_a_shop_erased_leaves_it_open_for_what_comes_when_the_app_is_installed_again(journal, desk, hers):
    await desk.carry(journal, hers("1"), desk.fact())
    await journal.erase(Erasure(tenant=SHOP, everything=True))
    await journal.append(hers("1"))
    assert ["1"] == [claim.envelope.lane for claim in await desk.claims(journal)]


async def test_who_was_storing_when_she_was_blocked_has_ended_when_that_returns(postgres_place, desk, hers):
    """It had seen the table of the blocked before, and then waited for another lock."""
    import asyncpg  # noqa: PLC0415  an extra

    from bridge.journal import postgres  # noqa: PLC0415

    await postgres.init(postgres_place)
    async with postgres.opened(postgres_place, destinations=("api",)) as journal:
        await journal.append(desk.document("1"))
        other = await asyncpg.connect(postgres_place.dsn)

        async def waiting():
            return await other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")

        async with other.transaction():
            await other.execute(f'SELECT n FROM "{postgres_place.schema}".lane FOR UPDATE')
            storing = asyncio.create_task(journal.append(hers("1")))
            while not await waiting():
                await asyncio.sleep(0.01)
            blocking = asyncio.create_task(journal.block(_ada()))
            while not blocking.done() and await waiting() < 2:
                await asyncio.sleep(0.01)
            assert not blocking.done()
        await asyncio.gather(storing, blocking)
        await other.close()
        await journal.erase(_ada())
        assert [False] * 2 == [found["body"] for found in (await journal.story(1)).documents]


# -- a platform's request ----------------------------------------------------------------------------------------------


async def test_a_request_that_was_carried_out_is_concluded_also_if_it_erased_itself(journal, desk, hers):
    request = hers("delivery:9", topic="customers/redact", kind="compliance", reason=Reason.NOT_CARRIED_OUT_YET)
    await journal.append(request)
    (parked,) = await desk.parked(journal)
    assert "not carried out yet" == parked.reason
    await journal.erase(_ada())
    assert [] == await desk.parked(journal)
    assert 1 == await journal.conclude(parked.ref)
    (fact,) = (await journal.story(parked.lane)).facts
    assert ("delivered", "carried out") == (fact["state"], fact["reason"])
    assert 0 == await journal.conclude(parked.ref)
    assert 0 == await journal.conclude("nonsense")


async def test_only_a_platforms_request_can_be_concluded(journal, desk, hers):
    await desk.carry(journal, hers(), desk.fact(State.DEAD, reason=Reason.REFUSED))
    (parked,) = await desk.parked(journal)
    assert 0 == await journal.conclude(parked.ref)
    assert "dead" == parked.state


async def test_a_request_about_somebody_who_was_erased_before_is_not_shut_out(journal, desk, hers):
    """It may name orders that her other names did not find."""
    await journal.block(_ada())
    request = hers("delivery:9", topic="customers/redact", kind="compliance", reason=Reason.NOT_CARRIED_OUT_YET)
    appended = await journal.append(request)
    assert ["not carried out yet"] == [parked.reason for parked in await desk.parked(journal)]
    assert BODY == (await journal.document(appended.seq)).raw


@pytest.mark.parametrize("everything", [True, False])
async def test_lanes_that_are_left_stay_whole(journal, desk, hers, everything):
    for order in range(3):
        await journal.append(hers(str(order)))
    (left,) = await journal.find("1")
    whom = Erasure(tenant=SHOP, everything=True) if everything else _ada()
    erased = await journal.erase(replace(whom, left=(left,)))
    assert (2, False) == (erased.orders, erased.more)
    assert ["1"] == [claim.envelope.lane for claim in await desk.claims(journal)]


async def test_what_cannot_be_read_is_no_request_that_could_be_concluded(journal, desk, hers):
    await journal.append(hers(reason=Reason.UNREADABLE))
    (parked,) = await desk.parked(journal)
    assert 0 == await journal.conclude(parked.ref)
    assert 1 == len(await desk.parked(journal))


# -- the bytes ---------------------------------------------------------------------------------------------------------


async def test_a_search_of_the_stored_and_of_the_decompressed_bytes_finds_nothing(sqlite_place, desk, hers):
    """In the embedded journal's files: what went earlier by retention, by moving pages or by being sent included."""
    from bridge.journal import sqlite  # noqa: PLC0415

    names = (b"ada@example.com", b"Sample-Lovelace", b"Geheim-Strasse")
    address = b'{"email": "ada@example.com", "street": "Geheim-Strasse 5", "n": %d, "padding": "%s"}'
    async with sqlite.opened(sqlite_place, destinations=("api",)) as journal:
        for number in range(300):
            size = 10 + 37 * (number % 97)
            raw = address % (number, bytes(65 + (number * k) % 57 for k in range(size)))
            document = hers(str(number), raw=raw if number % 3 else BODY, headers={"x-name": "Ada Sample-Lovelace"})
            await journal.append(document if number % 5 else desk.document(f"other-{number}", raw=b"{}" * 900))
        for claim in await desk.claims(journal, limit=100):
            await journal.record(claim, Progress(settled=(desk.fact(detail="201"),), end=Done()), now=desk.now)
        pruned = 0
        while (
            step := await journal.prune(replace(USUAL_RETENTION, bodies=timedelta()), now=desk.later, limit=40)
        ).more:
            pruned += step.bodies
        assert pruned > 50
        assert any(name in _stored(sqlite_place) for name in names)
        await journal.block(_ada())
        after = 0
        while (erased := await journal.erase(_ada(after=after))).more:
            after = erased.last
        assert erased.is_lasting
        stored = _stored(sqlite_place)
        for name in names:
            assert name not in stored
        connection = sqlite3.connect(sqlite_place)
        for headers, raw in connection.execute("SELECT headers, raw FROM body"):
            assert not any(name in headers + unpacked(raw) for name in names)
        connection.close()


def _stored(path):
    return b"".join(file.read_bytes() for file in path.parent.iterdir() if file.is_file())


async def test_a_reader_that_keeps_an_older_picture_is_told(sqlite_place, desk, hers, monkeypatch):
    from bridge.journal import sqlite  # noqa: PLC0415

    monkeypatch.setattr(sqlite, "_EMPTYING_TRIES", 2)
    async with sqlite.opened(sqlite_place, destinations=("api",)) as journal:
        await journal.append(hers())
        reader = sqlite3.connect(sqlite_place)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM body").fetchone()
        assert not (await journal.erase(_ada())).is_lasting
        assert b"-Lovelace" in _stored(sqlite_place)
        reader.close()
        await journal.prune(USUAL_RETENTION, now=desk.now)
        assert b"-Lovelace" not in _stored(sqlite_place)
        assert (await journal.erase(_ada())).is_lasting


async def test_killed_before_the_log_was_emptied_the_next_start_empties_it(sqlite_place, desk, hers, tmp_path):
    from bridge.journal import sqlite  # noqa: PLC0415

    after = tmp_path / "after" / sqlite_place.name
    after.parent.mkdir()
    async with sqlite.opened(sqlite_place, destinations=("api",)) as journal:
        for number in range(20):
            await journal.append(hers(str(number), raw=b"Geheim-Strasse %d" % number))
        await journal._act(partial(journal._erasing, erasure=_ada()))
        for name in ("", "-wal"):
            file = sqlite_place.with_name(sqlite_place.name + name)
            after.with_name(file.name).write_bytes(file.read_bytes())
    assert b"Geheim-Strasse" in _stored(after)
    async with sqlite.opened(after, destinations=("api",)):
        assert b"Geheim-Strasse" not in _stored(after)


async def test_a_request_that_names_many_orders_is_carried_out_a_few_at_a_time(journal, desk, monkeypatch):
    """Each order is looked for in the transaction that erases: others get their turn in between."""
    asked = []
    erase = journal.erase

    async def noted(erasure):
        asked.append(erasure)
        return await erase(erasure)

    monkeypatch.setattr(journal, "erase", noted)
    names = tuple(str(order) for order in range(1200))
    for order in ("0", "700", "1199"):
        await desk.carry(journal, desk.document(order, aliases=("customer:7",)), desk.fact())
    await desk.carry(journal, desk.document("5000", aliases=("customer:7",)), desk.fact())
    erased = await compliance.erase(journal, Erasure(tenant="shop.example", aliases=("customer:7",), orders=names))
    assert (4, 4, True) == (erased.orders, erased.bodies, erased.is_lasting)
    assert all(len(erasure.orders) <= 500 for erasure in asked)
    assert set(names) == {order for erasure in asked for order in erasure.orders}
    await journal.append(desk.document("900"))
    (lane,) = await journal.find("900")
    assert [False] == [document["body"] for document in (await journal.story(lane)).documents]


@pytest.mark.parametrize("name", ["customer:424242", "customer_deletion:424242"])
async def test_a_lane_that_is_named_by_a_customers_number_loses_its_name(journal, desk, hers, name):
    before = await journal.append(hers(name, kind="customer"))
    kept = await journal.append(desk.document("customers-order:424242", aliases=ADA))
    await journal.block(_ada())
    await journal.erase(_ada())
    after = await journal.append(hers(name, kind="customer", id="after"))
    for appended in (before, after):
        assert f"erased:{appended.lane}" == (await journal.story(appended.lane)).order
    assert "customers-order:424242" == (await journal.story(kept.lane)).order, "a name that somebody chose stays"
    assert [] == list(await journal.find(name))


def test_a_line_of_the_log_does_not_say_a_customers_number(desk):
    assert "customer:***" == desk.document("customer:424242").names(1)["lane"]
    assert "customer_deletion:***" == desk.document("customer_deletion:424242").names(1)["lane"]
    assert "6042" == desk.document("6042").names(1)["lane"]


async def test_who_was_erased_under_one_name_of_a_tenant_does_not_come_in_under_another(journal, desk, hers):
    known = {"tenant": "old.example", "also": ("new.example",)}
    erased = replace(_ada(), tenant="new.example")
    first = await journal.append(hers("1", tenant="new.example"))
    await journal.block(erased)
    await journal.erase(erased)
    another = await journal.append(hers("2", **known))
    # The parcel's document does not name its buyer.
    parcel = await journal.append(hers("1", id="parcel", aliases=(), **known))
    assert (first.lane, [b"", b""]) == (
        parcel.lane,
        [(await journal.document(each.seq)).raw for each in (another, parcel)],
    )
    somebody = await journal.append(hers("3", aliases=("email:grace@example.com",), **known))
    assert BODY == (await journal.document(somebody.seq)).raw


async def test_a_person_is_known_under_the_name_of_the_tenant_that_the_order_has(journal, desk, hers):
    first = await journal.append(hers("1", tenant="new.example", aliases=()))
    known = {"tenant": "old.example", "also": ("older.example", "new.example")}
    assert first.lane == (await journal.append(hers("1", id="touched", **known))).lane
    assert [first.lane] == list(await journal.lanes(replace(_ada(), tenant="new.example"), limit=9))
    assert 2 == (await journal.erase(replace(_ada(), tenant="new.example"))).bodies
