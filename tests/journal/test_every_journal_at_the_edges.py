"""What every journal keeps to where things happen at once, again, too late or by hand: against the protocol alone."""

import asyncio
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from bridge.contract import Reason, State
from bridge.errors import JournalBusy, JournalError
from bridge.journal import Done, Hold, Postponed, Progress, Skip
from tests.journal.usual import USUAL_RETENTION

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def _postponed(until, **more):
    return Postponed(until=until, fact="placed", reason=Reason.THROTTLED, **more)


# -- texts -------------------------------------------------------------------------------------------------------------

ODD = ("a\0b", "half \ud83d", "ŻÓŁTY10", "\U0001f600", "x" * 100_000, "\x7f\x1b[2J", "")


@pytest.mark.parametrize("odd", ODD, ids=["nul", "half", "polish", "emoji", "long", "control", "empty"])
async def test_whatever_is_said_of_an_order_is_stored_and_told(journal, desk, odd):
    appended = await journal.append(desk.document(detail=odd, headers={"x": odd.encode(errors="replace").decode()}))
    claim = await desk.claim(journal)
    fact = desk.fact(State.DEAD, reason=Reason.REFUSED, detail=odd, amount=odd)
    verdicts = [Skip(reason=Reason.NOT_TRUE, rule="a rule", detail=odd)]
    await desk.record(journal, claim, fact, skips=verdicts, end=_postponed(desk.now, detail=odd))
    await journal.hold(Hold(dest="api", rule="r", digest="d", since=desk.now, detail=odd))
    await journal.remember("a place", odd)
    story = await journal.story(appended.lane)
    told = odd.encode(errors="replace").decode()
    wanted = {told, told.replace("\0", "\ufffd")}
    (kept,) = story.facts
    (hold,) = await journal.holds()
    assert {kept["detail"], kept["amount"], story.skips[0]["detail"], hold.detail} <= wanted
    assert await journal.recall("a place") in wanted
    assert await desk.done(journal, await desk.claim(journal), desk.fact()) is None


# -- taking in --------------------------------------------------------------------------------------------------------


async def test_a_claim_gives_the_same_document_whether_it_is_fresh_or_read_again(opened, desk):
    async with opened() as journal:
        await journal.append(desk.document(raw=bytes(range(256)), headers={"a": "ü"}))
        fresh = await desk.claim(journal)
    async with opened() as journal:
        again = await desk.claim(journal)
    assert fresh == structs.replace(again, lease=fresh.lease)


async def test_the_same_delivery_twice_at_the_same_moment_is_stored_once(journal, desk):
    envelope = desk.document()
    appended = await asyncio.gather(*(journal.append(envelope) for _ in range(20)))
    assert [False] + 19 * [True] == sorted(one.known for one in appended)
    assert 1 == len({one.seq for one in appended})
    assert 1 == (await journal.stats()).envelopes


async def test_what_is_known_keeps_its_first_body_also_after_a_reopening(opened, desk):
    envelope = desk.document()
    async with opened() as journal:
        await journal.append(envelope)
    async with opened() as journal:
        again = await journal.append(structs.replace(envelope, raw=b"another body"))
        assert (True, envelope.raw) == (again.known, (await journal.document(again.seq)).raw)


async def test_who_stops_waiting_for_an_append_has_woken_the_worker_all_the_same(journal, desk):
    woken = asyncio.Event()
    journal.watch("api", woken.set)
    waiting = asyncio.create_task(journal.append(desk.document()))
    await asyncio.sleep(0)
    waiting.cancel()
    async with asyncio.timeout(5):
        while woken.clear() or not await desk.claims(journal):  # woken, it may find that it was for nothing
            await woken.wait()


@pytest.mark.parametrize("reason", [Reason.NOT_CARRIED_OUT_YET, Reason.UNREADABLE])
async def test_what_its_source_parked_can_be_dropped_and_not_retried(journal, desk, reason):
    await journal.append(desk.document(topic="customers/redact", reason=reason))
    (fact,) = await desk.parked(journal)
    assert ("", "customers/redact", reason) == (fact.dest, fact.fact, fact.reason)
    assert 0 == await journal.retry([fact.ref])
    assert 1 == await journal.drop([fact.ref])
    assert [] == await desk.parked(journal)


# -- claiming ---------------------------------------------------------------------------------------------------------


