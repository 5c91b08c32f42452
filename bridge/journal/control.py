"""The way to a journal's owner: a Unix socket beside the file, newline-delimited JSON, acting calls only.

`acting` serves commands. A running owner is asked over its socket. If nobody owns the journal, the command owns it for
as long as it acts. Requests are {"call": name, "arguments": {...}}, answers {"result": n} or {"error": text}.
"""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from bridge.contract import Envelope, State
from bridge.errors import BridgeError, JournalError, JournalInUse
from bridge.journal import Appended, Erased, Erasure, Intake
from bridge.journal.ownership import bound, check_peer, check_socket, private_folder, trusted
from bridge.journal.sqlite import opened, reading
from bridge.journal.sqlite.identity import beside
from bridge.journal.sqlite.reader import SqliteReader

_LONGEST_PATH = 100  # bytes of a socket's path that every system allows
_USUAL = "/run/user/{}"
"""The runtime folder of a user where the environment names none, as systemd makes it."""
_LONGEST_LINE = 1 << 24
"""A document of the largest size that a door takes, as base64."""
_HEARD_OUT = 1.0
"""Seconds for which somebody who is refused may go on talking."""


def socket_path(journal: Path) -> Path:
    """The path of the socket, beside the journal, whatever link names the journal. If the path is too long for a
    socket, it is in a folder that only the journal's user may write to. Raises JournalError if others may write
    there."""
    place = _places(journal)[0]
    _check_folder(place, journal)
    return place


def _check_folder(place: Path, journal: Path) -> None:
    """Check the socket's folder. Beside the journal it is as safe as the journal. Elsewhere it must be ours alone, or
    JournalError is raised."""
    if place != beside(journal, ".sock"):
        private_folder(place.parent, trusted(journal))


def _places(journal: Path) -> Sequence[Path]:
    """All places where an owner may listen: a command need not have the owner's environment."""
    place = beside(journal, ".sock")
    if len(os.fsencode(place)) <= _LONGEST_PATH:
        return [place]
    name = f"bridge-{hashlib.blake2b(os.fsencode(place), digest_size=8).hexdigest()}.sock"
    user = journal.stat().st_uid if journal.exists() else os.geteuid()
    private = Path(tempfile.gettempdir(), f"bridge-{user}")
    given = [Path(folder)] if (folder := os.environ.get("XDG_RUNTIME_DIR")) else []
    usual = [each for each in (Path(_USUAL.format(user)),) if each.exists()]
    return [folder / name for folder in dict.fromkeys((*given, *usual, private))]


@asynccontextmanager
async def answering(
    journal: Intake, path: Path, *, released: Callable[[str, str], None] = lambda _dest, _rule: None
) -> AsyncIterator[None]:
    """Listen as the owner, for this user only (mode 0600). `released` is called with rules that a person released.

    Raises JournalError if somebody else was first at the socket's place.
    """
    place, users = socket_path(path), trusted(path)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            check_peer(writer.get_extra_info("socket"), users, place)
            while line := await reader.readline():
                writer.write(msgspec.json.encode(await _answer(journal, line, released)) + b"\n")
                await writer.drain()
        except ConnectionError:
            pass
        except JournalError as stranger:
            writer.write(msgspec.json.encode({"error": str(stranger)}) + b"\n")
            with suppress(TimeoutError, ConnectionError, ValueError):
                # Read what the stranger sends, and ignore it: closing with unread data would take our own answer back.
                await asyncio.wait_for(reader.readline(), _HEARD_OUT)
        except ValueError:  # nothing after it can be told apart
            writer.write(msgspec.json.encode({"error": f"a line of more than {_LONGEST_LINE} bytes"}) + b"\n")
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, sock=bound(place, users), limit=_LONGEST_LINE)
    try:
        yield
    finally:
        server.close()
        with suppress(OSError):
            place.unlink(missing_ok=True)


class _Refs(msgspec.Struct, forbid_unknown_fields=True):
    refs: list[str]


class _Settling(_Refs):
    state: State


class _Rule(msgspec.Struct, forbid_unknown_fields=True):
    dest: str
    rule: str


class _Feed(msgspec.Struct, forbid_unknown_fields=True):
    envelope: Envelope


