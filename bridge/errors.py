"""The errors of the bridge, as a tree:

    BridgeError
    ├── Refusal                what the door answers with, instead of 200
    │   ├── Answered           a request that is answered and not stored, such as a ping
    │   ├── NotAuthentic       401: no configured secret made this signature
    │   └── Malformed          400: authentic, but not a document of its topic
    ├── NotNow                 a record that can be read later
    ├── StreamError            a stream cannot be read now, and why
    ├── ErrandFailed           a platform could not be asked, and what to do
    │   └── NoAnswer           it did not answer
    ├── ConfigurationError     every problem of a configuration at once
    └── JournalError
        ├── JournalBusy        the journal cannot take writes now (full disk, too slow): try again
        ├── NotStorable        the database refuses what was to be written, now and always: it is no passing fault
        ├── LaneLost           another process has this lane now: nothing of it may be sent or stored here
        ├── ClaimRevoked       a person has decided since it was claimed: it is given back, and nothing of it is sent
        ├── JournalInUse       another process owns it
        ├── JournalUnreadable  not a journal, or one written by a newer version
        └── JournalBroken      an I/O error: the process must end

No message of these errors holds a secret or personal data: they are logged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class BridgeError(Exception):
    """A problem that the person who runs the bridge can act on. Its text says what, where and what to do."""


class Refusal(BridgeError):
    """A request that the door does not take."""

    status = 400


class Reply(NamedTuple):
    """An answer of the door.

    text    ASCII
    type    its media type
    stored  whether it says that a delivery is stored. Set by the core
    """

    status: int = 200
    text: str = ""
    type: str = "text/plain; charset=utf-8"
    stored: bool = False


class Answered(Refusal):
    """A request that asks for an answer and brings no document: a ping, a challenge, a topic that is ignored. It is
    answered with success, and not stored."""

    def __init__(self, why: str, reply: Reply = Reply()) -> None:  # noqa: B008  it cannot be changed
        super().__init__(why)
        self.reply = reply
        self.status = reply.status


class NotAuthentic(Refusal):
    """The signature was made by no configured secret, or the tenant is not configured."""

    status = 401


class Examined(Refusal):
    """A signed request by which a person examines the door. It is no delivery, and is not stored."""

    status = 422


class Malformed(Refusal):
    """The signature holds, but the body is not a document of its topic."""


class NotNow(BridgeError):
    """A record that cannot be read before something else is there again, such as a schema registry."""


class StreamError(BridgeError):
    """The brokers cannot be used now: out of reach, or they refuse us. It is tried again."""


class InstanceTaken(StreamError):
    """Another member of the group has our `instance`. It is looked at again, and joined when that one is gone."""


class ErrandFailed(BridgeError):
    """A platform could not be asked for something beside its deliveries. On a schedule it is tried again."""


class NoAnswer(ErrandFailed):
    """The platform is out of reach, or silent for too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong in a configuration, where it stands, and what to write instead."""

    message: str
    path: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return ": ".join(part for part in (place, self.path, self.message) if part)


class ConfigurationError(BridgeError):
    """All problems of a configuration, in the order in which they stand in the files.

    Parts of a file may share a value by an alias of YAML. A problem of such a value is reported once, at the first
    part.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        found: dict[tuple[str, str, int, int, str], Problem] = {}
        for each in problems:
            path = each.path.rpartition(".")[2] if each.line else each.path
            found.setdefault((each.message, each.file, each.line, each.column, path), each)
        self.problems = tuple(found.values())
        super().__init__("\n".join(str(problem) for problem in self.problems))


class JournalError(BridgeError):
    """The journal could not do what was asked."""


class JournalBusy(JournalError):
    """The journal cannot take writes now. Nothing was stored, and the caller may try again."""


class NotStorable(JournalError):
    """The database refuses this content, now and the next time. What came together with it was stored without it."""


class LaneLost(JournalError):
    """The lease on a claimed lane has ended, and another process may have it. Nothing was stored, and nothing may be
    sent."""


class ClaimRevoked(JournalError):
    """A person has decided about the order since the document was claimed. Nothing more of this claim is sent."""


class JournalInUse(JournalError):
    """Another process owns this journal."""


class JournalUnreadable(JournalError):
    """The file is not a journal of this bridge, or was written by a newer version."""


class JournalBroken(JournalError):
    """The disk failed under the journal. Only what was confirmed may be believed. Ends the process."""