async def test_lanes_come_in_the_order_in_which_they_are_due(journal, desk):
    for minutes, order in ((3, "third"), (1, "first"), (2, "second")):
        await journal.append(desk.document(order, received_at=desk.now + minutes * MINUTE))
    assert ["first", "second", "third"] == [claim.envelope.lane for claim in await desk.claims(journal)]


async def test_two_claims_at_the_same_moment_never_get_the_same_lane(journal, desk):
    for number in range(50):
        await journal.append(desk.document(str(number)))
    pages = await asyncio.gather(*(desk.claims(journal, limit=20) for _ in range(8)))
    claimed = [claim.lane for page in pages for claim in page]
    assert len(set(claimed)) == len(claimed)


async def test_a_key_of_another_lane_or_destination_is_not_held(opened, desk):
    async with opened(destinations=("api", "other")) as journal:
        await desk.carry(journal, desk.document("1042"), desk.fact())
        await journal.append(desk.document("1043"))
        assert {} == dict((await desk.claim(journal)).held)
        assert [{}, {}] == [dict(claim.held) for claim in await desk.claims(journal, "other")]


async def test_a_document_that_is_only_postponed_makes_no_other_stale(journal, desk):
    await journal.append(desk.document(version=desk.now))
    await desk.record(journal, await desk.claim(journal), end=_postponed(desk.now))
    assert None is (await desk.claim(journal)).newest


@pytest.mark.parametrize(("stale", "minutes"), [(True, -1), (False, 0), (False, 1)])
async def test_only_what_is_strictly_older_is_stale(journal, desk, stale, minutes):
    await desk.carry(journal, desk.document(version=desk.now))
    await journal.append(desk.document(version=desk.now + minutes * MINUTE))
    assert stale is (await desk.claim(journal)).is_stale


async def test_what_has_no_version_is_never_stale(journal, desk):
    await desk.carry(journal, desk.document(version=desk.now))
    await journal.append(desk.document())
    assert not (await desk.claim(journal)).is_stale


# -- attempts ---------------------------------------------------------------------------------------------------------


async def test_the_count_of_attempts_survives_a_reopening(opened, desk):
    async with opened() as journal:
        await journal.append(desk.document())
        await desk.record(journal, await desk.claim(journal), end=_postponed(desk.now + MINUTE))
    async with opened() as journal:
        claim = await desk.claim(journal)
        assert (1, desk.now) == (claim.attempt, claim.first_tried_at)


async def test_what_came_by_a_clock_that_was_set_back_before_it_was_stored_is_due(journal, desk):
    now = datetime.now(UTC)
    await journal.append(structs.replace(desk.document(), received_at=now + DAY))
    await journal.remember("something", "else")  # what is due is looked for in the table
    assert await journal.claim("api", now=now + timedelta(minutes=1), limit=1, budget=1)


async def test_a_first_attempt_of_a_clock_that_was_set_back_is_not_ahead(journal, desk):
    """What is patient with the first attempt, or gives up after it, would wait for as long as the clock was wrong."""
    await journal.append(desk.document())
    await desk.record(journal, await desk.claim(journal), at=desk.now + DAY, end=_postponed(desk.now))
    claim = await desk.claim(journal)
    assert desk.now + DAY == claim.first_tried_at
    await desk.record(journal, claim, end=_postponed(desk.now))
    assert desk.now == (await desk.claim(journal)).first_tried_at


@pytest.mark.parametrize("together", [True, False])
async def test_attempts_are_counted_since_something_was_final(journal, desk, together):
    await journal.append(desk.document())
    await desk.record(journal, await desk.claim(journal), end=_postponed(desk.now))
    claim, later = await desk.claim(journal), desk.now + 9 * DAY
    if together:
        await desk.record(journal, claim, desk.fact(), at=later, end=_postponed(later))
    else:
        await desk.record(journal, claim, desk.fact(), at=later)
        await desk.record(journal, claim, at=later, end=_postponed(later))
    again = await desk.claim(journal)
    assert (1, later) == (again.attempt, again.first_tried_at)


async def test_a_mark_before_leaving_is_nothing_final(journal, desk):
    await journal.append(desk.document())
    await desk.record(journal, await desk.claim(journal), end=_postponed(desk.now))
    claim = await desk.claim(journal)
    await desk.record(journal, claim, desk.fact(State.DEPARTED))
    await desk.record(journal, claim, released=(("placed", "[]"),), end=_postponed(desk.now))
    again = await desk.claim(journal)
    assert (2, desk.now) == (again.attempt, again.first_tried_at)


