"""Ids and tenants that stand in headers, which nobody signed: in every journal the body, and who came first, decide."""

import asyncio

import pytest

from bridge.contract import Reason
from bridge.journal import Erasure


@pytest.fixture
def delivery(desk):
    """One of the door, with this body, under an id that somebody chose."""
    return lambda raw, **more: desk.document(**{"id": "chosen", "raw": raw, "by_header": True, **more})


async def test_a_delivery_is_known_by_its_id_and_its_body(journal, delivery):
    bodies = (b"one", b"two", b"one", b"two", b"three" * 1000)
    found = [await journal.append(delivery(raw)) for raw in bodies]
    assert [False, False, True, True, False] == [appended.known for appended in found]
    assert [found[0].seq, found[1].seq] == [found[2].seq, found[3].seq]
    assert list(bodies[:2]) == [(await journal.document(appended.seq)).raw for appended in found[:2]]
    assert "chosen" == (await journal.document(found[0].seq)).id
    assert (await journal.document(found[1].seq)).id.startswith("chosen#")


async def test_what_comes_together_is_told_apart_too(journal, delivery):
    found = await asyncio.gather(*(journal.append(delivery(raw)) for raw in (b"one", b"two", b"two", b"one", b"two")))
    assert 2 == len({appended.seq for appended in found})
    assert 2 == sum(not appended.known for appended in found)
    again = await asyncio.gather(*(journal.append(delivery(raw)) for raw in (b"two", b"one")))
    assert [True, True] == [appended.known for appended in again]
    assert {appended.seq for appended in found} == {appended.seq for appended in again}


async def test_a_delivery_that_is_known_by_its_id_has_it_from_who_made_it(journal, delivery):
    first, second = [await journal.append(delivery(raw, by_header=False)) for raw in (b"one", b"two")]
    assert (False, True, first.seq) == (first.known, second.known, second.seq)


async def test_a_body_that_is_gone_tells_nothing_apart(journal, delivery, desk):
    first = await journal.append(delivery(b"one"))
    await journal.erase(Erasure(tenant="shop.example", orders=("1042",)))
    assert (True, first.seq) == ((again := await journal.append(delivery(b"two"))).known, again.seq)


async def test_a_delivery_with_another_body_is_found_by_its_own_id(journal, delivery):
    for raw in (b"one", b"two"):
        await journal.append(delivery(raw))
    assert 1 == len(await journal.find_delivery("shop", "chosen"))


async def test_an_order_belongs_to_whom_it_came_for_first(journal, desk):
    def of(tenant, rival, order="1042", **more):
        return desk.document(order, tenant=tenant, rivals=(rival,), **more)

    first = await journal.append(of("a.example", "b.example"))
    other = await journal.append(of("b.example", "a.example"))
    assert (None, Reason.TENANT_IN_DOUBT) == (first.reason, other.reason)
    assert first.lane != other.lane
    assert (await journal.append(of("a.example", "b.example"))).reason is None
    assert Reason.TENANT_IN_DOUBT is (await journal.append(of("b.example", "a.example"))).reason, "and stays so"
    assert (await journal.append(of("b.example", "a.example", "1043"))).reason is None
    assert (await journal.append(desk.document(tenant="c.example"))).reason is None, "another secret's"
    parked = await desk.parked(journal)
    assert ["tenant in doubt"] * 2 == [fact.reason for fact in parked]
    assert all("came for a.example first" in fact.detail for fact in parked)
    assert 3 == len(await desk.claims(journal)), "nothing of what is in doubt is sent"
    # A person says that it is hers: without rivals it is what it says.
    assert (await journal.append(desk.document(tenant="b.example"))).reason is None
    assert (await journal.append(of("b.example", "a.example"))).reason is None


async def test_of_two_at_once_one_is_in_doubt(journal, desk):
    tenants = ("a.example", "b.example")
    documents = [desk.document(tenant=one, rivals=(other,)) for one, other in (tenants, tenants[::-1])]
    found = await asyncio.gather(*map(journal.append, documents))
    assert {None, Reason.TENANT_IN_DOUBT} == {appended.reason for appended in found}


async def test_an_order_that_came_under_another_name_of_its_tenant_is_the_same_order(journal, desk):
    def of(tenant, *also, order="1042", **more):
        return desk.document(order, tenant=tenant, also=also, **more)

    first = await journal.append(of("new.example"))
    again = await journal.append(of("old.example", "older.example", "new.example"))
    assert (first.lane, None) == (again.lane, again.reason)
    fresh = await journal.append(of("old.example", "new.example", order="1043"))
    assert fresh.lane != first.lane
    assert "old.example" == (await journal.story(fresh.lane)).tenant
    # Its own name goes before others.
    assert fresh.lane == (await journal.append(of("old.example", "new.example", order="1043"))).lane
    doubted = await journal.append(of("c.example", "d.example", rivals=("new.example",)))
    assert Reason.TENANT_IN_DOUBT is doubted.reason


async def test_of_two_at_once_under_two_names_one_is_in_the_lane_of_the_other(journal, desk):
    names = ("a.example", "b.example")
    documents = [desk.document(tenant=one, also=(other,)) for one, other in (names, names[::-1])]
    found = await asyncio.gather(*map(journal.append, documents))
    assert 1 == len({appended.lane for appended in found})
