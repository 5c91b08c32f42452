"""The owner's socket: who may speak to it, what it answers, and what it does with what it does not understand."""

import asyncio
import json
import socket
import stat
from contextlib import asynccontextmanager

import pytest

from bridge.contract import Reason, State
from bridge.errors import BridgeError, JournalError, JournalUnreadable
from bridge.journal import Hold, Postponed, control
from bridge.journal.control import Remote, acting, answering, socket_path
from bridge.journal.sqlite import SqliteJournal, opened

_ENVELOPE = dict.fromkeys(("source", "id", "topic", "kind", "tenant", "lane", "raw"), "")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


@pytest.fixture
def owning(path):
    """The owner, that answers at its socket."""

    @asynccontextmanager
    async def running(**options):
        async with opened(path, destinations=("api",)) as journal, answering(journal, path, **options):
            yield journal

    return running


async def _said(path, *lines):
    """What the owner answers to raw lines."""
    reader, writer = await asyncio.open_unix_connection(socket_path(path), limit=1 << 22)
    writer.write(b"".join(lines))
    writer.write_eof()
    answers = (await reader.read()).splitlines()
    writer.close()
    return [json.loads(answer) for answer in answers]


def _asked(call, **arguments):
    return json.dumps({"call": call, "arguments": arguments}).encode() + b"\n"


async def _asked_in_vain(path):
    async with acting(path, destinations=()) as remote:
        for _ in range(2):
            with pytest.raises(JournalError, match="went away; ask again"):
                await remote.drop(["1-0"] * 1000)


async def _parked(journal, desk):
    """A dead and an uncertain fact, by reference."""
    await desk.carry(journal, desk.document(), desk.fact(State.DEAD), desk.fact(State.UNCERTAIN, "confirmed"))
    (dead,), (uncertain,) = await desk.parked(journal), await desk.parked(journal, State.UNCERTAIN)
    return dead.ref, uncertain.ref


async def test_a_command_asks_the_owner_where_there_is_one(owning, path, desk):
    async with owning() as journal:
        dead, uncertain = await _parked(journal, desk)
        async with acting(path, destinations=()) as remote:
            assert Remote is type(remote)
            assert 1 == await remote.retry([dead])
            assert 1 == await remote.drop([dead])
            assert 1 == await remote.settle([uncertain], State.DELIVERED)
            assert 0 == await remote.resend([uncertain])
            assert {"placed": "dropped", "confirmed": "delivered"} == await desk.states(remote, 1)
        assert 1 == len(await desk.claims(journal))


async def test_a_command_acts_itself_where_nobody_owns_the_journal(path, desk):
    async with opened(path, destinations=("api",)) as journal:
        dead, uncertain = await _parked(journal, desk)
    async with acting(path, destinations=("api",)) as found:
        assert SqliteJournal is type(found)
        assert 1 == await found.drop([dead])
        assert 1 == await found.resend([uncertain])
    async with opened(path, destinations=("api",)) as journal:
        assert {("placed", "[]"): State.DROPPED} == dict((await desk.claim(journal)).held)


async def test_a_command_makes_no_journal(path):
    with pytest.raises(JournalUnreadable, match="there is no journal"):
        async with acting(path, destinations=()):
            pass
    assert [] == list(path.parent.iterdir())


async def test_an_owner_that_does_not_answer_is_said(path):
    async with opened(path, destinations=()):
        with pytest.raises(BridgeError, match="run the command as the user that runs the bridge"):
            async with acting(path, destinations=()):
                pass


async def test_releasing_a_rule_tells_the_worker_before_its_lanes_are_due(owning, path, desk):
    told = []
    async with owning(released=lambda dest, rule: told.append((dest, rule))) as journal:
        await journal.hold(Hold(dest="api", rule="a rule", digest="abc", since=desk.now, detail=""))
        await journal.append(desk.document())
        held = Postponed(until=None, fact="placed", reason=Reason.RULE_HELD, rule="a rule")
        await desk.record(journal, await desk.claim(journal), end=held)
        journal.watch("api", lambda: told.append("due"))
        async with acting(path, destinations=()) as remote:
            assert 1 == await remote.release("api", "a rule")
            assert [] == list(await remote.holds())
        assert [("api", "a rule"), "due"] == told[:2]


async def test_only_its_user_may_speak_to_the_owner(owning, path):
    async with owning():
        place = socket_path(path)
        assert path.with_name("journal.db.sock") == place
        assert 0o600 == stat.S_IMODE(place.stat().st_mode)
    assert not place.exists()


