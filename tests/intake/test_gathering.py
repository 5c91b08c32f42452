"""What arrives in one turn is verified and named together, and nobody suffers from his neighbours."""

import asyncio
from datetime import UTC, datetime

import pytest

from bridge.contract import Envelope, HttpArrival, Verified
from bridge.errors import Malformed, NotAuthentic
from bridge.intake.gathering import Gathering

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
        name = "\udcff" if arrival.body == b"no text" else "7"
        return Envelope(
            source="s", id=name, topic="t", kind="order", tenant=verified.tenant, lane="7", received_at=NOW, raw=b"{}"
        )


def _arrival(body):
    return HttpArrival(source="s", headers={}, body=body, received_at=NOW)


async def test_each_step_is_done_for_all_and_then_the_next():
    source, gathering = Source(), Gathering()
    read = await asyncio.gather(*(gathering.read(source, _arrival(body)) for body in (b"1", b"2")))
    assert ["7", "7"] == [envelope.id for _, envelope in read]
    assert [("verify", b"1"), ("verify", b"2"), ("read", b"1"), ("read", b"2")] == source.steps


async def test_what_is_wrong_with_one_is_told_to_that_one_alone():
    source, gathering = Source(), Gathering()
    bodies = (b"1", b"forged", b"bug", b"stop", b"no text", b"2")
    told = await asyncio.gather(*(gathering.read(source, _arrival(body)) for body in bodies), return_exceptions=True)
    kinds = [type(one) for one in told]
    assert [tuple, NotAuthentic, ZeroDivisionError, RuntimeError, Malformed, tuple] == kinds
    assert ("read", b"forged") not in source.steps


async def test_who_waits_no_more_holds_up_nobody_and_is_not_read():
    source, gathering = Source(), Gathering()
    gone = asyncio.create_task(gathering.read(source, _arrival(b"gone")))
    stays = asyncio.create_task(gathering.read(source, _arrival(b"stays")))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert "7" == (await stays)[1].id
    assert ("read", b"stays") in source.steps


async def test_a_later_turn_begins_anew():
    source, gathering = Source(), Gathering()
    for body in (b"1", b"2"):
        await gathering.read(source, _arrival(body))
    assert [("verify", b"1"), ("read", b"1"), ("verify", b"2"), ("read", b"2")] == source.steps
