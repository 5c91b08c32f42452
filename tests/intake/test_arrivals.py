"""What arrives in one turn is verified, named and stored together, and nobody suffers from his neighbours."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest

from bridge.contract import Envelope, HttpArrival, Reason, Verified
from bridge.errors import JournalBroken, NotAuthentic
from bridge.intake.arrivals import ArrivalBatch, Delivery
from bridge.journal.sqlite import opened

NOW = datetime(2026, 11, 20, tzinfo=UTC)


class Source:
    """Does with a body what it says."""

    def __init__(self) -> None:
        self.steps = []

    def verify(self, arrival):
        self.steps.append(("verify", arrival.body))
        if arrival.body == b"forged":
            raise NotAuthentic("forged")
        return Verified(tenant="a", secret=0)

    def read(self, arrival, verified):
        self.steps.append(("read", arrival.body))
        if arrival.body == b"bug":
            raise ZeroDivisionError
        if arrival.body == b"stop":
            next(iter(()))
        name = "\udcff" if arrival.body == b"no text" else arrival.body.decode()
        aliases = (7,) if arrival.body == b"no alias" else ()
        return Envelope(
            source="s",
            id=name,
            topic="t",
            kind="order",
            tenant=verified.tenant,
            lane="7",
            received_at=NOW,
            raw=arrival.body,
            aliases=aliases,
        )


@pytest.fixture
async def gathering(tmp_path):
    async with opened(tmp_path / "journal.db", destinations=("api",)) as journal:
        yield ArrivalBatch(journal)


@pytest.fixture
def source():
    return Source()


def _arrival(body):
    return HttpArrival(source="s", headers={}, body=body, received_at=NOW)


async def _over(gathering, source, *bodies):
    return await asyncio.gather(*(gathering.over(source, _arrival(body)) for body in bodies))


async def test_each_step_is_done_for_all_and_then_the_next(gathering, source):
    first, second = await _over(gathering, source, b"1", b"2")
    assert [("verify", b"1"), ("verify", b"2"), ("read", b"1"), ("read", b"2")] == source.steps
    assert [None, None] == [first.problem, second.problem]
    assert ["1", "2"] == [first.envelope.id, second.envelope.id]
    assert [1, 2] == [first.appended.seq, second.appended.seq]
    assert "a" == first.verified.tenant


async def test_what_is_wrong_with_one_is_told_to_that_one_alone(gathering, source):
    over = await _over(gathering, source, b"1", b"forged", b"bug", b"stop", b"no text", b"no alias", b"2")
    kinds = [type(delivery.problem) for delivery in over]
    nothing = type(None)
    assert [nothing, NotAuthentic, nothing, nothing, nothing, nothing, nothing] == kinds
    assert {1, 2, 3, 4, 5, 6} == {over[place].appended.seq for place in (0, 2, 3, 4, 5, 6)}
    assert "it cannot be stored (AttributeError)" == over[5].envelope.detail
    told = [over[place].envelope.detail for place in (2, 3, 4)]
    failed = "the connector failed ({})"
    assert [failed.format("ZeroDivisionError"), failed.format("StopIteration")] == told[:2]
    assert "a header that names the delivery is no text" == told[2]
    assert ("read", b"forged") not in source.steps


async def test_what_the_database_refuses_is_parked_with_its_bytes(gathering, tmp_path, source):
    with closing(sqlite3.connect(tmp_path / "journal.db")) as other:
        other.execute(
            "CREATE TRIGGER no BEFORE INSERT ON envelope WHEN new.kind = 'order' BEGIN SELECT raise(ABORT, ''); END"
        )
    (first,) = await _over(gathering, source, b"1")
    assert (None, "1", "unreadable") == (first.problem, first.envelope.id, first.envelope.kind)
    assert (b"1", Reason.UNREADABLE) == (first.envelope.raw, first.envelope.reason)
    assert "it cannot be stored: SQLite refuses it (IntegrityError)" == first.envelope.detail
    (again,) = await _over(gathering, source, b"1")
    assert again.appended.known


async def test_who_waits_no_more_holds_up_nobody(gathering, source):
    gone = asyncio.create_task(gathering.over(source, _arrival(b"gone")))
    stays = asyncio.create_task(gathering.over(source, _arrival(b"stays")))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert "stays" == (await stays).envelope.id


async def test_a_later_turn_begins_anew(gathering, source):
    for body in (b"1", b"2"):
        await gathering.over(source, _arrival(body))
    assert [("verify", b"1"), ("read", b"1"), ("verify", b"2"), ("read", b"2")] == source.steps


async def test_what_is_late_ends_once_whatever_comes_after(gathering, source):
    ended = []
    delivery = Delivery(source, _arrival(b"1"), ended.append)
    gathering.add(delivery)
    await asyncio.sleep(0)
    delivery.expire()
    stored = await gathering.over(source, _arrival(b"1"))
    assert [delivery] == ended
    assert isinstance(delivery.problem, TimeoutError)
    assert (1, True) == (stored.appended.seq, stored.appended.known), (
        "late is not lost: it is known when it comes again"
    )


async def test_a_journal_that_has_ended_is_told_to_each(tmp_path, source):
    async with opened(tmp_path / "journal.db", destinations=("api",)) as journal:
        gathering = ArrivalBatch(journal)
    await asyncio.sleep(0)
    over = await _over(gathering, source, b"1", b"2")
    assert [JournalBroken, JournalBroken] == [type(delivery.problem) for delivery in over]


async def test_large_bodies_are_gone_through_in_turns_of_their_own(gathering, source):
    """Others' work comes between them: each step costs some milliseconds a megabyte."""
    turns = []

    async def turning():
        while True:
            source.steps.append(("turn", b""))
            await asyncio.sleep(0)

    turner = asyncio.create_task(turning())
    small, large = b"1", b"2" * 900_000
    found = [gathering.over(source, _arrival(body)) for body in (small, large, large + b"2", large + b"22", b"3")]
    await asyncio.gather(*found)
    turner.cancel()
    for step, body in source.steps:
        if step == "turn":
            turns.append([])
        elif step == "verify":
            turns[-1].append(len(body))
    assert [[1, 900_000], [900_001], [900_002, 1]] == [turn for turn in turns if turn]
