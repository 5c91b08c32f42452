"""What is asked wrongly is answered with a sentence, and an exit code."""

import asyncio
import os
import socket

import pytest

from bridge.cli.sender import example
from bridge.errors import BridgeError


@pytest.fixture
def kept(typed, tmp_path):
    """A journal that nobody works with."""
    assert 0 == typed("journal", "init").exit_code
    return tmp_path / "var/journal.db"


@pytest.mark.parametrize("command", ["export", "backup"])
def test_a_file_that_cannot_be_written_is_said(typed, kept, command):
    assert kept.exists()
    (kept.parent / "file").touch()
    for file, reason in (("nodir/o", "No such file"), ("var/file/o", "Not a directory")):
        with pytest.raises(BridgeError, match=f"cannot write {file}: {reason}"):
            typed("journal", command, file)


@pytest.mark.parametrize("command", ["export", "backup"])
def test_a_backup_of_a_name_that_is_there_replaces_it_only_when_it_is_whole(typed, kept, command, monkeypatch):
    (kept.parent / "nightly").write_text("yesterday's")
    with monkeypatch.context() as failing:
        failing.setattr(os, "fsync", _full)
        with pytest.raises(BridgeError, match="cannot write var/nightly: No space left"):
            typed("journal", command, "var/nightly")
    assert "yesterday's" == (kept.parent / "nightly").read_text()
    assert not (kept.parent / "nightly.part").exists()
    assert 0 == typed("journal", command, "var/nightly").exit_code
    assert 0 == typed("journal", "restore", "var/nightly", "--journal", "second.db").exit_code
    assert "An existing FILE is replaced" in typed("journal", command, "--help").output


def _full(_descriptor):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("words", "said"), [(("prune",), "forgets what is old by itself"), (("export", "o"), "stop it to export")]
)
async def test_what_needs_a_stopped_bridge_says_so(running, typed, tmp_path, words, said):
    async with running():
        with pytest.raises(BridgeError, match=said):
            await asyncio.to_thread(typed, "journal", *words, "--journal", tmp_path / "journal.db")


def test_a_port_that_is_taken_is_said(typed):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BridgeError, match=f"cannot listen at 127.0.0.1:{port}: Address already in use.*--port"):
            typed("sandbox", "--port", str(port))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("preview", "folder"), "folder holds no .json file"),
        (("preview", "order.json", "--at", "tomorrow"), "an instant with its zone: 2026-11-20T00:00:00Z"),
        (("schema", "infer", "empty.json"), "empty.json is empty"),
        (("orders", "show", " "), "name the order"),
    ],
)
def test_what_holds_nothing_or_names_nothing_is_a_mistake(configured, tmp_path, words, said):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.json").write_text("\n")
    (tmp_path / "order.json").write_bytes(example("shopify", "order.json"))
    told = configured(*words)
    assert (2, True) == (told.exit_code, said in told.output), told.output


def test_preview_takes_a_time_ago(configured, tmp_path):
    (tmp_path / "order.json").write_bytes(example("shopify", "order.json"))
    assert 0 == configured("preview", "order.json", "--at", "7d").exit_code
    told = configured("preview", "order.json", "--at", "2027-12-01T00:00:00+01:00")
    assert "too old" in told.output
