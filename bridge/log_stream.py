"""Write log lines without ever waiting: a log that nobody reads must not stop the work that it is about.

The reader of a pipe may have stopped, a terminal may be held (Ctrl-S), the socket of a log service may be stalled. What
does not fit is kept up to a bound; what is beyond the bound is dropped and counted.
"""

import os
import select
import socket
import stat
from collections import deque
from contextlib import suppress
from typing import BinaryIO, Protocol

from bridge import clock

_MOST_BYTES = 1024 * 1024
"""The most bytes of lines that could not be written yet."""

_PIECE = 4096
"""Bytes that a pipe takes at once where it says that it is ready (PIPE_BUF)."""

_AT_THE_END = 1.0
"""Seconds in which the last lines may still be written when the process ends."""


class _Sink(Protocol):
    def write(self, data: bytes) -> int:
        """Write, and return how many bytes were taken. Raises BlockingIOError if none can be now, OSError if none can
        be ever."""

    def close(self) -> None:
        """Close whatever was opened beside the stream."""


class _Plain:
    """A file on a disk, or what has no descriptor."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        if not self._stream.closed:
            self._stream.write(data)
            self._stream.flush()
        return len(data)

    def close(self) -> None:
        """Close nothing: nothing was opened."""


class _Reopened:
    """A pipe or terminal, opened anew. This opening does not block, and other openings stay as they are."""

    def __init__(self, descriptor: int) -> None:
        self._own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)

    def write(self, data: bytes) -> int:
        return os.write(self._own, data)

    def close(self) -> None:
        os.close(self._own)


class _Socket:
    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=os.dup(descriptor))

    def write(self, data: bytes) -> int:
        return self._socket.send(data, socket.MSG_DONTWAIT)

    def close(self) -> None:
        self._socket.close()


class _Polled:
    """A pipe that may not be opened anew, such as one that belongs to another user."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def write(self, data: bytes) -> int:
        if not self._poll.poll(0):
            raise BlockingIOError
        return os.write(self._descriptor, data[:_PIECE])

    def close(self) -> None:
        """Close nothing: nothing was opened."""


def _sink_of(stream: BinaryIO) -> _Sink:
    try:
        descriptor = stream.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError):
        return _Plain(stream)
    if stat.S_ISSOCK(mode):
        return _Socket(descriptor)
    if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        return _Plain(stream)
    try:
        return _Reopened(descriptor)
    except OSError:
        return _Polled(descriptor)


class LogStream:
    """Lines to a stream. Never waits and never raises."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._sink: _Sink | None = None
        self._waiting: deque[bytes] = deque()
        self._bytes = 0

    @property
    def is_behind(self) -> bool:
        """Whether lines wait to be written."""
        return bool(self._waiting)

    def put(self, lines: list[bytes]) -> int:
        """Write lines, or keep them for later. Returns how many lines were lost for good."""
        lost = 0
        for line in lines:
            if self._bytes + len(line) > _MOST_BYTES:
                lost += 1
            else:
                self._waiting.append(line)
                self._bytes += len(line)
        return lost + self.write_on()

    def write_on(self) -> int:
        """Write what waits, as far as it is taken now. Returns how many lines were lost for good."""
        if self._sink is None:
            self._sink = _sink_of(self._stream)
        try:
            while self._waiting:
                self._taken(self._sink.write(b"".join(self._waiting)))
        except BlockingIOError:
            return 0
        except (OSError, ValueError):
            lost = len(self._waiting)
            self._waiting.clear()
            self._bytes = 0
            return lost
        return 0

    def _taken(self, count: int) -> None:
        self._bytes -= count
        while count:
            line = self._waiting.popleft()
            if count < len(line):
                self._waiting.appendleft(line[count:])
                return
            count -= len(line)

    def close(self) -> None:
        """Close. What waits is given up."""
        if self._sink is not None:
            self._sink.close()
            self._sink = None

    def end(self) -> int:
        """Close, after at most a second for the last lines. Returns how many lines were lost for good."""
        until = clock.monotonic() + _AT_THE_END
        lost = self.write_on()
        while self._waiting and clock.monotonic() < until:
            with suppress(OSError, ValueError):
                select.select([], [self._stream], [], 0.05)
            lost += self.write_on()
        self.close()
        return lost + len(self._waiting)
