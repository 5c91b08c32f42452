"""A replica: a real process of the program with a clock of its own, behind its own proxy to the database."""

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from typing import Any

from tests.bench.programs import free_port
from tests.processes import Process
from tests.replicas.plan import LEASE
from tests.replicas.proxy import Proxy

SECRET = "shhh"
CONFIG = """
sources:
  shop: {{connector: shopify, shops: {{example.myshopify.com: {{secrets: [env:SHOPIFY_SECRET]}}}}}}
destinations:
  hellotext: {{connector: hellotext, token: env:HELLOTEXT_TOKEN, url: "{api}", session_patience: 300ms}}
journal:
  {{kind: postgres, url: env:DATABASE, schema: {schema}, lease: {lease}s, poll: 500ms, timeout: 2s, pool: 6}}
door: {{host: 127.0.0.1, port: {port}}}
private: {{port: {private}}}
delivery:
  {{first_wait: 20ms, longest_wait: 500ms, concurrency: 16, grace: 2s, connect_timeout: 1s, read_timeout: 5s,
  total_timeout: 8s}}
logs: {{style: json}}
include: [shopify/default]
"""
_BUGS = ("connector.failed", "reload.failed", "log")
"""Events that a process logs when there is a bug, and a library's own words."""


class Replica(Process):
    """One replica. ahead: seconds that its clock is ahead; now: the time of the trial."""

    def __init__(
        self, number: int, folder: Any, api: str, schema: str, *, proxy: Proxy, ahead: float, now: Callable[[], float]
    ) -> None:
        self.number = number
        self.proxy = proxy
        self.port, private = free_port(), free_port()
        self.program = ("-m", "tests.replicas.with_clock", str(ahead))
        text = CONFIG.format(api=api, schema=schema, lease=LEASE, port=self.port, private=private)
        environ = {
            "SHOPIFY_SECRET": SECRET,
            "HELLOTEXT_TOKEN": f"replica-{number}",
            "DATABASE": f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres?sslmode=disable",
        }
        super().__init__(folder, f"replica-{number}", text, environ, private)
        self.disturbed: list[float] = []
        """Moments at which something was done to it."""
        self.is_frozen = False
        self._launched_at = 0
        """Bytes of its log that earlier processes have written."""
        self._now = now

    @property
    def door(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhooks/shop"

    @property
    def is_up(self) -> bool:
        return self.running is not None and self.running.returncode is None

    @property
    def has_died(self) -> bool:
        """Whether it has ended, and nobody wanted that."""
        return self.running is not None and self.running.returncode is not None

    def disturb(self) -> None:
        self.disturbed.append(self._now())

    async def disturbed_for(self, seconds: float) -> None:
        """Wait while something is being done to it."""
        until = self._now() + seconds
        while (left := until - self._now()) > 0:
            self.disturb()
            await asyncio.sleep(min(left, 0.5))
        self.disturb()

    @property
    def has_served(self) -> bool:
        """Whether it was ready since it was launched."""
        with self.log.open("rb") as log:
            log.seek(self._launched_at)
            return b'"service.started"' in log.read()

    async def launch(self) -> None:
        """Start it. Without its database it ends again, and is to be launched once more."""
        self.disturb()
        self._launched_at = self.log.stat().st_size if self.log.exists() else 0
        self.running = await self._launched()

    async def kill(self) -> None:
        """It is gone, frozen or not."""
        running, self.running = self.running, None
        self.disturb()
        self.is_frozen = False
        running.kill()
        await running.wait()

    async def stop(self) -> int:
        """Ask it to end; its exit code."""
        running, self.running = self.running, None
        self.disturb()
        running.send_signal(signal.SIGTERM)
        self._goes_on(running)
        try:
            return await asyncio.wait_for(running.wait(), 20)
        except TimeoutError:
            running.kill()
            await running.wait()
            return -1

    def _goes_on(self, running: Any) -> None:
        running.send_signal(signal.SIGCONT)
        self.is_frozen = False

    async def frozen(self, seconds: float) -> None:
        running = self.running
        running.send_signal(signal.SIGSTOP)
        self.is_frozen = True
        await self.disturbed_for(seconds)
        if running is self.running and running.returncode is None:
            self._goes_on(running)

    def lines(self) -> Iterator[dict[str, Any]]:
        """What it has logged."""
        for line in self.log.read_text().splitlines() if self.log.exists() else ():
            if line.startswith("{"):
                yield json.loads(line)

    def bugs(self) -> list[str]:
        """Whatever its log tells of a bug."""
        text = self.log.read_text() if self.log.exists() else ""
        plain = [line for line in text.splitlines() if "Traceback" in line and not line.startswith("{")]
        return plain + [str(line) for line in self.lines() if line["event"] in _BUGS]