async def test_a_socket_that_a_killed_owner_left_is_replaced(owning, path, desk):
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(socket_path(path)))
    left.close()
    async with owning() as journal:
        dead, _ = await _parked(journal, desk)
        async with acting(path, destinations=()) as remote:
            assert 1 == await remote.drop([dead])


async def test_a_path_that_is_too_long_for_a_socket_moves_to_the_runtime_directory(tmp_path, desk, monkeypatch):
    runtime = tmp_path / "run"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    far = tmp_path / ("x" * 100) / "journal.db"
    place = socket_path(far)
    assert runtime == place.parent
    assert place != socket_path(far.with_name("another.db"))
    async with opened(far, destinations=("api",)) as journal, answering(journal, far):
        assert place.is_socket()
        dead, _ = await _parked(journal, desk)
        async with acting(far, destinations=()) as remote:
            assert 1 == await remote.drop([dead])


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (
            "no such call; there are: retry, drop, resend, settle, release, append, remember, block, allow, erase, ",
            _asked("prune", now=0),
        ),
        ("no such call", _asked("__class__")),
        ("not understood", b"hello\n"),
        ("not understood", b"\xff\xfe\n"),
        ("not understood", b"\n"),
        ("not understood", b"[]\n"),
        ("not understood", b'{"call": "retry"}\n'),
        ("not understood", _asked("retry")),
        ("not understood", _asked("retry", refs=5)),
        ("not understood", _asked("retry", refs="1-0")),
        ("not understood", _asked("retry", refs=[5])),
        ("not understood", _asked("retry", refs=["\ud800"])),
        ("not understood", _asked("drop", refs=[], now=5)),
        ("not understood", _asked("settle", refs=[], state="lost")),
        ("not understood", _asked("release", dest=[], rule={})),
        ("delivered or dropped", _asked("settle", refs=[], state="dead")),
        ("cannot be stored", _asked("erase", erasure={"tenant": "t", "everything": True, "after": 2**63})),
        ("cannot be stored", _asked("append", envelope={**_ENVELOPE, "received_at": "2026-01-01T00:00:00"})),
    ],
)
async def test_what_is_not_understood_is_answered_and_harms_nothing(owning, path, desk, said, line):
    released = []
    async with owning(released=lambda *rule: released.append(rule)) as journal:
        dead, _ = await _parked(journal, desk)
        wrong, right = await _said(path, line, _asked("drop", refs=[dead]))
        assert said in wrong["error"]
        assert {"result": 1} == right
        assert [] == released
        assert not journal.broken.done()


async def test_a_line_that_is_too_long_is_said_and_ends_the_connection(owning, path, desk, monkeypatch):
    monkeypatch.setattr(control, "_LONGEST_LINE", 1 << 20)
    async with owning() as journal:
        dead, _ = await _parked(journal, desk)
        async with acting(path, destinations=()) as remote:
            with pytest.raises(JournalError, match="a line of more than 1048576 bytes"):
                await remote.drop([dead] * 100_000)
        async with acting(path, destinations=()) as remote:
            assert 1 == await remote.drop([dead])


async def test_a_command_hands_a_document_to_the_owner_and_is_told_where_it_is(owning, path, desk):
    async with owning() as journal, acting(path, destinations=()) as remote:
        document = desk.document(raw=bytes(range(256)) * 20_000, version=desk.now)
        appended = await remote.append(document)
        assert document == await journal.document(appended.seq)
        assert (appended.seq, True) == ((again := await remote.append(document)).seq, again.known)
        assert appended.seq == (await desk.claim(journal)).seq
        await remote.remember("mark", "seen")
        assert "seen" == await remote.recall("mark")


async def test_what_the_owner_refuses_reads_as_its_words(owning, path):
    async with owning(), acting(path, destinations=()) as remote:
        with pytest.raises(
            JournalError, match="the running bridge says: what is uncertain ends as delivered or dropped"
        ):
            await remote.settle(["1-00000000"], State.DEAD)


@pytest.mark.parametrize("heard", [0, 1])
async def test_an_owner_that_goes_away_is_said(path, heard):
    async def hang_up(reader, writer):
        await reader.read(heard)
        writer.close()

    async with opened(path, destinations=()), await asyncio.start_unix_server(hang_up, socket_path(path)):
        await _asked_in_vain(path)


async def test_several_commands_at_once_each_get_their_answer(owning, path, desk):
    async with owning() as journal:
        for order in range(20):
            await desk.carry(journal, desk.document(str(order)), desk.fact(State.DEAD))
        refs = [fact.ref for fact in await desk.parked(journal)]
        async with acting(path, destinations=()) as one, acting(path, destinations=()) as other:
            counts = await asyncio.gather(*((one, other)[n % 2].drop([ref]) for n, ref in enumerate(refs)))
        assert [1] * 20 == counts
