"""Load: signed orders over keep-alive connections, each sent when the one before was answered (a closed loop).

Usage: python -m tests.bench.load PORT PATH COUNT CONNECTIONS. Prints JSON: rate (a second), p50 and p99
(milliseconds), and started and ended by the monotonic clock.
A raw protocol with requests built beforehand, so that the load is not the limit.
"""

import asyncio
import base64
import hmac
import json
import re
import sys
import time
from collections.abc import Iterator

import uvloop

from tests.bench.orders import SECRET, SHOP, orders

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def requests(path: str, count: int) -> Iterator[bytes]:
    """Whole requests, as Shopify makes them."""
    for number, body in orders(count):
        signature = base64.b64encode(hmac.digest(SECRET.encode(), body, "sha256")).decode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"X-Shopify-Topic: orders/create\r\n"
            f"X-Shopify-Shop-Domain: {SHOP}\r\nX-Shopify-API-Version: 2026-10\r\nX-Shopify-Webhook-Id: {number}\r\n"
            f"X-Shopify-Triggered-At: 2026-11-20T13:05:36.877041743Z\r\nX-Shopify-Hmac-Sha256: {signature}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        yield head.encode() + body


class _Connection(asyncio.Protocol):
    def __init__(self, run: "_Run") -> None:
        self._run = run
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def _next(self) -> None:
        request = next(self._run.requests, None)
        if request is not None:
            self._sent_at = time.perf_counter()
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._buffer[:end])
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < whole:
            return
        self._run.answered(self._buffer[9:12], time.perf_counter() - self._sent_at)
        self._buffer = self._buffer[whole:]
        self._next()


class _Run:
    def __init__(self, path: str, count: int) -> None:
        self.requests = iter(list(requests(path, count)))
        self.left = count
        self.seconds: list[float] = []
        self.done = asyncio.get_running_loop().create_future()

    def answered(self, status: bytes, seconds: float) -> None:
        if status != b"200":
            self.done.set_exception(RuntimeError(f"answered {status.decode()}"))
        self.seconds.append(seconds)
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)


async def main(port: int, path: str, count: int, connections: int) -> None:
    run = _Run(path, count)
    started = time.monotonic()
    for _ in range(connections):
        await asyncio.get_running_loop().create_connection(lambda: _Connection(run), "127.0.0.1", port)
    await run.done
    ended = time.monotonic()
    seconds = sorted(run.seconds)
    p50, p99 = (seconds[int(count * part)] * 1e3 for part in (0.5, 0.99))
    told = {"rate": count / (ended - started), "p50": p50, "p99": p99, "started": started, "ended": ended}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
