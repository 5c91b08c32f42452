"""Guess where a request ends in what comes over a connection.

aiohttp's parser forgets all requests of a piece in which it finds a mistake (seen with 3.14.5). A good request would be
answered 400 for what a proxy sends behind it. So each request is given to the parser in a piece of its own. The guesses
decide nothing else: the parser finds the same requests in the same bytes, wherever they are cut.
"""

from collections.abc import Iterator

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_MOST_DIGITS = 15  # digits of a length that is believed


class Boundaries:
    """The boundaries of the requests of one connection.

    longest  bytes of a head; behind a longer one nothing is guessed
    """

    __slots__ = ("_body", "_head", "_longest")

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._body = 0
        """Bytes that are still to come of a body."""
        self._head = bytearray()
        """What has come of a head that is not whole."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Cut the bytes behind each request that ends in them."""
        start = 0
        while start < len(data):
            stop = start + self._body if self._body else self._end_of_head(data, start)
            if stop >= len(data):
                self._body = stop - len(data)
                break
            self._body = 0
            yield data[start:stop]
            start = stop
        yield data[start:] if start else data

    def _end_of_head(self, data: bytes, start: int) -> int:
        """Find where the request ends whose head begins, or goes on, at `start`."""
        before = len(self._head)
        if before > self._longest:
            return len(data)
        if before:
            self._head += data[start:]
            end = self._head.find(_END_OF_HEAD, max(0, before - 3))
            head, stop = bytes(self._head[:end]), start + end + 4 - before
        else:
            end = data.find(_END_OF_HEAD, start)
            head, stop = data[start:end], end + 4
            if end < 0:
                self._head += data[start:]
        if end < 0:
            return len(data)
        self._head.clear()
        return stop + _length(head)


def _length(head: bytes) -> int:
    """The length of the body that a head announces; 0 if it announces none."""
    _, found, rest = head.lower().partition(_LENGTH)
    digits = rest.partition(b"\r\n")[0].strip() if found else b""
    return int(digits) if digits.isdigit() and len(digits) <= _MOST_DIGITS else 0