async def test_the_next_document_of_a_lane_begins_without_an_attempt(journal, desk):
    await journal.append(desk.document())
    await journal.append(desk.document())
    await desk.record(journal, await desk.claim(journal), end=_postponed(desk.now))
    await desk.done(journal, await desk.claim(journal))
    claim = await desk.claim(journal)
    assert (0, None) == (claim.attempt, claim.first_tried_at)


# -- what became of it ------------------------------------------------------------------------------------------------


async def test_a_record_without_an_end_is_stored_and_keeps_the_lane(opened, desk):
    async with opened() as journal:
        appended = await journal.append(desk.document())
        await desk.record(journal, await desk.claim(journal), desk.fact())
        assert {"placed": "delivered"} == await desk.states(journal, appended.lane)
        assert () == tuple(await desk.claims(journal))
        assert None is await journal.next_due("api")
    async with opened() as journal:
        claim = await desk.claim(journal)
        assert (appended.seq, {("placed", "[]"): State.DELIVERED}) == (claim.seq, dict(claim.held))


async def test_a_dead_fact_is_healed_by_a_later_document(journal, desk):
    await desk.carry(journal, desk.document(), desk.fact(State.DEAD, once="", reason=Reason.RULE_FAILED))
    appended = await desk.carry(journal, desk.document(), desk.fact(), released=(("placed", ""),))
    assert [] == await desk.parked(journal)
    assert {"placed": "delivered"} == await desk.states(journal, appended.lane)


async def test_a_dead_fact_that_fails_again_stays_one_dead_letter(journal, desk):
    for detail in ("first", "second"):
        dead = desk.fact(State.DEAD, reason=Reason.REFUSED, detail=detail)
        appended = await desk.carry(journal, desk.document(), dead)
    (fact,) = await desk.parked(journal)
    assert ("second", appended.seq) == (fact.detail, fact.seq)


async def test_many_records_at_once_are_each_stored(journal, desk):
    for order in range(100):
        await journal.append(desk.document(str(order)))
        await journal.append(desk.document(str(order)))
    claims = await desk.claims(journal)
    delivered = Progress(settled=[desk.fact()], end=Done())
    await asyncio.gather(*(journal.record(claim, delivered, now=desk.now) for claim in claims))
    again = await desk.claims(journal)
    assert 100 == len(again)
    assert {State.DELIVERED} == {claim.held["placed", "[]"] for claim in again}


async def test_a_rule_that_is_held_again_has_one_hold(journal, desk):
    hold = Hold(dest="api", rule="a rule", digest="abc", since=desk.now, detail="422")
    await journal.hold(hold)
    await journal.hold(replace(hold, digest="def"))
    assert [replace(hold, digest="def")] == list(await journal.holds())
    assert 0 == await journal.release("api", "a rule")
    assert [] == list(await journal.holds())


async def test_a_claim_made_when_called_sees_what_was_stored(journal, desk):
    claims = []
    journal.watch("api", lambda: claims.append(asyncio.create_task(desk.claims(journal))))
    await journal.append(desk.document())
    assert 1 == sum([len(await claim) for claim in claims])


async def test_what_is_in_flight_is_not_the_next_due(journal, desk):
    await journal.append(desk.document("1042"))
    await journal.append(desk.document("1043", received_at=desk.now + MINUTE))
    await desk.claim(journal, at=desk.now)
    assert desk.now + MINUTE == await journal.next_due("api")


# -- what a person does -----------------------------------------------------------------------------------------------


async def test_a_retry_does_not_wait_for_a_postponed_lane(journal, desk):
    await journal.append(desk.document())
    await desk.record(journal, await desk.claim(journal), desk.fact(State.DEAD), end=_postponed(desk.later))
    (dead,) = await desk.parked(journal)
    await journal.retry([dead.ref])
    assert 1 == len(await desk.claims(journal, at=desk.later - DAY))


async def test_a_retry_maps_a_document_of_the_same_kind(journal, desk):
    order = await desk.carry(journal, desk.document(version=desk.now), desk.fact(State.DEAD))
    await desk.carry(journal, desk.document(version=desk.now + MINUTE, kind="refund"))
    (dead,) = await desk.parked(journal)
    await journal.retry([dead.ref])
    claim = await desk.claim(journal)
    assert (order.seq, 1, {("placed", "[]"): State.DEAD}) == (claim.seq, claim.asked, dict(claim.held))


