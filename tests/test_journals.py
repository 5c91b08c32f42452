"""A journal that is not where it was looked for is made, and that is said."""

import pytest

from bridge import journals
from bridge.config.sections import SqliteSettings
from bridge.errors import JournalError, JournalInUse


def the(event, lines):
    return [line for line in lines if line["event"] == event]


async def test_a_start_without_a_journal_says_that_a_new_one_was_made_and_where(
    running, settings_for, sandbox, log, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    settings = settings_for(sandbox, path="var/journal.db")
    where = str(tmp_path / "var" / "journal.db")
    async with running(settings):
        pass
    (made,), (started,) = the("journal.made", log()), the("service.started", log())
    assert (where, "warning", where) == (made["journal"], made["level"], started["journal"])
    async with running(settings):
        pass
    assert 1 == len(the("journal.made", log()))


async def test_only_the_last_folder_of_a_path_is_made(tmp_path):
    assert await journals.store_of(SqliteSettings(path=tmp_path / "var" / "journal.db")).init()
    mistyped = SqliteSettings(path=tmp_path / "vra" / "more" / "journal.db")
    with pytest.raises(JournalError, match=f"there is no folder {tmp_path}/vra for the journal"):
        await journals.store_of(mistyped).init()
    with pytest.raises(JournalError, match=f"there is no folder {tmp_path}/vra for the journal"):
        async with journals.store_of(mistyped).importing():
            pass
    assert not (tmp_path / "vra").exists()


async def test_a_journal_in_use_says_what_to_do(tmp_path):
    settings = SqliteSettings(path=tmp_path / "journal.db")
    async with journals.store_of(settings).serving(destinations=(), released=print):
        with pytest.raises(JournalInUse, match=r"is in use by another process.*: stop that first, or name another"):
            await journals.store_of(settings).init()
