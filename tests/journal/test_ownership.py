"""Places that others may write to: nothing is believed there, and nothing written, where somebody else was first."""

import asyncio
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from contextlib import suppress

import pytest
from click.testing import CliRunner

from bridge.cli import command
from bridge.errors import JournalError
from bridge.journal import ownership
from bridge.journal.control import acting, answering, socket_path
from bridge.journal.sqlite import opened
from tests.postgres import open_folder

STRANGER = 65534
needs_two_users = pytest.mark.skipif(os.geteuid() != 0, reason="another user can be tried by root only")

BECOMING = f"import json, os, socket, sys; os.setgroups([]); os.setgid({STRANGER}); os.setuid({STRANGER})"
LISTENING = """
place = socket.socket(socket.AF_UNIX)
place.bind(sys.argv[1])
place.listen()
print("there", flush=True)
came, _ = place.accept()
came.settimeout(5)
print(came.recv(65536), flush=True)
came.sendall(b'{"result": 1}\\n')
"""
SPEAKING = """
way = socket.socket(socket.AF_UNIX)
way.connect(sys.argv[1])
way.sendall(b'{"call": "release", "arguments": {"dest": "api", "rule": "r"}}\\n')
print(way.makefile().readline(), flush=True)
"""


@pytest.fixture
def shared():
    """A folder as /tmp is: everybody may write to it, and remove what is his own."""
    folder = open_folder("bridge-shared-")
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def stranger():
    """Starts a program of another user; it is ended with the test."""
    started = []

    def start(code, *words):
        words = [sys.executable, "-c", BECOMING + code, *map(str, words)]
        started.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.communicate()


@needs_two_users
async def test_a_command_says_nothing_to_a_stranger_who_was_first(shared, stranger):
    path = shared / "journal.db"
    async with opened(path, destinations=()):
        listening = stranger(LISTENING, socket_path(path))
        assert "there" == listening.stdout.readline().strip()
        with pytest.raises(JournalError, match=f"of user {STRANGER}: somebody else may have put it there"):
            async with acting(path, destinations=()):
                pass
        assert listening.poll() is None, "he was told nothing, and waits"


@needs_two_users
async def test_a_command_asks_who_answers_where_the_socket_has_the_right_owner(shared, stranger, monkeypatch):
    path = shared / "journal.db"
    async with opened(path, destinations=()):
        listening = stranger(LISTENING, socket_path(path))
        listening.stdout.readline()
        os.chown(socket_path(path), 0, 0)
        with pytest.raises(JournalError, match=f"is user {STRANGER}, who has no say here"):
            async with acting(path, destinations=()):
                pass
        said = await asyncio.to_thread(listening.stdout.readline)
        assert "b''" == said.strip()


@needs_two_users
async def test_the_owner_does_nothing_for_a_stranger_whatever_the_mode(shared, stranger):
    path, released = shared / "journal.db", []
    async with (
        opened(path, destinations=()) as journal,
        answering(journal, path, released=lambda *rule: released.append(rule)),
    ):
        socket_path(path).chmod(0o666)
        speaking = stranger(SPEAKING, socket_path(path))
        said = await asyncio.to_thread(speaking.stdout.readline)
    assert f"is user {STRANGER}, who has no say here" in json.loads(said)["error"]
    assert [] == released


@needs_two_users
@pytest.mark.parametrize("ending", [".sock", ".lock"])
async def test_a_bridge_says_that_somebody_else_was_first(shared, ending):
    path = shared / "journal.db"
    place = path.with_name(f"journal.db{ending}")
    place.touch()
    os.chown(place, STRANGER, STRANGER)
    with pytest.raises(JournalError, match=f"user {STRANGER}"):
        async with opened(path, destinations=()) as journal, answering(journal, path):
            pass
    assert STRANGER == place.stat().st_uid