@pytest.mark.parametrize(("call", "state"), [("retry", State.DEAD), ("resend", State.UNCERTAIN)])
async def test_how_a_fact_ended_stays_in_the_story_when_a_person_lets_it_be_tried_again(journal, desk, call, state):
    ended = [desk.fact(state, name, reason=Reason.REFUSED, detail=f"422 of {name}") for name in ("placed", "paid")]
    order = await desk.carry(journal, desk.document(), *ended)
    refs = [fact.ref for fact in await desk.parked(journal, state)]
    assert 2 == await getattr(journal, call)(refs)
    await desk.done(journal, await desk.claim(journal), desk.fact(), desk.fact(fact="paid"))
    story = await journal.story(order.lane)
    assert {"delivered"} == {fact["state"] for fact in story.facts}
    told = [(attempt["fact"], attempt["reason"], attempt["detail"]) for attempt in story.attempts]
    assert [("paid", "refused", "422 of paid"), ("placed", "refused", "422 of placed")] == sorted(told)


@pytest.mark.parametrize(("call", "state"), [("retry", State.DEAD), ("resend", State.UNCERTAIN)])
async def test_a_word_given_while_the_document_is_in_flight_is_not_lost(journal, desk, call, state):
    appended = await journal.append(desk.document())
    claim = await desk.claim(journal)
    await desk.record(journal, claim, desk.fact(state))
    (fact,) = await desk.parked(journal, state)
    assert 1 == await getattr(journal, call)([fact.ref])
    await desk.done(journal, claim, desk.fact(fact="confirmed"))
    again = await desk.claim(journal)
    assert appended.seq == again.seq
    await desk.done(journal, again, desk.fact())
    assert () == tuple(await desk.claims(journal))


async def test_a_second_word_is_not_lost_either(journal, desk):
    await desk.carry(journal, desk.document(), desk.fact(State.DEAD))
    (fact,) = await desk.parked(journal)
    await journal.retry([fact.ref])
    claim = await desk.claim(journal)
    await journal.retry([fact.ref])
    await desk.done(journal, claim)
    assert 1 == len(await desk.claims(journal))


async def test_an_older_document_that_is_sent_again_does_not_turn_the_newest_version_back(journal, desk):
    older = await desk.carry(journal, desk.document(version=desk.now), desk.fact(State.UNCERTAIN))
    await desk.carry(journal, desk.document(version=desk.now + 2 * MINUTE))
    (fact,) = await desk.parked(journal, State.UNCERTAIN)
    await journal.resend([fact.ref])
    again = await desk.claim(journal)
    assert (older.seq, False) == (again.seq, again.is_stale)
    await desk.done(journal, again, desk.fact())
    await journal.append(desk.document(version=desk.now + MINUTE))
    assert (await desk.claim(journal)).is_stale


async def test_settling_takes_no_other_end(journal, desk):
    await desk.carry(journal, desk.document(), desk.fact(State.UNCERTAIN))
    (uncertain,) = await desk.parked(journal, State.UNCERTAIN)
    with pytest.raises(JournalError, match="delivered or dropped"):
        await journal.settle([uncertain.ref], State.DEAD)


@pytest.mark.parametrize("ref", ["", "x", "1", "1-", "1-00000000", "-1-0", f"{10**20}-00000000", "²-1", "\0"])
async def test_a_reference_to_nothing_is_nothing(journal, desk, ref):
    await desk.carry(journal, desk.document(), desk.fact(State.DEAD), desk.fact(State.UNCERTAIN, "confirmed"))
    counts = [await act([ref]) for act in (journal.retry, journal.drop, journal.resend)]
    assert [0, 0, 0, 0] == [*counts, await journal.settle([ref], State.DROPPED)]
    assert [] == await desk.parked(journal, refs=(ref,))


async def test_a_word_for_another_state_does_nothing(journal, desk):
    await desk.carry(journal, desk.document(), desk.fact(State.DEAD), desk.fact(State.UNCERTAIN, "confirmed"))
    (dead,), (uncertain,) = await desk.parked(journal), await desk.parked(journal, State.UNCERTAIN)
    counts = [await journal.retry([uncertain.ref]), await journal.drop([uncertain.ref])]
    counts += [await journal.resend([dead.ref]), await journal.settle([dead.ref], State.DROPPED)]
    assert [0, 0, 0, 0] == counts


