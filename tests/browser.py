"""A real browser without a window, led over its DevTools protocol, and visitors in it: each has cookies of its own."""

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.chromium import Chromium

PATIENCE = 30
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage")
_FLAGS_OF_NETWORK = ("--disable-background-networking", "--no-proxy-server", "--remote-debugging-port=0")


class Browser:
    """The process. It opens pages of this machine only, so it needs no sandbox of its own."""

    def __init__(self, chromium: Chromium):
        self._folder = Path(tempfile.mkdtemp(prefix="bridge-browser-"))
        command = [chromium.program, *_FLAGS, *_FLAGS_OF_NETWORK, f"--user-data-dir={self._folder}", "about:blank"]
        with (self._folder / "log").open("wb") as log:
            environ = {**os.environ, **chromium.environ}
            self._process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)

    async def address(self):
        """Where its protocol is spoken, as soon as it is."""
        told, until = self._folder / "DevToolsActivePort", time.monotonic() + PATIENCE
        while not (told.exists() and len(lines := told.read_text().split()) == 2):
            log = (self._folder / "log").read_text(errors="replace")
            assert time.monotonic() < until, f"the browser does not open: {log}"
            assert self._process.poll() is None, f"the browser ended: {log}"
            await asyncio.sleep(0.02)
        return f"ws://127.0.0.1:{lines[0]}{lines[1]}"

    def close(self):
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        shutil.rmtree(self._folder, ignore_errors=True)


@dataclass
class Visitor:
    """One page, and what it may remember."""

    url: str
    socket: aiohttp.ClientWebSocketResponse
    numbers: object = field(default_factory=lambda: itertools.count(1))
    answers: dict = field(default_factory=dict)
    page: str | None = None
    errors: list = field(default_factory=list)
    loaded: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, method, **params):
        number = next(self.numbers)
        answer = self.answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params}
        await self.socket.send_json(message | ({"sessionId": self.page} if self.page else {}))
        async with asyncio.timeout(PATIENCE):
            return await answer

    async def listen(self):
        async for message in self.socket:
            told = json.loads(message.data)
            if (answer := self.answers.pop(told.get("id"), None)) and not answer.done():
                if "error" in told:
                    answer.set_exception(RuntimeError(told["error"]["message"]))
                else:
                    answer.set_result(told["result"])
            elif told.get("method") == "Page.loadEventFired":
                self.loaded.set()
            elif told.get("method") == "Runtime.exceptionThrown":
                self.errors.append(told["params"]["exceptionDetails"])

    async def leading_to_a_page(self, doing):
        """Does it, and waits for the page that comes of it."""
        self.loaded.clear()
        result = await doing
        async with asyncio.timeout(PATIENCE):
            await self.loaded.wait()
        return result

    async def open(self, path):
        await self.leading_to_a_page(self.ask("Page.navigate", url=f"{self.url}{path}"))

    async def back(self):
        """As the button of the browser does it: the page may come from memory, and then it does not load."""
        entries = await self.ask("Page.getNavigationHistory")
        entry = entries["entries"][entries["currentIndex"] - 1]
        await self.ask("Page.navigateToHistoryEntry", entryId=entry["id"])
        async with asyncio.timeout(PATIENCE):
            shown = None
            while shown != f"complete{entry['url']}":
                await asyncio.sleep(0.02)
                with suppress(RuntimeError):  # asked between the two pages
                    shown = await self.run("document.readyState + location.href")

    async def run(self, script):
        """What the script comes to, in the page."""
        told = await self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def click(self, chosen, *, to_a_page=False):
        doing = self.run(f"document.querySelector({json.dumps(chosen)}).click()")
        await (self.leading_to_a_page(doing) if to_a_page else doing)


@asynccontextmanager
async def visiting(browser, url, *, before=""):
    """A new visitor of a site; `before` is a script that every page runs first."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(await browser.address(), max_msg_size=0) as socket,
    ):
        visitor = Visitor(url, socket)
        listening = asyncio.create_task(visitor.listen())
        context = (await visitor.ask("Target.createBrowserContext"))["browserContextId"]
        made = await visitor.ask("Target.createTarget", url="about:blank", browserContextId=context)
        attached = await visitor.ask("Target.attachToTarget", targetId=made["targetId"], flatten=True)
        visitor.page = attached["sessionId"]
        try:
            for domain in ("Page", "Runtime"):
                await visitor.ask(f"{domain}.enable")
            await visitor.ask("Page.addScriptToEvaluateOnNewDocument", source=before)
            yield visitor
        finally:
            visitor.page = None
            await visitor.ask("Target.disposeBrowserContext", browserContextId=context)
            listening.cancel()
