"""An API that is never the limit: a raw protocol that answers 200 at once. GET /count tells how many events came.

Usage: python -m tests.bench.sink PORT [MILLISECONDS]   events are answered after that long
"""

import asyncio
import re
import sys

import uvloop

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_delay = float(sys.argv[2]) / 1000 if len(sys.argv) > 2 else 0.0
_count = 0
_profiles = 0


class _Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = _LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            sent, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            body = _answer(head, sent)
            if _delay and b"/count" not in head:
                loop = asyncio.get_running_loop()
                loop.call_later(_delay, self._transport.write, _HEAD % len(body) + body)
            else:
                self._transport.write(_HEAD % len(body) + body)


def _answer(head: bytes, sent: bytes) -> bytes:
    global _count, _profiles  # noqa: PLW0603  all that it knows
    if b"/v1/profiles" in head:
        _profiles += 1
        return b'{"id":"P%d"}' % _profiles
    if b"/count" in head:
        return str(_count).encode()
    if b"/sessions/" in head:
        return b'{"id":"%b",%b' % (head.split(b" ")[1].rpartition(b"/")[2], sent[1:])  # whose it is now: as was asked
    _count += 1
    return b'{"status":"received"}'


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