async def test_all_orders_of_a_customer_are_found_among_many(journal, desk):
    documents = [desk.document(str(n), aliases=(f"customer:{n % 1000}",)) for n in range(1200)]
    appended = await asyncio.gather(*(journal.append(document) for document in documents))
    assert sorted((appended[7].lane, appended[1007].lane)) == sorted(await journal.find("customer:7"))
    assert [] == list(await journal.find("customer:1001"))
    assert [] == list(await journal.find(""))


# -- forgetting -------------------------------------------------------------------------------------------------------

KEEP = USUAL_RETENTION


async def _pruned(journal, now, *, limit=500):
    """All steps of one round: bodies, envelopes and lanes that were removed."""
    total = (0, 0, 0)
    while True:
        pruned = await journal.prune(KEEP, now=now, limit=limit)
        step = (pruned.bodies, pruned.envelopes, pruned.lanes)
        total = tuple(a + b for a, b in zip(total, step, strict=True))
        if not pruned.more:
            return total


async def test_a_body_goes_thirty_days_after_the_last_state_to_the_minute(journal, desk):
    settled = desk.now + 10 * DAY
    appended = await desk.carry(journal, desk.document(), desk.fact(), at=settled)
    assert (0, 0, 0) == await _pruned(journal, settled + 30 * DAY)
    assert (1, 0, 0) == await _pruned(journal, settled + 30 * DAY + MINUTE)
    assert b"" == (await journal.document(appended.seq)).raw


async def test_a_body_of_a_skipped_document_goes_too(journal, desk):
    await desk.carry(journal, desk.document(), skips=[Skip(reason=Reason.NOT_TRUE)])
    assert (1, 0, 0) == await _pruned(journal, desk.now + 31 * DAY)


async def test_what_came_while_the_clock_was_ahead_holds_nothing_up_and_is_forgotten_with_the_others(journal, desk):
    ahead = desk.now + 3650 * DAY
    for order, came in enumerate([desk.now, ahead, ahead, *[desk.now] * 5, ahead]):
        await desk.carry(journal, desk.document(str(order), received_at=came), desk.fact())
    assert (0, 0, 0) == await _pruned(journal, desk.now + 29 * DAY)
    assert (8, 0, 0) == await _pruned(journal, desk.now + 31 * DAY, limit=2)
    assert (0, 8, 0) == await _pruned(journal, desk.now + 400 * DAY, limit=2)
    assert (0, 0, 8) == await _pruned(journal, desk.now + 800 * DAY, limit=2)


async def test_what_came_while_the_clock_was_behind_is_not_forgotten_before_what_came_earlier(journal, desk):
    behind = desk.now - 3650 * DAY
    for order, came in enumerate([desk.now, behind, desk.now]):
        await journal.append(desk.document(str(order), received_at=came))
        (claim,) = await desk.claims(journal)
        await desk.done(journal, claim, desk.fact(), at=came)
    assert (0, 0, 0) == await _pruned(journal, desk.now + 29 * DAY)
    assert (3, 0, 0) == await _pruned(journal, desk.now + 31 * DAY)


async def test_an_old_record_that_comes_today_is_kept_from_today(journal, desk):
    produced = desk.now - 730 * DAY
    await desk.carry(journal, desk.document("1", received_at=produced, came_at=desk.now))
    assert (0, 0, 0) == await _pruned(journal, desk.now + 29 * DAY)
    assert (1, 0, 0) == await _pruned(journal, desk.now + 31 * DAY)
    assert (0, 1, 0) == await _pruned(journal, desk.now + 397 * DAY)
    assert (0, 0, 1) == await _pruned(journal, desk.now + 762 * DAY)


@pytest.mark.parametrize("state", [State.DEAD, State.UNCERTAIN, State.DEPARTED])
async def test_what_is_parked_is_never_forgotten(journal, desk, state):
    appended = await desk.carry(journal, desk.document(), desk.fact(state))
    assert (0, 0, 0) == await _pruned(journal, desk.later)
    assert b"" != (await journal.document(appended.seq)).raw


