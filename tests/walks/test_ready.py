"""Ready is who takes deliveries: nobody is sent orders before the door is open."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp

from bridge import fast_path, service


async def _readyz(port):
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/readyz") as answer:
        return answer.status


async def test_a_service_is_not_ready_before_its_door_is_open(settings_for, sandbox, monkeypatch):
    may_open, private, opened = asyncio.Event(), asyncio.Event(), asyncio.Event()
    ports, listening = [], fast_path.listening
    serving = service.status.serving

    @asynccontextmanager
    async def watched(*given, **named):
        async with serving(*given, **named) as port:
            ports.append(port)
            private.set()
            yield port

    async def slow(**named):
        await may_open.wait()
        return await listening(**named)

    monkeypatch.setattr(service.status, "serving", watched)
    monkeypatch.setattr(fast_path, "listening", slow)
    ending = service.Shutdown()
    running = asyncio.create_task(service.serve(settings_for(sandbox), ending, opened_as=lambda _: opened.set()))
    async with asyncio.timeout(30):
        await private.wait()
        assert 503 == await _readyz(ports[0])
        may_open.set()
        await opened.wait()
        assert 200 == await _readyz(ports[0])
        ending.stop.set()
        await running
