"""A journal that was put back knows since when it cannot know: by `restore`, by a command, or by what is beside it."""

import shutil
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bridge import clock
from bridge.journal import Position, sqlite
from bridge.journal.sqlite import dump, stamps
from tests.clocks import Stopped
from tests.journal.conftest import KINDS, PAIRS, lived_in


def _now():
    return datetime.now(UTC)


async def _restored(kind, place, desk, *, destinations=("api", "other")):
    """What a claim of a document that comes now says of it."""
    async with kind.package.opened(place, destinations=destinations) as journal:
        await desk.claims(journal)
        await journal.append(desk.document(f"new-{uuid.uuid4()}"))
        return (await desk.claim(journal)).restored


@pytest.mark.parametrize(("source", "target"), PAIRS)
async def test_what_happens_until_a_restored_journal_is_served_is_in_doubt(kinds, desk, source, target):
    here, there = await kinds(source), await kinds(target)
    await lived_in(here, desk)
    content, _ = await here.read_out(here.here)
    await there.fill(there.there, content, doubt=True)
    before = _now()
    async with there.package.opened(there.there, destinations=()):
        pass  # a command: nobody sends anything yet
    between = _now()
    served = await _restored(there, there.there, desk)
    assert before < between <= served <= _now()
    assert served == await _restored(there, there.there, desk), "a later start doubts nothing more"


@pytest.mark.parametrize(("source", "target"), PAIRS)
async def test_doubt_travels_with_a_journal_that_is_moved(kinds, desk, source, target):
    here, there = await kinds(source), await kinds(target)
    await lived_in(here, desk)
    content, _ = await here.read_out(here.here)
    if here.is_file:
        here.there = here.here.with_name("restored.db")
    await here.fill(here.there, content, doubt=True)
    served = await _restored(here, here.there, desk)
    moved, _ = await here.read_out(here.there)
    if source == target == "postgres":
        there.there = replace(there.there, schema=f"{there.there.schema}_moved")
        await there.package.init(there.there)
    await there.fill(there.there, moved)
    async with there.package.opened(there.there, destinations=("api",)) as journal:
        claims = await desk.claims(journal)
        assert {served} == {claim.restored for claim in claims}
        assert {True} == {claim.doubtful for claim in claims if not claim.envelope.lane.startswith("new")}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_journal_that_was_put_back_by_other_means_is_doubted_when_a_person_says_so(kinds, desk, kind):
    one = await kinds(kind)
    await lived_in(one, desk)
    assert await _restored(one, one.here, desk) is None
    before = _now()
    if one.is_file:
        dump.doubt(one.here)
    else:
        await one.package.doubt(one.here)
    assert await _restored(one, one.here, desk) > before
    async with one.package.opened(one.here, destinations=("other",)) as journal:
        assert all(
            claim.doubtful for claim in await desk.claims(journal, "other") if not claim.envelope.lane.startswith("new")
        )


@pytest.mark.parametrize(("source", "target"), PAIRS)
async def test_how_far_partitions_are_stored_travels_and_is_in_doubt_after_a_restore(kinds, desk, source, target):
    here, there = await kinds(source), await kinds(target)
    await lived_in(here, desk)
    content, _ = await here.read_out(here.here)
    await there.fill(there.there, content, doubt=True)
    async with there.package.opened(there.there, destinations=("api",)) as journal:
        doubtful = {("orders", 0): Position(offset=7, doubtful=True), ("orders", 1): Position(offset=0, doubtful=True)}
        assert doubtful == await journal.positions("stream")
        await journal.keep_positions("stream", {("orders", 0): 7})
        assert {**doubtful, ("orders", 0): Position(offset=7)} == await journal.positions("stream")


@pytest.mark.parametrize("kind", KINDS)
async def test_positions_are_in_doubt_when_a_person_says_that_the_journal_was_put_back(kinds, desk, kind):
    one = await kinds(kind)
    await lived_in(one, desk)
    async with one.package.opened(one.here, destinations=("api",)) as journal:
        assert Position(offset=7) == (await journal.positions("stream"))["orders", 0]
    if one.is_file:
        dump.doubt(one.here)
    else:
        await one.package.doubt(one.here)
    async with one.package.opened(one.here, destinations=("api",)) as journal:
        assert Position(offset=7, doubtful=True) == (await journal.positions("stream"))["orders", 0]


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


async def _served(path, desk, *orders):
    """The number of claims in doubt, and until when."""
    async with sqlite.opened(path, destinations=("api",)) as journal:
        for order in orders:
            await journal.append(desk.document(order))
        claims = await desk.claims(journal)
        return [claim.doubtful for claim in claims], claims[0].restored if claims else None


async def test_a_copy_that_is_put_back_is_noticed(path, desk, log):
    await _served(path, desk, "1")
    copy = shutil.copy(path, path.with_name("copy"))
    assert ([False, False], None) == await _served(path, desk, "2")
    before = _now()
    shutil.copy(copy, path)
    doubtful, restored = await _served(path, desk)
    assert [True] == doubtful
    assert restored >= before
    assert ["journal.put_back", "journal.restored"] == [
        line["event"] for line in log() if line["event"].startswith("journal.")
    ]
    assert ([True, False], restored) == await _served(path, desk, "3"), "it is said once, and stays"


async def test_a_copy_of_the_running_journal_is_noticed_a_minute_later(path, desk, monkeypatch):
    monkeypatch.setattr(stamps, "_EVERY", 0.0)
    async with sqlite.opened(path, destinations=("api",)) as journal:
        await journal.append(desk.document("1"))
        copy = path.with_name("copy")
        for ending in ("", "-wal"):
            shutil.copy(path.with_name(path.name + ending), copy.with_name(copy.name + ending))
        await journal.append(desk.document("2"))
    for ending in ("", "-wal"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
        shutil.copy(copy.with_name(copy.name + ending), path.with_name(path.name + ending))
    doubtful, restored = await _served(path, desk)
    assert ([True], True) == (doubtful, restored is not None)


async def test_a_journal_that_goes_on_is_not_in_doubt(path, desk):
    for order in "123":
        doubtful, restored = await _served(path, desk, order)
        assert (False, None) == (any(doubtful), restored)


async def test_a_journal_of_another_lineage_is_not_compared(path, desk):
    await _served(path, desk, "1")
    path.unlink()
    assert ([False], None) == await _served(path, desk, "1")


async def test_an_export_that_is_put_back_where_its_journal_went_on_is_noticed(kinds, desk):
    one = await kinds("sqlite")
    await lived_in(one, desk)
    content, _ = await one.read_out(one.here)
    async with one.package.opened(one.here, destinations=("api", "other")) as journal:
        await journal.append(desk.document("later"))
    for file in one.here.parent.glob("here.db*"):
        if not file.name.endswith(".lock"):
            file.unlink()
    await one.fill(one.here, content)
    assert await _restored(one, one.here, desk) is not None


async def test_a_clock_that_was_set_back_makes_no_stamp_older(path, desk):
    await _served(path, desk, "1")
    with clock.installed(Stopped(10**15)):
        assert (False, None) == (any((await _served(path, desk, "2"))[0]), (await _served(path, desk))[1])


async def test_until_when_is_never_before_what_the_journal_has_seen(kinds, desk):
    one = await kinds("sqlite")
    await lived_in(one, desk)
    content, _ = await one.read_out(one.here)
    await one.fill(one.there, content, doubt=True)
    with clock.installed(Stopped(10**15)):
        restored = await _restored(one, one.there, desk)
    assert _now() - restored < timedelta(days=1), "though the clock says 1970"
