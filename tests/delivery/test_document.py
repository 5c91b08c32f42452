"""One claimed document: mapped, its facts sent in the order of the rules, and all that became of it stored."""

from datetime import UTC, datetime, timedelta

from bridge.contract import Delivered, Reason, Rejected, Retry, State
from bridge.journal import Selection
from tests.mapping.rules_of import order as order_document

FIRST_FAILS = """
broken:
  {for: order, to: api, at: = order.created_at, give: {action: order.placed, amount: = order.total_price / order.rate}}
paid: {for: order, to: api, at: = order.created_at, give: {action: order.confirmed, amount: = order.total_price}}
"""


async def claimed(journal, *, later=timedelta()):
    (claim,) = await journal.claim("api", now=datetime.now(UTC) + later, limit=1, budget=1 << 20)
    return claim


async def states(journal, lane):
    return {fact["fact"]: fact["state"] for fact in (await journal.story(lane)).facts}


async def test_facts_are_sent_in_the_order_of_the_rules_and_each_is_stored(journal, api, order, delivering):
    await journal.append(order())
    async with delivering() as (delivery, outcomes):
        claim = await claimed(journal)
        await delivery.carry(delivery.mapped(claim))
    assert ["order.placed", "order.confirmed"] == api.received
    assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await states(journal, claim.lane)
    assert [Delivered(), Delivered()] == outcomes
    assert not (await journal.story(claim.lane)).waiting


async def test_each_fact_has_a_key_that_is_the_same_at_every_attempt(journal, api, order, delivering):
    api.status = 429
    keys = []
    for number in (1, 2):
        await journal.append(order(number))
    for hours in (0, 1):
        async with delivering() as (delivery, _):
            for claim in await journal.claim(
                "api", now=datetime.now(UTC) + timedelta(hours=hours), limit=2, budget=1 << 20
            ):
                document = delivery.mapped(claim)
                keys += [document.attempt(datetime.now(UTC), event).key for event in document.events]
                await delivery.carry(document)
    assert 8 == len(keys)
    assert (4, sorted(keys[:4])) == (len(set(keys)), sorted(keys[4:]))


async def test_what_became_of_a_fact_is_stored_before_the_next_leaves(journal, api, order, delivering):
    seen = []

    async def look(body):
        seen.append((body["action"], await states(journal, claim.lane)))

    api.on_event = look
    await journal.append(order())
    async with delivering() as (delivery, _):
        claim = await claimed(journal)
        await delivery.carry(delivery.mapped(claim))
    assert [("order.placed", {}), ("order.confirmed", {"order.placed": "delivered"})] == seen


async def test_a_fact_whose_key_is_held_is_not_sent_again(journal, api, order, delivering):
    async with delivering() as (delivery, _):
        for name in ("first", "second"):
            await journal.append(order(delivery=name))
            claim = await claimed(journal)
            await delivery.carry(delivery.mapped(claim))
    assert ["order.placed", "order.confirmed"] == api.received
    assert ["already", "already"] == [skip["reason"] for skip in (await journal.story(claim.lane)).skips]


async def test_what_must_wait_keeps_the_facts_after_it_waiting(journal, api, order, delivering):
    api.by_action["order.placed"] = 429
    await journal.append(order())
    async with delivering() as (delivery, outcomes):
        claim = await claimed(journal)
        await delivery.carry(delivery.mapped(claim))
        assert ["order.placed"] == api.received
        assert [Reason.THROTTLED] == [outcome.reason for outcome in outcomes if isinstance(outcome, Retry)]
        api.by_action.clear()
        again = await claimed(journal, later=timedelta(hours=1))
        assert 1 == again.attempt
        await delivery.carry(delivery.mapped(again))
    assert ["order.placed", "order.placed", "order.confirmed"] == api.received
    assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await states(journal, claim.lane)


