"""What every journal keeps to, written against the protocol alone."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bridge.contract import Reason, State
from bridge.errors import ClaimRevoked
from bridge.journal import (
    SKIPPED,
    WAITING,
    Done,
    Entry,
    Erasure,
    Fact,
    Hold,
    Listing,
    Position,
    Postponed,
    Progress,
    Retention,
    Returned,
    Selection,
    Settled,
    Skip,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def _settled(fact="placed", state=State.DELIVERED, once="[]", **more):
    return Settled(fact=fact, once=once, rule=fact, state=state, **more)


async def _claimed(journal, *, dest="api", now=LATER, limit=100, budget=10**9):
    return list(await journal.claim(dest, now=now, limit=limit, budget=budget))


async def _done(journal, claim, *settled, now=LATER, **more):
    await journal.record(claim, Progress(settled=settled, end=Done(), **more), now=now)


async def _facts(journal, lane):
    return {(fact["fact"], fact["once"]): fact["state"] for fact in (await journal.story(lane)).facts}


async def _parked(journal, state=State.DEAD, **selected):
    return [fact async for fact in journal.parked(Selection(state=state, **selected))]


async def _dead(journal, envelope, **more):
    appended = await journal.append(envelope)
    (claim,) = await _claimed(journal)
    await _done(journal, claim, _settled(state=State.DEAD, reason=Reason.REFUSED, detail="422", **more))
    return appended


# -- appending ---------------------------------------------------------------------------------------------------------


async def test_an_append_is_there_after_the_journal_is_opened_again(opened, envelope):
    async with opened() as journal:
        appended = await journal.append(envelope("7"))
    async with opened() as journal:
        assert envelope("7").raw == (await journal.document(appended.seq)).raw
        assert ["7"] == [claim.envelope.lane for claim in await _claimed(journal)]


async def test_an_envelope_comes_back_as_it_went_in(opened, envelope):
    whole = envelope("7", headers={"x-topic": "orders/create"}, occurred_at=NOW, tenant="täst", raw=bytes(range(256)))
    async with opened() as journal:
        seq = (await journal.append(whole)).seq
    async with opened() as journal:
        assert whole == await journal.document(seq)


async def test_the_same_delivery_of_a_lane_is_known_and_another_lanes_is_not(journal, envelope):
    first = await journal.append(envelope("1", "d"))
    again = await journal.append(envelope("1", "d"))
    other = await journal.append(envelope("2", "d"))
    assert [False, True, False] == [appended.known for appended in (first, again, other)]
    assert (first.seq, first.lane) == (again.seq, again.lane)


async def test_the_same_order_number_in_two_shops_is_two_lanes(journal, envelope):
    lanes = {(await journal.append(envelope("1", tenant=shop))).lane for shop in ("a", "b")}
    assert 2 == len(lanes)


async def test_many_at_once_get_numbers_of_their_own(journal, envelope):
    appended = await asyncio.gather(*[journal.append(envelope(str(n % 50), f"d{n}")) for n in range(300)])
    assert 300 == len({one.seq for one in appended})
    assert 50 == len({one.lane for one in appended})


class Incoming:
    """Notes what it is told."""

    def __init__(self, envelope):
        self.envelope = envelope
        self.told = []
        self.over = asyncio.Event()

    def stored(self, appended):
        self.told.append(appended)
        self.over.set()
        if self.envelope.id == "bad neighbour":
            raise ZeroDivisionError

    def failed(self, problem):
        self.told.append(problem)
        self.over.set()


async def _taken_in(journal, *envelopes):
    """What each was told."""
    incoming = [Incoming(one) for one in envelopes]
    journal.take_in(incoming)
    async with asyncio.timeout(10):
        for one in incoming:
            await one.over.wait()
    return [told for one in incoming for told in one.told]


async def test_what_comes_together_is_stored_as_each_by_itself(opened, envelope):
    async with opened() as journal:
        await journal.append(envelope("1"))
        known, first, second, again = await _taken_in(
            journal, envelope("1"), envelope("2"), envelope("1", "a"), envelope("2")
        )
        assert (True, False, False, True) == (known.known, first.known, second.known, again.known)
        assert (known.lane, first.lane) == (second.lane, again.lane)
        assert first.seq == again.seq
    async with opened() as journal:
        assert {"1", "2"} == {claim.envelope.lane for claim in await _claimed(journal)}


async def test_of_what_comes_together_each_is_told_of_itself_alone(journal, envelope, caplog):
    told = await _taken_in(
        journal,
        envelope("1"),
        envelope("2", "not storable", aliases=(7,)),
        envelope("3", "bad neighbour"),
        envelope("4"),
    )
    assert [False, True, False, False] == [isinstance(one, Exception) for one in told]
    assert 3 == (await journal.stats()).envelopes
    assert not (await journal.append(envelope("5"))).known, "who is told and fails does not end the journal"


async def test_nothing_that_comes_together_is_nothing(journal):
    assert [] == await _taken_in(journal)


async def test_what_the_source_knows_the_end_of_is_no_work(journal, envelope):
    skipped = await journal.append(envelope("1", reason=Reason.TEST_ORDER))
    parked = await journal.append(envelope("2", reason=Reason.NOT_CARRIED_OUT_YET))
    assert [] == await _claimed(journal)
    assert ["test order"] == [v["reason"] for v in (await journal.story(skipped.lane)).skips]
    (fact,) = await _parked(journal)
    assert ("", "not carried out yet", parked.lane) == (fact.dest, fact.reason, fact.lane)
    assert 0 == await journal.retry([fact.ref])


# -- claiming ----------------------------------------------------------------------------------------------------------


async def test_a_lane_has_one_document_in_flight_the_oldest_first(journal, envelope):
    for minutes in (1, 2):
        await journal.append(envelope("1", minutes=minutes))
    (first,) = await _claimed(journal)
    assert "1-1" == first.envelope.id
    assert [] == await _claimed(journal)
    await _done(journal, first)
    (second,) = await _claimed(journal)
    assert "1-2" == second.envelope.id


async def test_destinations_go_on_apart(opened, envelope):
    async with opened(destinations=("api", "other")) as journal:
        await journal.append(envelope("1"))
        (claim,) = await _claimed(journal)
        await _done(journal, claim, _settled())
        (other,) = await _claimed(journal, dest="other")
        assert {} == other.held


async def test_no_more_is_claimed_than_asked_for_in_lanes_and_in_bytes(journal, envelope):
    for order in range(6):
        await journal.append(envelope(str(order), raw=b"x" * 1000))
    assert 2 == len(await _claimed(journal, limit=2))
    assert 3 == len(await _claimed(journal, budget=3000))
    assert 1 == len(await _claimed(journal, budget=1))


async def test_a_claim_carries_the_keys_and_the_newest_version_of_its_lane(journal, envelope):
    await journal.append(envelope("1", minutes=5))
    (claim,) = await _claimed(journal)
    await _done(journal, claim, _settled("placed"), _settled("refund", once='["7"]', state=State.SHADOWED))
    await journal.append(envelope("1", minutes=3))
    (claim,) = await _claimed(journal)
    assert {("placed", "[]"): State.DELIVERED, ("refund", '["7"]'): State.SHADOWED} == claim.held
    assert (NOW + timedelta(minutes=5), True) == (claim.newest, claim.is_stale)


async def test_only_documents_of_the_same_source_and_kind_make_one_stale(journal, envelope):
    await journal.append(envelope("1", minutes=5, kind="refund"))
    await journal.append(envelope("1", minutes=4, source="erp"))
    await journal.append(envelope("1", minutes=3))
    stale = []
    while claims := await _claimed(journal):
        stale.append(claims[0].is_stale)
        await _done(journal, claims[0])
    assert [False, False, False] == stale


async def test_a_stale_document_does_not_make_the_newest_version_older(journal, envelope):
    for minutes in (5, 3, 4):
        await journal.append(envelope("1", minutes=minutes))
    stale = []
    while claims := await _claimed(journal):
        stale.append(claims[0].is_stale)
        await _done(journal, claims[0])
    assert [False, True, True] == stale


async def test_who_watches_is_called_after_an_append_a_record_and_an_act(journal, envelope):
    called = []
    journal.watch("api", lambda: called.append(1))
    await journal.append(envelope("1"))
    assert called
    (claim,) = await _claimed(journal)
    called.clear()
    await _done(journal, claim, _settled(state=State.DEAD))
    assert called
    called.clear()
    await journal.retry([fact.ref for fact in await _parked(journal)])
    assert called
    assert 1 == len(await _claimed(journal, now=datetime.now(UTC)))


# -- postponing --------------------------------------------------------------------------------------------------------


async def test_a_lane_that_waits_for_a_time_that_a_wrong_clock_gave_is_due_when_it_is_hastened(journal, envelope):
    far, beyond = NOW + timedelta(days=365), NOW + timedelta(hours=2)
    for number, until in (("1", far), ("2", LATER), ("3", None)):
        await journal.append(envelope(number))
        (claim,) = await _claimed(journal, now=NOW)
        if until is None:
            await journal.hold(Hold(dest="api", rule="placed", digest="d", since=NOW, detail="422"))
        waits = Postponed(until=until, fact="placed", reason=Reason.TIMED_OUT, rule="" if until else "placed")
        await journal.record(claim, Progress(end=waits), now=NOW)
    assert 0 == await journal.hasten("other", beyond=beyond, now=NOW)
    assert 1 == await journal.hasten("api", beyond=beyond, now=NOW)
    (claim,) = await _claimed(journal, now=NOW)
    assert "1" == claim.envelope.lane
    assert LATER == await journal.next_due("api"), "what waits for a time of ours, and what is held, wait on"


async def test_a_postponed_lane_waits_until_its_time_and_counts_its_attempts(journal, envelope):
    await journal.append(envelope("1"))
    (claim,) = await _claimed(journal, now=NOW)
    assert (0, None) == (claim.attempt, claim.first_tried_at)
    waits = Postponed(until=LATER, fact="placed", reason=Reason.TIMED_OUT)
    await journal.record(claim, Progress(end=waits), now=NOW)
    assert [] == await _claimed(journal, now=LATER - timedelta(microseconds=1))
    assert LATER == await journal.next_due("api")
    (claim,) = await _claimed(journal, now=LATER)
    assert (1, NOW) == (claim.attempt, claim.first_tried_at)
    await journal.record(claim, Progress(end=waits), now=LATER)
    (claim,) = await _claimed(journal, now=LATER)
    assert (2, NOW) == (claim.attempt, claim.first_tried_at)
    await _done(journal, claim)
    await journal.append(envelope("1", minutes=1))
    (claim,) = await _claimed(journal)
    assert (0, None) == (claim.attempt, claim.first_tried_at)


async def test_a_new_document_does_not_wake_a_lane_that_waits(journal, envelope):
    await journal.append(envelope("1"))
    (claim,) = await _claimed(journal)
    waits = Postponed(until=LATER + timedelta(days=1), fact="placed", reason=Reason.TIMED_OUT)
    await journal.record(claim, Progress(end=waits), now=LATER)
    await journal.append(envelope("1", minutes=1))
    assert [] == await _claimed(journal)


async def test_a_held_lane_waits_until_its_rule_is_released(opened, envelope):
    async with opened() as journal:
        await journal.append(envelope("1"))
        (claim,) = await _claimed(journal)
        await journal.hold(Hold(dest="api", rule="placed", digest="d", since=NOW, detail="422"))
        held = Postponed(until=None, fact="placed", reason=Reason.RULE_HELD, rule="placed")
        await journal.record(claim, Progress(end=held), now=NOW)
        assert ([], None) == (await _claimed(journal), await journal.next_due("api"))
    async with opened() as journal:
        levels = await journal.levels()
        assert {("api", "placed")} == levels.held
        tried_first = datetime.now(UTC) - NOW
        assert tried_first.total_seconds() - 60 < levels.overdue["api"] <= tried_first.total_seconds() + 60
        assert ["placed"] == [hold.rule for hold in await journal.holds()]
        assert [] == await _claimed(journal, now=NOW + timedelta(days=999))
        assert 1 == await journal.release("api", "placed")
        assert [] == await journal.holds()
        assert set() == (await journal.levels()).held
        assert 1 == len(await _claimed(journal, now=datetime.now(UTC)))


async def test_a_lane_is_held_only_by_a_rule_that_is_held(journal, envelope):
    """Whoever works may not have heard yet that a person released it."""
    await journal.append(envelope("1"))
    (claim,) = await _claimed(journal)
    held = Postponed(until=None, fact="placed", reason=Reason.RULE_HELD, rule="placed")
    await journal.record(claim, Progress(end=held), now=NOW)
    (again,) = await _claimed(journal)
    assert (claim.seq, 1) == (again.seq, again.attempt)


async def test_what_is_final_stays_final_when_the_lane_is_postponed_after_it(opened, envelope):
    async with opened() as journal:
        appended = await journal.append(envelope("1"))
        (claim,) = await _claimed(journal)
        waits = Postponed(until=LATER, fact="confirmed", reason=Reason.TIMED_OUT)
        await journal.record(claim, Progress(settled=[_settled("placed")], end=waits), now=NOW)
    async with opened() as journal:
        assert {("placed", "[]"): "delivered"} == await _facts(journal, appended.lane)
        (claim,) = await _claimed(journal)
        assert {("placed", "[]"): State.DELIVERED} == claim.held


# -- the departed mark -------------------------------------------------------------------------------------------------


async def test_a_fact_that_departed_is_uncertain_after_a_crash_and_its_document_goes_on(opened, envelope):
    async with opened() as journal:
        appended = await journal.append(envelope("1"))
        (claim,) = await _claimed(journal)
        await journal.record(claim, Progress(settled=[_settled(state=State.DEPARTED)]), now=NOW)
    async with opened() as journal:
        assert {("placed", "[]"): "uncertain"} == await _facts(journal, appended.lane)
        (claim,) = await _claimed(journal)
        assert {("placed", "[]"): State.UNCERTAIN} == claim.held


async def test_a_mark_that_is_taken_back_leaves_nothing(opened, envelope):
    async with opened() as journal:
        appended = await journal.append(envelope("1"))
        (claim,) = await _claimed(journal)
        await journal.record(claim, Progress(settled=[_settled(state=State.DEPARTED)]), now=NOW)
        waits = Postponed(until=NOW, fact="placed", reason=Reason.THROTTLED)
        await journal.record(claim, Progress(released=[("placed", "[]")], end=waits), now=NOW)
    async with opened() as journal:
        assert {} == await _facts(journal, appended.lane)


# -- what a person does ------------------------------------------------------------------------------------------------


async def test_a_retry_maps_the_newest_stored_document_even_if_it_is_stale_by_now(journal, envelope):
    await _dead(journal, envelope("1", minutes=1))
    await journal.append(envelope("1", minutes=9))
    (claim,) = await _claimed(journal)
    await _done(journal, claim)
    (fact,) = await _parked(journal)
    assert 1 == await journal.retry([fact.ref])
    (claim,) = await _claimed(journal, now=datetime.now(UTC))
    assert ("1-9", True, False) == (claim.envelope.id, claim.asked, claim.is_stale)
    await _done(journal, claim, _settled(), now=datetime.now(UTC))
    assert [] == await _parked(journal)


async def test_a_dropped_fact_holds_its_key(journal, envelope):
    appended = await _dead(journal, envelope("1"))
    assert 1 == await journal.drop([(await _parked(journal))[0].ref])
    assert {("placed", "[]"): "dropped"} == await _facts(journal, appended.lane)


@pytest.mark.parametrize("state", [State.DELIVERED, State.DROPPED])
async def test_an_uncertain_fact_is_settled_by_a_persons_word(journal, envelope, state):
    appended = await journal.append(envelope("1"))
    (claim,) = await _claimed(journal)
    await _done(journal, claim, _settled(state=State.UNCERTAIN))
    refs = [fact.ref for fact in await _parked(journal, State.UNCERTAIN)]
    assert 1 == await journal.settle(refs, state)
    assert 0 == await journal.settle(refs, state)
    assert {("placed", "[]"): state} == await _facts(journal, appended.lane)


async def test_an_uncertain_fact_that_is_sent_again_lets_go_of_its_key_and_claims_its_document(journal, envelope):
    await journal.append(envelope("1"))
    (claim,) = await _claimed(journal)
    await _done(journal, claim, _settled(state=State.UNCERTAIN))
    assert 1 == await journal.resend([fact.ref for fact in await _parked(journal, State.UNCERTAIN)])
    (claim,) = await _claimed(journal, now=datetime.now(UTC))
    assert ({}, "1-0") == (claim.held, claim.envelope.id)


async def test_a_reference_that_names_nothing_changes_nothing(journal, envelope):
    await _dead(journal, envelope("1"))
    assert 0 == await journal.retry(["1-00000000", "999-00000000", "nonsense", ""])


async def test_parked_facts_are_selected_and_read_page_by_page(journal, envelope):
    for order in range(250):
        await journal.append(envelope(str(order)))
    while claims := await _claimed(journal):
        for claim in claims:
            rule = "even" if int(claim.envelope.lane) % 2 == 0 else "odd"
            await _done(journal, claim, _settled(rule, State.DEAD, reason=Reason.REFUSED))
    assert 250 == len({fact.ref for fact in await _parked(journal)})
    assert 125 == len(await _parked(journal, rule="even"))
    assert 0 == len(await _parked(journal, reason="rule failed"))
    one = (await _parked(journal))[200]
    assert [one] == await _parked(journal, refs=(one.ref,))


# -- asking ------------------------------------------------------------------------------------------------------------


async def test_an_order_is_found_by_its_id_and_by_each_of_its_names_in_its_shop(journal, envelope):
    names = ("#1042", "customer:7", "checkout:abc", "email:ada@example.com", "phone:+441632960001")
    appended = await journal.append(envelope("1", aliases=names))
    for text in ("1", "#1042", "1042", "7", "abc", "Ada@Example.com", "+441632960001"):
        assert [appended.lane] == list(await journal.find(text)), text
    assert [] == list(await journal.find("#1042", tenant="other.example"))
    assert [] == list(await journal.find("#1043"))


async def test_a_delivery_is_found_by_its_id_and_source(journal, envelope):
    appended = await journal.append(envelope("1", "delivery-7"))
    assert [appended.lane] == list(await journal.find_delivery("shop", "delivery-7"))
    assert [] == list(await journal.find_delivery("erp", "delivery-7"))


async def test_a_story_tells_all_that_happened(journal, envelope):
    appended = await journal.append(envelope("1"))
    (claim,) = await _claimed(journal)
    waits = Postponed(until=LATER, fact="placed", reason=Reason.THROTTLED, detail="429")
    await journal.record(claim, Progress(end=waits), now=NOW)
    (claim,) = await _claimed(journal)
    await _done(journal, claim, _settled(), skips=[Skip(reason=Reason.NOT_TRUE, rule="cancelled")])
    await journal.append(envelope("1", minutes=1))
    story = await journal.story(appended.lane)
    assert ("1", 2, 1, 1, 1, 1) == (
        story.order,
        *map(len, (story.documents, story.facts, story.skips, story.attempts, story.waiting)),
    )
    assert await journal.story(10**9) is None


async def test_counts_tell_what_waits_and_what_is_parked(journal, envelope):
    await _dead(journal, envelope("1"))
    await journal.append(envelope("2"))
    stats, levels = await journal.stats(), await journal.levels()
    assert (2, 2, {"api": 1}, {("api", "dead"): 1}) == (stats.envelopes, stats.lanes, stats.waiting, stats.facts)
    assert ({"api": 1}, {("api", "dead"): 1}) == (levels.waiting, levels.parked)
    assert journal.refuses() is None


async def test_what_is_parked_is_counted_by_what_it_has_in_common(journal, envelope):
    for order in "12":
        await _dead(journal, envelope(order))
    await journal.append(envelope("3"))
    (claim,) = await _claimed(journal)
    unsure = _settled("shipped", State.UNCERTAIN, reason=Reason.TIMED_OUT)
    await _done(journal, claim, _settled(), unsure, _settled("refund", State.DEPARTED))
    groups = await journal.parked_groups()
    assert [
        ("dead", "api", "placed", "refused", 2),
        ("uncertain", "api", "shipped", "timed out", 1),
    ] == [(group.state, group.dest, group.rule, group.reason, group.count) for group in groups]
    assert {LATER} == {group.since for group in groups}


async def test_one_who_only_reads_knows_what_waits_and_how_much_is_overdue(opened, implementation, place, envelope):
    async with opened() as journal:
        await _dead(journal, envelope("1"))
        await journal.append(envelope("2"))
        await journal.hold(Hold(dest="api", rule="placed", digest="d", since=NOW, detail="422"))
        own = await journal.levels()
        async with implementation.reading(place) as reader:
            levels = await reader.levels()
    assert (own.waiting, own.parked, own.held) == (levels.waiting, levels.parked, levels.held)
    assert {"api": 1} == levels.waiting
    assert own.overdue["api"] == pytest.approx(levels.overdue["api"], abs=60)
    assert (datetime.now(UTC) - NOW).total_seconds() == pytest.approx(levels.overdue["api"], abs=3600)


async def test_orders_are_listed_once_each_by_their_newest_documents_with_what_became_of_them(journal, envelope):
    first = await _dead(journal, envelope("1"))
    await journal.append(envelope("2"))
    (claim,) = await _claimed(journal)
    await _done(journal, claim, _settled(), skips=[Skip(reason=Reason.NOT_TRUE, rule="cancelled", detail="no")])
    await journal.append(envelope("3"))
    newest = await journal.append(envelope("1", minutes=1))
    page = await journal.listing(before=2**62, limit=3)
    assert ["1", "3", "2"] == [order.order for order in page.orders]
    again, third, second = page.orders
    assert (newest.seq, first.lane, "shop", "shop.example") == (
        again.seq, again.lane, again.source, again.tenant,
    )  # fmt: skip
    dead = Entry(dest="api", state="dead", reason="refused", rule="placed", fact="placed", once="[]", detail="422")
    waits = Entry(dest="api", state=WAITING)
    assert [waits, dead] == list(again.entries)
    assert [waits] == list(third.entries)
    assert [
        Entry(dest="api", state="delivered", rule="placed", fact="placed", once="[]"),
        Entry(dest="api", state=SKIPPED, reason="not true", rule="cancelled", detail="no"),
    ] == list(second.entries)
    assert NOW == page.newest == again.came_at
    rest = await journal.listing(before=page.last, limit=3)
    assert ([], first.seq) == (list(rest.orders), rest.last)
    assert Listing(orders=[]) == await journal.listing(before=rest.last, limit=3)


async def test_what_is_remembered_is_found_by_the_beginning_of_its_name(journal):
    began = datetime.now(UTC) - timedelta(minutes=1)
    for name, value in (("b:1", "one"), ("b:\u00e9", "two"), ("b", "no"), ("B:1", "no"), ("c:1", "no"), ("b%1", "no")):
        await journal.remember(name, value)
    found = await journal.memories("b:")
    assert [("b:1", "one"), ("b:\u00e9", "two")] == [(memory.name, memory.value) for memory in found]
    assert all(began < memory.at < began + timedelta(hours=1) for memory in found)
    assert [] == await journal.memories("b:2")


async def test_names_of_facts_are_kept(opened, envelope):
    async with opened() as journal:
        await _dead(journal, envelope("1"))
    async with opened() as journal:
        assert [("api", "placed")] == list(await journal.fact_names())


# -- forgetting --------------------------------------------------------------------------------------------------------

MONTH = timedelta(days=30)


async def _pruned(journal, *, now):
    retention = Retention(bodies=MONTH, history=13 * MONTH, keys=25 * MONTH)
    total = [0, 0, 0]
    more = True
    while more:
        pruned = await journal.prune(retention, now=now, limit=3)
        total = [a + b for a, b in zip(total, (pruned.bodies, pruned.envelopes, pruned.lanes), strict=True)]
        more = pruned.more
    return total


async def _with_everything(journal, envelope):
    """Orders that are settled, waiting, dead and uncertain, all of them old."""
    ends = {"1": State.DELIVERED, "2": State.DEAD, "3": State.UNCERTAIN}
    appended = {order: await journal.append(envelope(order)) for order in ends}
    for claim in await _claimed(journal, now=NOW):
        await _done(journal, claim, _settled(state=ends[claim.envelope.lane]), now=NOW)
    appended["4"] = await journal.append(envelope("4"))
    return appended


async def test_bodies_go_a_month_after_the_last_final_state_and_never_while_something_waits_or_is_parked(
    journal, envelope
):
    appended = await _with_everything(journal, envelope)
    assert [0, 0, 0] == await _pruned(journal, now=NOW + MONTH)
    assert [1, 0, 0] == await _pruned(journal, now=NOW + MONTH + timedelta(seconds=1))
    kept = {order for order, one in appended.items() if (await journal.document(one.seq)).raw}
    assert {"2", "3", "4"} == kept


async def test_history_goes_later_and_keys_last(journal, envelope):
    appended = await _with_everything(journal, envelope)
    assert [1, 1, 0] == await _pruned(journal, now=NOW + 14 * MONTH)
    assert {("placed", "[]"): "delivered"} == await _facts(journal, appended["1"].lane)
    assert [0, 0, 1] == await _pruned(journal, now=NOW + 26 * MONTH)
    assert await journal.story(appended["1"].lane) is None
    assert 3 == (await journal.stats()).lanes


async def test_an_order_that_comes_again_after_all_was_forgotten_is_a_new_one(journal, envelope):
    first = await journal.append(envelope("1"))
    (claim,) = await _claimed(journal)
    await _done(journal, claim, _settled(), now=NOW)
    await _pruned(journal, now=NOW + 26 * MONTH)
    again = await journal.append(envelope("1"))
    assert not again.known
    assert first.lane < again.lane
    assert first.seq < again.seq


async def test_orders_are_paged_with_their_documents_in_a_span_and_their_keys(journal, envelope):
    for order in ("1", "2", "3"):
        await journal.append(envelope(order))
    await journal.append(envelope("2", "later", minutes=5, received_at=LATER))
    for claim in await _claimed(journal):
        await _done(journal, claim, _settled())
    await journal.append(envelope("3", "test", reason=Reason.TEST_ORDER))
    await journal.append(envelope("3", "parked", reason=Reason.UNREADABLE))
    first = await journal.orders(after=0, limit=2)
    assert [["1"], ["2", "2"]] == [[document.lane for document in kept.documents] for kept in first]
    assert {("api", "placed", "[]"): State.DELIVERED} == first[0].held
    assert {("api", "placed", "[]")} == first[0].by_these
    (last,) = await journal.orders(after=first[-1].lane, limit=2)
    assert ["3"] == [document.lane for document in last.documents]
    assert last.documents[0].raw
    assert [] == await journal.orders(after=last.lane, limit=2)
    late = LATER
    spans = [await journal.orders(after=0, limit=9, since=late), await journal.orders(after=0, limit=9, until=late)]
    assert [[0, 1, 0], [1, 1, 1]] == [[len(kept.documents) for kept in span] for span in spans]
    assert not spans[0][0].by_these


# -- standings, memory and turns ---------------------------------------------------------------------------------------


async def test_a_standing_tells_the_newest_document_the_facts_and_what_waits(journal, envelope):
    await journal.append(envelope("1", minutes=5))
    (claim,) = await _claimed(journal)
    await _done(journal, claim, _settled(amount="99.00 EUR"), _settled("refunded", State.DEAD, once='["7"]'))
    await journal.append(envelope("1", minutes=3))
    await journal.append(envelope("1", minutes=9, kind="refund"))
    await journal.append(envelope("2", version=False))
    found = await journal.standings("shop.example", ["1", "2", "3"], source="shop", kind="order")
    assert {"1", "2"} == set(found)
    assert NOW + timedelta(minutes=5) == found["1"].newest
    assert found["2"].newest is None
    assert {"api"} == found["1"].waiting
    assert {
        ("api", "placed", "[]"): Fact(state=State.DELIVERED, amount="99.00 EUR"),
        ("api", "refunded", '["7"]'): Fact(state=State.DEAD),
    } == found["1"].facts


async def test_standings_are_of_one_shop_and_one_source(journal, envelope):
    await journal.append(envelope("1", minutes=5, tenant="other.example"))
    await journal.append(envelope("1", minutes=1, source="till"))
    found = await journal.standings("shop.example", ["1"], source="shop", kind="order")
    assert found["1"].newest is None
    assert {} == await journal.standings("third.example", ["1"], source="shop", kind="order")
    assert {} == await journal.standings("shop.example", [], source="shop", kind="order")


async def test_what_is_remembered_is_there_after_the_journal_is_opened_again(opened):
    async with opened() as journal:
        assert await journal.recall("mark") is None
        await journal.remember("mark", "one")
        await journal.remember("mark", "two")
    async with opened() as journal:
        assert "two" == await journal.recall("mark")


async def test_a_turn_that_a_wrong_clock_took_in_years_to_come_holds_nobody_up(journal):
    hour = timedelta(hours=1)
    assert await journal.begin_job("check", every=hour, now=NOW + timedelta(days=2000))
    assert await journal.begin_job("check", every=hour, now=NOW)
    assert not await journal.begin_job("check", every=hour, now=NOW - timedelta(minutes=5))
    assert not await journal.begin_job("check", every=timedelta(), now=NOW - timedelta(minutes=5))


async def test_a_turn_is_taken_once_in_its_time_also_after_a_restart(opened):
    hour = timedelta(hours=1)
    async with opened() as journal:
        assert await journal.begin_job("check", every=hour, now=NOW)
        assert not await journal.begin_job("check", every=hour, now=NOW + timedelta(minutes=59))
        assert await journal.begin_job("other", every=hour, now=NOW)
    async with opened() as journal:
        assert not await journal.begin_job("check", every=hour, now=NOW + timedelta(minutes=59))
        assert await journal.begin_job("check", every=hour, now=NOW + hour)


# -- decisions about what is in flight ---------------------------------------------------------------------------------


async def _revoked(journal, claim):
    """Waits until the journal knows that a person has decided about it."""
    async with asyncio.timeout(20):
        while (claim.lane, claim.number) not in journal.revoked(claim.dest):
            await asyncio.sleep(0.02)


async def _refused(journal, claim):
    departed = Progress(settled=[_settled(state=State.DEPARTED)])
    for asking in (journal.confirm(claim), journal.record(claim, departed, now=LATER)):
        with pytest.raises(ClaimRevoked):
            await asking


async def test_a_claim_that_nobody_decided_about_is_confirmed(journal, envelope):
    await _dead(journal, envelope("1"))
    await journal.append(envelope("2"))
    (claim,) = await _claimed(journal)
    await journal.drop([fact.ref for fact in await _parked(journal)])
    await journal.confirm(claim)
    assert set() == set(journal.revoked("api"))
    await _done(journal, claim, _settled())


async def test_a_drop_takes_back_what_was_claimed_of_its_order(journal, envelope):
    await _dead(journal, envelope("1"))
    (fact,) = await _parked(journal)
    await journal.append(envelope("1", minutes=1))
    (claim,) = await _claimed(journal)
    assert {("placed", "[]"): State.DEAD} == dict(claim.held)
    dropping = asyncio.create_task(journal.drop([fact.ref]))
    await _revoked(journal, claim)
    await _refused(journal, claim)
    await journal.record(claim, Progress(end=Returned()), now=LATER)
    assert 1 == await dropping
    (again,) = await _claimed(journal, now=LATER + timedelta(minutes=1))
    assert (claim.seq, {("placed", "[]"): State.DROPPED}) == (again.seq, dict(again.held))
    assert 0 == again.attempt
    await journal.confirm(again)
    await _done(journal, again)


async def test_a_settlement_takes_back_what_was_claimed_of_its_order(journal, envelope):
    await journal.append(envelope("1"))
    (claim,) = await _claimed(journal)
    await _done(journal, claim, _settled(state=State.UNCERTAIN, reason=Reason.NO_ANSWER))
    (fact,) = await _parked(journal, State.UNCERTAIN)
    await journal.append(envelope("1", minutes=1))
    (claim,) = await _claimed(journal)
    settling = asyncio.create_task(journal.settle([fact.ref], State.DROPPED))
    await _revoked(journal, claim)
    await _refused(journal, claim)
    await journal.record(claim, Progress(end=Returned()), now=LATER)
    assert 1 == await settling


async def test_an_erasure_takes_back_what_was_claimed_and_nothing_of_it_is_claimed_again(journal, envelope):
    appended = await journal.append(envelope("1"))
    (claim,) = await _claimed(journal)
    erasing = asyncio.create_task(journal.erase(Erasure(tenant="shop.example", orders=("1",))))
    await _revoked(journal, claim)
    await _refused(journal, claim)
    await journal.record(claim, Progress(end=Returned()), now=LATER)
    assert 1 == (await erasing).bodies
    assert [] == await _claimed(journal, now=LATER + timedelta(days=1))
    assert b"" == (await journal.document(appended.seq)).raw
    assert await journal.next_due("api") is None


async def test_what_is_given_back_keeps_what_was_settled_of_it(journal, envelope):
    await journal.append(envelope("1"))
    (claim,) = await _claimed(journal)
    await journal.record(claim, Progress(settled=[_settled("seen")], end=Returned()), now=LATER)
    (again,) = await _claimed(journal, now=LATER + timedelta(minutes=1))
    assert (claim.seq, {("seen", "[]"): State.DELIVERED}) == (again.seq, dict(again.held))


async def test_a_document_that_is_asked_for_again_while_it_is_in_flight_is_due_when_it_ends(journal, envelope):
    """Also where the table was searched meanwhile, and found nothing but what was in flight."""
    later = NOW + timedelta(days=10_000)  # a retry is due by the clock
    await _dead(journal, envelope("1"))
    (fact,) = await _parked(journal)
    await journal.retry([fact.ref])
    (claim,) = await _claimed(journal, now=later)
    await journal.retry([fact.ref])
    assert [] == await _claimed(journal, now=later)
    await _done(journal, claim, _settled(state=State.DEAD, reason=Reason.REFUSED), now=later)
    assert await journal.next_due("api") is not None
    assert [claim.seq] == [again.seq for again in await _claimed(journal, now=later)]


async def test_how_far_a_partition_is_stored_is_there_after_the_journal_is_opened_again(opened):
    async with opened() as journal:
        assert {} == await journal.positions("stream")
        await journal.keep_positions("stream", {("orders", 0): 7, ("orders", 1): 0, ("refunds", 0): 2**40})
        await journal.keep_positions("stream", {("orders", 0): 9})
        await journal.keep_positions("other", {("orders", 0): 1})
        await journal.keep_positions("other", {})
    async with opened() as journal:
        kept = {("orders", 0): 9, ("orders", 1): 0, ("refunds", 0): 2**40}
        assert {place: Position(offset=offset) for place, offset in kept.items()} == await journal.positions("stream")
        assert {("orders", 0): Position(offset=1)} == await journal.positions("other")
