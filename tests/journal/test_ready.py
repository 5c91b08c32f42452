"""What just came is claimed from memory; what is not that simple is looked for in the table. Nothing is lost."""

import asyncio
from datetime import timedelta

import pytest

from bridge.contract import Reason
from bridge.journal import Postponed
from bridge.journal.sqlite import opened, ready


@pytest.fixture
async def journal(tmp_path, desk):
    async with opened(tmp_path / "journal.db", destinations=("api", "other")) as journal:
        for dest in ("api", "other"):
            assert [] == list(await desk.claims(journal, dest))
        yield journal


@pytest.fixture
def questions(journal, monkeypatch):
    """The questions that were put to the table since."""
    put = []
    ask = journal.ask

    async def counted(question):
        put.append(question)
        return await ask(question)

    monkeypatch.setattr(journal, "ask", counted)
    return put


async def _append(journal, *envelopes):
    return await asyncio.gather(*(journal.append(envelope) for envelope in envelopes))


async def test_a_new_order_is_claimed_without_a_question(journal, desk, questions):
    documents = [desk.document(str(order)) for order in range(5)]
    appended = await _append(journal, *documents)
    claims = await desk.claims(journal)
    assert [one.seq for one in appended] == [claim.seq for claim in claims]
    assert documents == [claim.envelope for claim in claims]
    assert [claim.lane for claim in claims] == [claim.lane for claim in await desk.claims(journal, "other")]
    assert [] == list(await desk.claims(journal))
    assert await journal.next_due("api") is None
    assert [] == questions


async def test_an_order_that_a_search_finds_before_it_is_handed_is_claimed_once(journal, desk, monkeypatch):
    told = []
    monkeypatch.setattr(journal, "_stored", lambda *stored: told.append(stored))
    await journal.append(desk.document())
    journal._ready["api"].change()
    (claim,) = await desk.claims(journal)
    monkeypatch.undo()
    journal._stored(*told.pop())  # the writer's word came later than the table's
    assert [] == list(await desk.claims(journal))
    await desk.done(journal, claim, desk.fact())
    assert [] == list(await desk.claims(journal))


async def test_as_many_as_asked_for_and_the_rest_later(journal, desk, questions):
    await _append(journal, *(desk.document(str(order)) for order in range(5)))
    counts = [len(await desk.claims(journal, limit=2)) for _ in range(4)]
    assert [2, 2, 1, 0] == counts
    assert 1 == len(await desk.claims(journal, "other", budget=1))
    assert [] == questions


async def test_a_document_that_came_while_its_order_was_in_flight_is_next(journal, desk):
    await journal.append(desk.document())
    claim = await desk.claim(journal)
    second = await journal.append(desk.document())
    assert [] == list(await desk.claims(journal))
    await desk.done(journal, claim, desk.fact())
    again = await desk.claim(journal)
    assert second.seq == again.seq
    assert {("placed", "[]")} == set(again.held)


async def test_two_documents_of_an_order_that_came_together_are_one_after_the_other(journal, desk):
    first, second = await _append(journal, desk.document(), desk.document())
    claim = await desk.claim(journal)
    assert first.seq == claim.seq
    await desk.done(journal, claim)
    assert second.seq == (await desk.claim(journal)).seq


async def test_an_order_that_waits_for_a_time_is_claimed_then(journal, desk, questions):
    await journal.append(desk.document())
    claim = await desk.claim(journal, at=desk.now)
    until = desk.now + timedelta(seconds=30)
    await desk.record(journal, claim, end=Postponed(until=until, fact="placed", reason=Reason.THROTTLED))
    await journal.append(desk.document("1043"))
    assert ["1043"] == [one.envelope.lane for one in await desk.claims(journal, at=desk.now)]
    assert until == await journal.next_due("api")
    assert [] == questions
    assert 1 == (await desk.claim(journal, at=until)).attempt


async def test_more_than_memory_may_hold_is_found_in_the_table(journal, desk, monkeypatch):
    monkeypatch.setattr(ready, "_MOST_BYTES", 100)
    appended = await _append(journal, *(desk.document(str(order)) for order in range(40)))
    found = []
    while claims := await desk.claims(journal, limit=7):
        found += [claim.seq for claim in claims]
        for claim in claims:
            await desk.done(journal, claim)
    assert [one.seq for one in appended] == found


async def test_what_comes_while_the_table_is_searched_is_claimed_once(journal, desk, monkeypatch):
    ask = journal.ask
    later = []

    async def slow(question):
        await comes()  # and will be found
        answer = await ask(question)
        await comes()  # and was not
        return answer

    async def comes():
        if len(later) < 4:
            later.append(await journal.append(desk.document(str(2000 + len(later)))))

    await journal.release("api", "no rule")  # an act: the table has to be searched
    first = await journal.append(desk.document())
    monkeypatch.setattr(journal, "ask", slow)
    seqs = []
    while claims := await desk.claims(journal):
        seqs += [claim.seq for claim in claims]
    assert sorted([first.seq, *(one.seq for one in later)]) == sorted(seqs)


async def test_what_was_handed_and_not_ended_is_claimed_again_after_a_restart(tmp_path, desk):
    path = tmp_path / "journal.db"
    async with opened(path, destinations=("api",)) as journal:
        assert [] == list(await desk.claims(journal))
        appended = await journal.append(desk.document())
        await desk.claim(journal)
    async with opened(path, destinations=("api",)) as journal:
        assert appended.seq == (await desk.claim(journal)).seq
