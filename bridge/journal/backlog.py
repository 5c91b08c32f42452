"""Documents that wait to be stored, limited in bytes.

The sender of a document may give up before it is stored, as the door does with 503, and may bring the next one. The
document still waits in the journal's queue: a disk or a database that stalls must not fill the memory.
"""

from bridge.contract import Envelope
from bridge.errors import JournalBusy

_MOST = 64 * 1024 * 1024  # bytes
_BESIDE = 2048
"""Bytes that a document takes up beside its body."""


class Backlog:
    """Knows how many bytes of documents wait in one journal."""

    def __init__(self, destinations: int) -> None:
        """Begin empty. destinations: how many a document is work for."""
        self._destinations = destinations
        self._bytes = 0

    def take(self, envelope: Envelope) -> int:
        """Take bytes for an envelope, and return them: they are given back when it is stored or refused. Raises
        JournalBusy."""
        if not self._destinations and envelope.reason is None:
            # It would be no destination's work, and never be sent.
            raise JournalBusy(
                "the journal is kept by a command that knows no destinations: nothing new is taken in before it ends"
            )
        size = len(envelope.raw) + _BESIDE
        if self._bytes and self._bytes + size > _MOST:
            raise JournalBusy(f"the journal is too slow: {self._bytes / 1e6:.0f} MB wait to be stored")
        self._bytes += size
        return size

    def give(self, size: int) -> None:
        """Give back the bytes of an append that waits no longer."""
        self._bytes -= size
