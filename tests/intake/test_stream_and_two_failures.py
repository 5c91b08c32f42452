"""Brokers that go away fail several calls at once: one is told, and none is left behind."""

import asyncio
import gc
from contextlib import asynccontextmanager
from types import SimpleNamespace

from bridge.errors import StreamError
from bridge.intake import stream


class _Failing:
    """A member whose looks fail a moment before its reading does."""

    throttled = 0.0

    def __init__(self):
        self.read = asyncio.Event()

    def elsewhere(self):
        return 0

    async def missing(self, topics):
        await self.read.wait()
        raise StreamError("asking for the topics: no answer")

    async def batch(self, asked, *, seconds, most):
        self.read.set()
        await asyncio.sleep(0)
        raise StreamError("reading: no answer")

    async def commit(self, positions):
        return False


async def test_a_read_that_fails_while_we_leave_for_another_failure_is_heard(monkeypatch):
    @asynccontextmanager
    async def opened(*_, **__):
        yield _Failing()

    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
    monkeypatch.setattr(stream, "opened", opened)
    monkeypatch.setattr(stream, "options", lambda _: {})
    subscription = SimpleNamespace(in_flight=10, bytes_in_flight=1000, pattern=None, topics=("orders",), group="g")
    source = SimpleNamespace(subscription=lambda: subscription)
    reading = stream.Stream("orders", source, journal=SimpleNamespace(is_shared=True), ask=None)
    running = asyncio.create_task(reading.run())
    async with asyncio.timeout(5):
        while not reading.trouble.endswith("no answer"):
            await asyncio.sleep(0)
    reading.stop()
    await running
    gc.collect()
    await asyncio.sleep(0)
    assert [] == told
