"""A journal that is not where it was looked for is made, and that is said."""


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