@needs_two_users
async def test_a_journal_that_somebody_else_has_made_in_a_shared_folder_is_not_written(shared):
    path = shared / "journal.db"
    path.touch(mode=0o666)
    os.chown(path, STRANGER, STRANGER)
    with pytest.raises(JournalError, match=f"is a file of user {STRANGER}"):
        async with opened(path, destinations=()):
            pass
    assert 0 == path.stat().st_size


@pytest.mark.parametrize("ending", [".lock", ".sock", ".ballast"])
async def test_a_link_is_not_followed_to_what_is_ours(tmp_path, ending):
    path, precious = tmp_path / "journal.db", tmp_path / "precious"
    precious.write_text("mine")
    path.with_name(f"journal.db{ending}").symlink_to(precious)
    with suppress(JournalError):  # or it is replaced
        async with opened(path, destinations=(), min_free=0, ballast=4096) as journal, answering(journal, path):
            pass
    assert "mine" == precious.read_text()


async def test_a_backup_is_not_written_through_a_link_nor_into_somebodys_file(tmp_path):
    precious, other = tmp_path / "precious", tmp_path / "b.part"
    precious.write_text("mine")
    (tmp_path / "a.part").symlink_to(precious)
    other.touch(mode=0o666)
    async with opened(tmp_path / "journal.db", destinations=()):
        pass
    with other.open() as still_open:
        for name in ("a", "b"):
            words = ["journal", "backup", str(tmp_path / name), "--journal", str(tmp_path / "journal.db")]
            done = await asyncio.to_thread(CliRunner().invoke, command, words)
            assert 0 == done.exit_code, done.output
            assert 0o600 == stat.S_IMODE((tmp_path / name).stat().st_mode)
        assert "" == still_open.read()
    assert "mine" == precious.read_text()


async def test_all_that_is_made_is_for_this_user_alone_from_the_first_moment(tmp_path, monkeypatch):
    seen = {}
    chmod = os.chmod
    monkeypatch.setattr(os, "chmod", lambda path, *mode, **how: (seen.setdefault(str(path)), chmod(path, *mode, **how)))
    mask = os.umask(0)
    try:
        path = tmp_path / "var" / "journal.db"
        async with opened(path, destinations=(), min_free=0, ballast=4096) as journal, answering(journal, path):
            modes = {each.name: stat.S_IMODE(each.lstat().st_mode) for each in path.parent.iterdir()}
    finally:
        os.umask(mask)
    assert {0o600} == set(modes.values()), modes
    assert {"journal.db", "journal.db-wal", "journal.db-shm", "journal.db.lock", "journal.db.sock"} <= set(modes)
    assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)
    assert {} == seen, "a mode that is given later comes too late"


@pytest.mark.parametrize("mode", [0o777, 0o770])
async def test_a_folder_for_sockets_that_others_may_write_to_is_refused(tmp_path, monkeypatch, mode):
    runtime = tmp_path / "run"
    runtime.mkdir()
    runtime.chmod(mode)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    with pytest.raises(JournalError, match="is no folder that only user"):
        socket_path(tmp_path / ("x" * 100) / "journal.db")


async def test_without_a_runtime_folder_a_private_one_is_made_and_found_with_one_too(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("bridge.journal.control._USUAL", str(tmp_path / "no" / "{}"))
    far = tmp_path / ("x" * 100) / "journal.db"
    async with opened(far, destinations=()) as journal, answering(journal, far):
        place = socket_path(far)
        assert (tmp_path / f"bridge-{os.geteuid()}", 0o700) == (place.parent, stat.S_IMODE(place.parent.stat().st_mode))
        (tmp_path / "run").mkdir(mode=0o700)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
        async with acting(far, destinations=()) as remote:
            assert 0 == await remote.drop([])


def test_where_the_system_does_not_tell_the_user_the_place_is_all_that_is_looked_at(monkeypatch, tmp_path):
    one, other = socket.socketpair()
    with one, other:
        with pytest.raises(JournalError):
            ownership.check_peer(one, frozenset({-1}), tmp_path)
        monkeypatch.delattr(socket, "SO_PEERCRED")
        ownership.check_peer(one, frozenset({-1}), tmp_path)
