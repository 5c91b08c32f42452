"""Lines that nobody reads stop nothing: not the caller, not the door, not the end of the process."""

import asyncio
import os
import pty
import signal
import socket
import sys
from contextlib import suppress

import aiohttp
import pytest

from bridge import log_stream
from bridge.config import read
from bridge.log_stream import LogStream
from tests.processes import ROOT
from tests.walks.processes import CONFIG, an_order

LINE = b"x" * 999 + b"\n"


def _pipe():
    return os.pipe()


def _terminal():
    master, slave = pty.openpty()
    os.set_blocking(master, True)
    return master, slave


def _sockets():
    reading, writing = socket.socketpair()
    return reading.detach(), writing.detach()


@pytest.fixture(params=[_pipe, _terminal, _sockets], ids=["pipe", "terminal", "socket"])
def ends(request):
    reading, writing = request.param()
    with os.fdopen(writing, "wb", buffering=0) as stream:
        yield reading, stream
    os.close(reading)


def test_what_is_not_read_is_kept_within_a_bound_and_then_lost_and_counted(ends):
    reading, stream = ends
    lines = LogStream(stream)
    lost = sum(lines.put([LINE] * 10) for _ in range(300))
    assert lines.is_behind
    assert 1_500 < lost < 2_500  # a MiB is kept, and the system keeps some
    taken = 3_000 - lost
    got = b""
    while got.count(b"\n") < taken:
        got += os.read(reading, 65_536)
        assert 0 == lines.write_on()
    assert not lines.is_behind
    assert {b"x" * 999} == set(got.replace(b"\r", b"").split(b"\n")[:-1])
    lines.close()


def test_others_who_share_the_stream_still_wait_for_it(ends):
    """Not to wait is our opening's own: a shell or a sidecar with the same pipe must not get errors of ours."""
    _, stream = ends
    lines = LogStream(stream)
    lines.put([LINE])
    lines.close()
    assert os.get_blocking(stream.fileno())


def test_a_pipe_that_may_not_be_opened_anew_is_asked_first(monkeypatch):
    def refused(_descriptor):
        raise PermissionError

    monkeypatch.setattr(log_stream, "_Reopened", refused)
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb", buffering=0) as stream:
        lines = LogStream(stream)
        lost = sum(lines.put([LINE] * 10) for _ in range(300))
        assert lost > 1_500
        assert lines.is_behind
        os.read(reading, 65_536)
        lines.write_on()
    os.close(reading)


def test_a_reader_that_has_gone_loses_lines_and_nothing_else():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as stream:
        assert 3 == LogStream(stream).put([LINE] * 3)


def test_a_file_is_appended_to_by_several(tmp_path):
    path = tmp_path / "log"
    with path.open("ab") as one, path.open("ab") as other:
        LogStream(one).put([b"one\n"])
        LogStream(other).put([b"other\n"])
        LogStream(one).put([b"again\n"])
    assert b"one\nother\nagain\n" == path.read_bytes()


class _Unread:
    """A bridge whose log is a pipe that nobody reads."""

    def __init__(self, folder, url, environ, ports):
        self.port, self.private = ports
        kept = f'{{path: "{folder / "journal.db"}", min_free: 0, ballast: 0}}'
        self.config = folder / "bridge.yaml"
        self.config.write_text(CONFIG.format(fast="true", url=url, journal=kept, port=self.port, private=self.private))
        self._environ = os.environ | environ

    async def start(self, session):
        words = (sys.executable, "-m", "bridge", "run", "--config", self.config)
        self.log, writing = os.pipe()
        self.process = await asyncio.create_subprocess_exec(*words, cwd=ROOT, env=self._environ, stderr=writing)
        os.close(writing)
        async with asyncio.timeout(30):
            while not await self.is_ready(session):
                await asyncio.sleep(0.05)

    async def is_ready(self, session):
        with suppress(aiohttp.ClientError):
            async with session.get(f"http://127.0.0.1:{self.private}/readyz") as answer:
                return answer.status == 200
        return False

    async def post(self, session, signer):
        number, body = an_order(with_buyer=True)
        headers = signer.sign(body, topic="orders/create", tenant=None, delivery_id=number)
        url = f"http://127.0.0.1:{self.port}/webhooks/shop"
        async with session.post(url, data=body, headers=headers) as answer:
            return answer.status

    async def lost_lines(self, session):
        async with session.get(f"http://127.0.0.1:{self.private}/metrics") as answer:
            metrics = await answer.text()
        return float(metrics.partition("\nbridge_lost_log_lines_total ")[2].partition("\n")[0])


async def test_a_log_that_nobody_reads_stops_neither_the_door_nor_the_end(
    sandbox, environ, tmp_path, unused_tcp_port_factory
):
    bridge = _Unread(tmp_path, sandbox, environ, (unused_tcp_port_factory(), unused_tcp_port_factory()))
    signer = read(bridge.config.read_text(), environ=environ).sources["shop"]
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        await bridge.start(session)
        async with asyncio.timeout(300):
            while not await bridge.lost_lines(session):
                statuses = await asyncio.gather(*(bridge.post(session, signer) for _ in range(50)))
                assert {200} == set(statuses)
        assert await bridge.is_ready(session)
        await asyncio.wait_for(asyncio.to_thread(_until, bridge.log, b"log.resumed"), 60)
    bridge.process.send_signal(signal.SIGTERM)
    assert 0 == await asyncio.wait_for(bridge.process.wait(), 30)
    os.close(bridge.log)


def _until(reading, text):
    """Reads until a text came."""
    got = b""
    os.set_blocking(reading, True)
    while text not in got:
        got = got[-100:] + os.read(reading, 65_536)
