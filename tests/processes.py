"""The installed program in a process of its own."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from bridge.telemetry import WAITING

ROOT = Path(__file__).parents[1]


class Process:
    """A bridge that can be stopped, frozen and killed."""

    program = ("-m", "bridge")

    def __init__(self, folder, name, text, environ, private):
        self.config = folder / f"{name}.yaml"
        self.log = folder / f"{name}.log"
        self.private = private
        self.config.write_text(text)
        self.environ = {**os.environ, **environ}
        self.running = None

    async def start(self):
        self.running = await self._launched()
        async with aiohttp.ClientSession() as session, asyncio.timeout(30):
            while True:
                assert self.running.returncode is None, self.log.read_text()
                with suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{self.private}/readyz") as ready:
                        if ready.status == 200:
                            return self
                await asyncio.sleep(0.05)

    async def _launched(self):
        with self.log.open("ab") as log:
            command = (*self.program, "run", "--config", self.config)
            return await asyncio.create_subprocess_exec(
                sys.executable, *command, cwd=ROOT, env=self.environ, stderr=log
            )

    def send(self, number):
        self.running.send_signal(number)

    async def end(self, number=signal.SIGTERM):
        if self.running is None or self.running.returncode is not None:
            return None
        self.running.send_signal(number)
        if number == signal.SIGTERM:
            self.running.send_signal(signal.SIGCONT)
        return await asyncio.wait_for(self.running.wait(), 40)

    async def said(self, text, *, seconds=60):
        """Waits until its log has a text."""
        async with asyncio.timeout(seconds):
            while text not in self.log.read_text():
                await asyncio.sleep(0.05)

    async def settled(self, *, seconds=60):
        """Waits until its journal has nothing to do: what the API received may not be settled yet, and is repeated
        after a kill where it may be."""
        async with aiohttp.ClientSession() as session, asyncio.timeout(seconds):
            while await self._waiting(session):
                await asyncio.sleep(0.05)

    async def _waiting(self, session):
        async with session.get(f"http://127.0.0.1:{self.private}/metrics") as answer:
            families = text_string_to_metric_families(await answer.text())
        (waiting,) = (family for family in families if family.name == WAITING._name)
        assert waiting.samples, "no destination says what waits"
        return sum(sample.value for sample in waiting.samples)