class _Memory(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    value: str


class _Erasing(msgspec.Struct, forbid_unknown_fields=True):
    erasure: Erasure


class _Ref(msgspec.Struct, forbid_unknown_fields=True):
    ref: str


class _Asked(msgspec.Struct):
    call: str
    arguments: msgspec.Raw


_CALLS: Mapping[str, type[msgspec.Struct]] = {
    **dict.fromkeys(("retry", "drop", "resend"), _Refs),
    "settle": _Settling,
    "release": _Rule,
    "append": _Feed,
    "remember": _Memory,
    **dict.fromkeys(("block", "allow", "erase"), _Erasing),
    "conclude": _Ref,
    "reread": _Refs,
}
"""Names of calls of the journal, each with its arguments."""


async def _answer(journal: Intake, line: bytes, released: Callable[[str, str], None]) -> Mapping[str, object]:
    try:
        asked = msgspec.json.decode(line, type=_Asked)
        if asked.call not in _CALLS:
            return {"error": f"no such call; there are: {', '.join(_CALLS)}"}
        return {"result": await _done(journal, asked, released)}
    except (msgspec.DecodeError, UnicodeError) as problem:
        return {"error": f"not understood: {problem}"}
    except JournalError as problem:
        return {"error": str(problem)}
    except (OverflowError, TypeError, ValueError) as problem:  # a number too large, a time without its zone
        return {"error": f"cannot be stored: {type(problem).__name__}"}


async def _done(journal: Intake, asked: _Asked, released: Callable[[str, str], None]) -> object:
    """What arrives is checked before the journal sees it: nobody's garbage reaches the writer."""
    arguments = msgspec.json.decode(asked.arguments, type=_CALLS[asked.call])
    if isinstance(arguments, _Rule):
        released(arguments.dest, arguments.rule)
    return await getattr(journal, asked.call)(**msgspec.structs.asdict(arguments))


class Remote(SqliteReader):
    """Feeding, over the owner's socket; what only reads is read from the file."""

    def __init__(self, path: Path, stream: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        super().__init__(path, lambda: 0)
        self._stream = stream
        self._turn = asyncio.Lock()

    async def _call(self, call: str, **arguments: object) -> Any:  # noqa: ANN401  what the call returns
        reader, writer = self._stream
        async with self._turn:
            try:
                writer.write(msgspec.json.encode({"call": call, "arguments": arguments}) + b"\n")
                await writer.drain()
                line = await reader.readline()
            except ConnectionError:
                line = b""
        if not line:
            raise JournalError("the running bridge went away; ask again")
        answer: Any = msgspec.json.decode(line)
        if "error" in answer:
            raise JournalError(f"the running bridge says: {answer['error']}")
        return answer["result"]

    async def retry(self, refs: Sequence[str]) -> int:
        return int(await self._call("retry", refs=list(refs)))

    async def reread(self, refs: Sequence[str]) -> int:
        return int(await self._call("reread", refs=list(refs)))

    async def drop(self, refs: Sequence[str]) -> int:
        return int(await self._call("drop", refs=list(refs)))

    async def resend(self, refs: Sequence[str]) -> int:
        return int(await self._call("resend", refs=list(refs)))

    async def settle(self, refs: Sequence[str], state: State) -> int:
        return int(await self._call("settle", refs=list(refs), state=state.value))

    async def release(self, dest: str, rule: str) -> int:
        return int(await self._call("release", dest=dest, rule=rule))

    async def block(self, erasure: Erasure) -> int:
        return int(await self._call("block", erasure=erasure))

    async def allow(self, erasure: Erasure) -> int:
        return int(await self._call("allow", erasure=erasure))

    async def erase(self, erasure: Erasure) -> Erased:
        return msgspec.convert(await self._call("erase", erasure=erasure), Erased)

    async def conclude(self, ref: str) -> int:
        return int(await self._call("conclude", ref=ref))

    async def append(self, envelope: Envelope) -> Appended:
        return msgspec.convert(await self._call("append", envelope=envelope), Appended)

    async def remember(self, name: str, value: str) -> None:
        await self._call("remember", name=name, value=value)


@asynccontextmanager
async def acting(path: Path, *, destinations: Sequence[str]) -> AsyncIterator[Intake]:
    """The journal's owner, or the journal itself if nobody owns it. Raises JournalUnreadable if there is none."""
    async with reading(path):
        pass  # a command makes no journal
    try:
        async with opened(path, destinations=destinations) as journal:
            yield journal
            return
    except JournalInUse:
        pass
    async with _remote(path) as remote:
        yield remote


@asynccontextmanager
async def _remote(path: Path) -> AsyncIterator[Remote]:
    stream = await _connected(path)
    remote = Remote(path, stream)
    try:
        yield remote
    finally:
        remote.close()
        stream[1].close()


async def _connected(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the owner. Nothing is sent before it is known who listens. Raises JournalError if it is somebody else,
    BridgeError if nobody listens."""
    places, users = _places(path), trusted(path)
    for place in places:
        if not check_socket(place, users):
            continue
        _check_folder(place, path)
        with suppress(OSError):
            stream = await asyncio.open_unix_connection(place, limit=_LONGEST_LINE)
            try:
                check_peer(stream[1].get_extra_info("socket"), users, place)
            except JournalError:
                stream[1].close()
                raise
            return stream
    raise BridgeError(
        f"{path} is in use by a process that does not answer at {places[0]}; "
        "run the command as the user that runs the bridge"
    )
