"""The pump of one destination: it starts what is due, as much as the destination takes, and sleeps in between."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from bridge.errors import JournalBusy


@asynccontextmanager
async def run(worker):
    """The worker at work; stopped at the end, and awaited."""
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await asyncio.wait_for(task, 20)


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def gate(api):
    """Keeps events waiting at the API until it is opened; how many are there at once."""

    class Gate:
        def __init__(self):
            self.opened = asyncio.Event()
            self.inside = self.most = 0

        async def enter(self, _body):
            self.inside += 1
            self.most = max(self.most, self.inside)
            await self.opened.wait()
            self.inside -= 1

    found = Gate()
    api.on_event = found.enter
    return found


async def test_what_was_there_before_and_what_comes_is_sent(journal, api, order, working):
    await journal.append(order(1))
    async with working() as worker, run(worker):
        await until(lambda: 2 == len(api.received))
        await journal.append(order(2))
        await until(lambda: 4 == len(api.received))


async def test_no_more_orders_are_in_flight_than_the_limit(journal, order, working, gate, api):
    for number in range(10):
        await journal.append(order(number))
    async with working(concurrency=3) as worker, run(worker):
        await until(lambda: 3 == gate.inside)
        assert (3, 3) == (worker.in_flight, worker.limit)
        gate.opened.set()
        await until(lambda: 20 == len(api.received))
    assert 3 == gate.most


async def test_who_stops_it_waits_for_what_is_in_flight(journal, order, working, gate, api):
    await journal.append(order())
    async with working() as worker:
        task = asyncio.create_task(worker.run())
        await until(lambda: 1 == gate.inside)
        worker.stop()
        await asyncio.sleep(0)
        assert not task.done()
        gate.opened.set()
        await asyncio.wait_for(task, 20)
    assert 2 == len(api.received)
    (lane,) = await journal.find("1")
    assert not (await journal.story(lane)).waiting


async def test_a_stopped_worker_starts_nothing_more(journal, api, order, working):
    async with working() as worker:
        worker.stop()
        await asyncio.wait_for(worker.run(), 20)
        await journal.append(order())
        await asyncio.wait_for(worker.run(), 20)
    assert [] == api.received


async def test_a_no_to_everything_pauses_it_and_a_probe_that_is_accepted_lets_all_go(journal, api, order, working):
    api.status = 401
    for number in range(5):
        await journal.append(order(number))
    async with working() as worker, run(worker):
        await until(lambda: "paused" == worker.state)
        assert worker.reason
        assert worker.since is not None
        api.status = 200
        await until(lambda: "well" == worker.state)
        await until(lambda: 5 == api.received.count("order.confirmed"))
    assert "" == worker.reason


async def test_a_busy_journal_is_asked_again(journal, api, order, working, monkeypatch):
    claim, problems = journal.claim, [JournalBusy("busy"), JournalBusy("busy")]

    async def busy(*args, **kwargs):
        if problems:
            raise problems.pop()
        return await claim(*args, **kwargs)

    monkeypatch.setattr(journal, "claim", busy)
    monkeypatch.setattr("bridge.delivery.worker._JOURNAL_AGAIN", 0.01)
    await journal.append(order())
    async with working() as worker, run(worker):
        await until(lambda: 2 == len(api.received))
    assert [] == problems


async def test_the_latency_of_the_last_requests_is_known(journal, api, order, working):
    await journal.append(order())
    async with working() as worker, run(worker):
        assert 0.0 == worker.latency
        await until(lambda: 2 == len(api.received) and not worker.in_flight)
        assert worker.latency > 0