async def test_a_rule_that_fails_is_a_dead_fact_and_the_others_are_sent(journal, api, order, delivering):
    await journal.append(order(document=order_document(rate=0)))
    async with delivering(FIRST_FAILS) as (delivery, _):
        claim = await claimed(journal)
        await delivery.carry(delivery.mapped(claim))
    assert {"order.placed": "dead", "order.confirmed": "delivered"} == await states(journal, claim.lane)
    assert ["order.confirmed"] == api.received


async def test_a_refused_fact_is_dead_and_is_told_of_as_one(journal, api, order, delivering):
    api.status = 422
    await journal.append(order())
    async with delivering() as (delivery, outcomes):
        claim = await claimed(journal)
        await delivery.carry(delivery.mapped(claim))
    assert {"order.placed": "dead", "order.confirmed": "dead"} == await states(journal, claim.lane)
    assert [True, True] == [isinstance(outcome, Rejected) for outcome in outcomes]


async def test_a_rule_whose_facts_are_refused_twenty_times_alike_is_held(journal, api, order, delivering):
    api.by_action["order.placed"] = 422
    async with delivering() as (delivery, _):
        for number in range(21):
            await journal.append(order(number))
            await delivery.carry(delivery.mapped(claim := await claimed(journal)))
        assert ["placed"] == list(delivery.held)
        assert ["placed"] == [hold.rule for hold in await journal.holds()]
    assert 20 == api.received.count("order.placed")
    (waiting,) = (await journal.story(claim.lane)).waiting
    assert "placed" == waiting["held"]


async def test_what_may_not_be_repeated_is_marked_before_it_leaves(journal, api, order, delivering):
    marks = []

    async def look(body):
        marks.append((await states(journal, claim.lane))[body["action"]])

    api.on_event = look
    await journal.append(order())
    async with delivering(repeatable=False) as (delivery, _):
        claim = await claimed(journal)
        await delivery.carry(delivery.mapped(claim))
    assert ["departed", "departed"] == marks


async def test_what_may_be_repeated_is_not_marked(journal, api, order, delivering):
    marks = []

    async def look(body):
        marks.append((await states(journal, claim.lane)).get(body["action"]))

    api.on_event = look
    await journal.append(order())
    async with delivering() as (delivery, _):
        claim = await claimed(journal)
        await delivery.carry(delivery.mapped(claim))
    assert [None, None] == marks


async def test_a_claim_that_is_given_back_is_due_again_as_it_was(journal, api, order, delivering):
    await journal.append(order())
    async with delivering() as (delivery, _):
        await delivery.give_back(await claimed(journal))
        assert 0 == (await claimed(journal)).attempt
    assert [] == api.received


async def test_an_order_about_which_a_person_decided_is_not_sent(journal, api, order, delivering):
    appended = await journal.append(order())
    api.by_action["order.placed"] = 422
    async with delivering() as (delivery, _):
        await delivery.carry(delivery.mapped(await claimed(journal)))
        await journal.append(order(delivery="another"))
        claim = await claimed(journal)
        (dead,) = [fact async for fact in journal.parked(Selection(state=State.DEAD))]
        await journal.drop([dead.ref])
        api.received.clear()
        await delivery.carry(delivery.mapped(claim))
        assert [] == api.received
        again = await claimed(journal)
        await delivery.carry(delivery.mapped(again))
    assert {"order.placed": "dropped", "order.confirmed": "delivered"} == await states(journal, appended.lane)


async def test_a_document_that_is_mapped_beside_the_event_loop_gives_the_same(journal, order, delivering):
    await journal.append(order())
    async with delivering() as (delivery, _):
        claim = await claimed(journal)
        assert delivery.mapped(claim).events == (await delivery.mapped_apart(claim)).events


async def test_a_document_beside_which_two_processes_ended_is_not_mapped_again(journal, api, order, delivering):
    await journal.append(order())
    async with delivering() as (delivery, _):
        claim = await claimed(journal)
        await journal.remember(f"mapping:api:{claim.seq % 64}", f"{claim.seq} again")
        await delivery.carry(await delivery.mapped_apart(claim))
    assert [] == api.received
    assert {"dead"} == set((await states(journal, claim.lane)).values())