async def test_what_waits_flies_is_postponed_or_held_is_never_forgotten(journal, desk):
    for order in ("waits", "flies", "postponed", "held"):
        await journal.append(desk.document(order))
    for claim in await desk.claims(journal):
        untils = {"waits": desk.now, "postponed": desk.later, "held": None}
        if claim.envelope.lane in untils:
            await desk.record(journal, claim, end=_postponed(untils[claim.envelope.lane], rule="a rule"))
    assert (0, 0, 0) == await _pruned(journal, desk.later)
    assert 4 == (await journal.stats()).bodies


async def test_what_waits_for_another_destination_is_not_forgotten(opened, desk):
    async with opened(destinations=("api", "other")) as journal:
        await desk.carry(journal, desk.document(), desk.fact())
        assert (0, 0, 0) == await _pruned(journal, desk.later)


async def test_what_a_person_sent_again_is_not_forgotten(journal, desk):
    await desk.carry(journal, desk.document(), desk.fact(State.UNCERTAIN))
    (fact,) = await desk.parked(journal, State.UNCERTAIN)
    await journal.resend([fact.ref])
    assert (0, 0, 0) == await _pruned(journal, desk.later)
    assert b"" != (await desk.claim(journal)).envelope.raw


async def test_small_steps_forget_all_and_say_when_there_is_more(journal, desk):
    for order in range(10):
        await journal.append(desk.document(str(order)))
    for claim in await desk.claims(journal):
        parked = claim.envelope.lane == "4"
        await desk.done(journal, claim, desk.fact(State.DEAD if parked else State.DELIVERED))
    now = desk.now + 31 * DAY
    assert (await journal.prune(KEEP, now=now, limit=3)).more
    await _pruned(journal, now, limit=3)
    assert 1 == (await journal.stats()).bodies


async def test_keys_go_last_with_all_that_led_to_them(journal, desk):
    appended = await desk.carry(journal, desk.document(aliases=("email:ann@shop.example",)), desk.fact())
    assert (1, 1, 0) == await _pruned(journal, desk.now + 760 * DAY)
    assert {"placed": "delivered"} == await desk.states(journal, appended.lane)
    assert (0, 0, 1) == await _pruned(journal, desk.now + 762 * DAY)
    assert None is await journal.story(appended.lane)
    assert [] == list(await journal.find("ann@shop.example"))


# -- what waits to be stored ------------------------------------------------------------------------------------------


class Brought:
    """An Incoming that keeps what it was told."""

    def __init__(self, envelope):
        self.envelope = envelope
        self.answers = []

    def stored(self, appended):
        self.answers.append(appended)

    def failed(self, problem):
        self.answers.append(problem)


async def test_what_waits_to_be_stored_is_bounded_in_bytes(opened, desk):
    """Whoever brought it may have given up: the door answers 503 and has room for the next one."""
    brought = [Brought(desk.document(str(order), raw=os.urandom(1 << 20))) for order in range(80)]
    async with opened() as journal:
        for one in brought:
            journal.take_in([one])
        refused = [one for one in brought if one.answers]  # nothing can have been stored yet
        assert 10 < len(refused) < 40
        assert {JournalBusy} == {type(one.answers[0]) for one in refused}
        assert "wait to be stored" in str(refused[0].answers[0])
        async with asyncio.timeout(30):
            while not all(one.answers for one in brought):
                await asyncio.sleep(0.01)
        assert {1} == {len(one.answers) for one in brought}
        assert not any(isinstance(one.answers[0], Exception) for one in brought if one not in refused)
        again = [Brought(one.envelope) for one in brought[:60]]  # all room was given back
        journal.take_in(again)
        assert [] == [one for one in again if one.answers]
        assert not (await journal.append(desk.document("last", raw=b"{}"))).known


async def test_one_document_above_the_bound_is_stored(opened, desk):
    async with opened() as journal:
        assert not (await journal.append(desk.document(raw=bytes(70 << 20)))).known


async def test_who_knows_no_destinations_takes_in_nothing_that_would_be_nobodys_work(opened, desk):
    """A command that keeps the journal for a while, asked by another one."""
    async with opened(destinations=()) as journal:
        with pytest.raises(JournalBusy, match="knows no destinations"):
            await journal.append(desk.document("1"))
        parked = desk.document("2", reason=Reason.UNREADABLE)
        assert not (await journal.append(parked)).known
    async with opened() as journal:
        assert 1 == (await journal.stats()).envelopes
        await journal.append(desk.document("1"))
        assert "1" == (await desk.claim(journal)).envelope.lane
