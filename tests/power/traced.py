"""Real processes of the program under the tracer, and senders whose answers the trace can tell apart."""

import asyncio
import itertools
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from tests.power import tracer
from tests.processes import ROOT
from tests.walks.processes import ShopProcess

_PATIENCE = 60  # seconds for a command


class Child:
    """A process that the driver has started. It looks as one of asyncio."""

    def __init__(self, pid):
        self.pid = pid
        self.returncode = None
        self._ended = asyncio.Event()

    def ended(self, code):
        self.returncode = code
        self._ended.set()

    def send_signal(self, number):
        if self.returncode is None:
            os.kill(self.pid, number)

    async def wait(self):
        await self._ended.wait()
        return self.returncode


class Traced:
    """The tracer, and below it all that is started here. Raises NotToBeHad where nothing can be traced."""

    def __init__(self, folder):
        self.trace = folder / "trace"
        self.log = folder / "commands.log"
        self._folder = folder
        self._numbers = itertools.count(1)
        self._children = {}
        self._starting = {}

    async def __aenter__(self):
        strace, environ = await asyncio.to_thread(tracer.program)
        words = tracer.command(strace, self.trace)
        self._tracer = await asyncio.create_subprocess_exec(
            *words,
            sys.executable,
            Path(__file__).with_name("driver.py"),
            self._folder / "marks.log",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **environ},
            cwd=ROOT,
        )
        self._hearing = asyncio.create_task(self._hear())
        return self

    async def __aexit__(self, *problem):
        for child in self._children.values():
            with suppress(ProcessLookupError):
                child.send_signal(signal.SIGKILL)
        self._tracer.stdin.close()
        await self._hearing
        await self._tracer.wait()

    async def _hear(self):
        while line := await self._tracer.stdout.readline():
            said = json.loads(line)
            if "started" in said:
                child = self._children[said["started"]] = Child(said["process"])
                self._starting.pop(said["started"]).set_result(child)
            elif "ended" in said:
                self._children[said["ended"]].ended(said["code"])
        for future in self._starting.values():
            future.set_exception(RuntimeError("the tracer has ended"))

    async def start(self, name, *words, environ=None, log=None):
        """The child. words: of `python`. name: one that was not given before."""
        asked = {"name": name, "words": [str(word) for word in words], "environ": environ or {}}
        future = self._starting[name] = asyncio.get_running_loop().create_future()
        self._tracer.stdin.write(json.dumps({**asked, "log": str(log or self.log)}).encode() + b"\n")
        return await asyncio.wait_for(future, _PATIENCE)

    async def run(self, name, *words, environ=None):
        """Run a command of the program to its end."""
        child = await self.start(name, "-m", "bridge", *words, environ=environ)
        code = await asyncio.wait_for(child.wait(), _PATIENCE)
        assert code == 0, f"{name}: {self.log.read_text()[-2000:]}"


class TracedShop(ShopProcess):
    """A bridge for one shop, under the tracer."""

    def __init__(self, traced, folder, url, environ, ports, journal, *, more=""):
        self._traced = traced
        self._runs = itertools.count(1)
        super().__init__(folder, url, environ, ports, journal=journal)
        self.config.write_text(self.config.read_text() + more)
        self._own = environ
        self.name = ""

    async def _launched(self):
        self.name = f"run {self.private} {next(self._runs)}"
        words = ("-m", "bridge", "run", "--config", self.config)
        return await self._traced.start(self.name, *words, environ=self._own, log=self.log)


class Sender:
    """Posts one order after another over one connection, from an address that no other sender has."""

    _ADDRESSES = itertools.count(1)

    def __init__(self, port, signer):
        number = next(self._ADDRESSES)
        self._host = f"127.77.{number // 250}.{number % 250 + 1}"
        self._port = port
        self._signer = signer
        self._streams = None
        self.client = ""
        self.sent = []

    async def post(self, number, body):
        """The status. Raises OSError, EOFError where nobody answers: then this sender has ended."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(self._host, 0))
            self.client = self._host
        reader, writer = self._streams
        headers = self._signer.sign(body, topic="orders/create", tenant=None, delivery_id=number)
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        start = f"POST /webhooks/shop HTTP/1.1\r\nHost: bridge\r\nContent-Length: {len(body)}\r\n{head}\r\n"
        self.sent.append(number)
        writer.write(start.encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(answer.partition("content-length:")[2].partition("\r\n")[0] or 0)
        await reader.readexactly(length)
        return int(answer.split()[1])

    def close(self):
        if self._streams is not None:
            self._streams[1].close()
