"""What a destination may do to an order, through the whole bridge."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bridge import registry
from bridge.delivery.outage import outage_of
from connectors.hellotext.strange import STRANGE


async def test_a_server_error_is_tried_again_until_the_api_has_it(running, order):
    number, body = order()
    async with running() as bridge:
        await bridge.fail(status=503, times=3)
        await bridge.post(body)
        story = await bridge.settled(number)
        assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(number)
        assert "server error" in {attempt["reason"] for attempt in story.attempts}


async def test_a_destination_that_asks_to_be_left_alone_is_shown_everywhere_as_resting(running, order):
    _, body = order()
    async with running() as bridge:
        await bridge.fail(status=429, retry_after=0.1, times=1)
        await bridge.fail(status=429, retry_after=99_999_999)
        await bridge.post(body)

        async def noted():
            return await outage_of(bridge.house.journal, "hellotext")

        trouble = await bridge.until(noted)
        assert ("resting", True) == (trouble.state, "asks to be left alone for" in trouble.reason)
        async with bridge.session.get(f"{bridge.private}/status") as answer:
            (told,) = (await answer.json())["destinations"]
        assert ("resting", trouble.reason) == (told["state"], told["reason"])
        assert 0 < told["asked_again_in_s"] <= 600
        async with bridge.session.get(f"{bridge.private}/metrics") as answer:
            assert 'bridge_destination_up{dest="hellotext"} 0.0' in await answer.text()


async def test_a_reset_connection_is_tried_again_where_repeating_does_no_harm(running, order):
    number, body = order()
    async with running() as bridge:
        await bridge.fail(reset="after", times=2, path="/v1/attribution/events")
        await bridge.post(body)
        await bridge.settled(number)
        assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(number)


async def test_an_unrepeatable_event_that_is_not_answered_is_parked_as_uncertain_and_never_repeated(running, order):
    number, body = _session_only(order)
    async with running() as bridge:
        await bridge.fail(reset="after", path="/v1/attribution/events")
        await bridge.post(body)
        await bridge.settled(number)
        assert {"order.placed": "uncertain", "order.confirmed": "uncertain"} == await bridge.states(number)
        await bridge.recover()
        await bridge.post(body, topic="orders/updated")
        story = await bridge.settled(number)
        assert {"order.placed": "uncertain", "order.confirmed": "uncertain"} == await bridge.states(number)
        assert "already" in {skip["reason"] for skip in story.skips}
        assert 2 == len(await bridge.received())


async def test_a_rule_that_says_resend_repeats_what_was_not_answered(running, settings_for, sandbox, order):
    number, body = _session_only(order)
    more = "rules: {placed: {uncertain: resend}, confirmed: {uncertain: resend}}\n"
    async with running(settings_for(sandbox, more=more)) as bridge:
        await bridge.fail(reset="after", times=1, path="/v1/attribution/events")
        await bridge.post(body)
        await bridge.settled(number)
        assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(number)
        assert 3 == len(await bridge.received())


async def test_a_throttled_event_takes_its_mark_back_and_waits_as_long_as_it_is_told(running, order):
    number, body = _session_only(order)
    async with running() as bridge:
        await bridge.fail(status=429, retry_after=0.2, times=1, path="/v1/attribution/events")
        await bridge.post(body)
        story = await bridge.settled(number)
        assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(number)
        first = story.attempts[0]
        assert "throttled" == first["reason"]
        assert 0.15 < (first["until"] - first["at"]).total_seconds() < 0.5


async def test_a_refusal_is_a_dead_letter_with_its_status_and_parameter(running, order):
    number, body = order(currency="no currency")
    async with running() as bridge:
        await bridge.post(body)
        story = await bridge.settled(number)
        assert {"dead"} == {fact["state"] for fact in story.facts}
        assert all("422" in fact["detail"] or "rule" in fact["reason"] for fact in story.facts)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_destination_that_does_not_allow_us_is_paused_holds_its_facts_and_resumes_by_itself(
    running, order, status
):
    async with running() as bridge:
        await bridge.fail(status=status)
        numbers = []
        for _ in range(5):
            number, body = order()
            numbers.append(number)
            await bridge.post(body)
        await bridge.until(lambda: _mood(bridge, "paused"))
        told = await _told(bridge)
        assert str(status) in told["reason"], told
        assert datetime.fromisoformat(told["since"]) <= datetime.now(UTC)
        await bridge.recover()
        for number in numbers:
            await bridge.settled(number)
            assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(number)
        assert "well" == await _mood(bridge)


@pytest.mark.parametrize("strange", STRANGE)
async def test_what_no_api_said_is_not_delivered_and_nothing_more_is_sent(running, order, strange):
    async with running() as bridge:
        await bridge.fail(strange=strange, path="/v1/attribution/events")
        number, body = order()
        await bridge.post(body)
        await bridge.until(lambda: _mood(bridge, "paused"))
        assert "POST events: 20" in (await _told(bridge))["reason"]
        assert {} == await bridge.states(number)
        await bridge.recover()
        await bridge.settled(number)
        assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(number)


async def test_what_must_not_be_repeated_is_uncertain_where_nobody_knows_who_answered(running, order):
    async with running() as bridge:
        await bridge.fail(strange="text", path="/v1/attribution/events")
        first, body = _session_only(order, financial_status="pending")
        await bridge.post(body)
        await bridge.until(lambda: _mood(bridge, "paused"))
        second, body = _session_only(order, financial_status="pending")
        await bridge.post(body)
        story = await bridge.settled(first)
        assert [("uncertain", "not understood")] == [(fact["state"], fact["reason"]) for fact in story.facts]
        await bridge.recover()
        await bridge.settled(second)
        assert {"order.placed": "delivered"} == await bridge.states(second)


async def test_a_profile_that_no_api_gave_is_asked_for_again(running, order):
    async with running() as bridge:
        await bridge.fail(strange="challenge", path="/v1/profiles", times=1)
        number, body = order()
        await bridge.post(body)
        await bridge.settled(number)
        assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(number)
        assert [202, 201] == [line["status"] for line in await bridge.received("/v1/profiles")]


async def test_a_probe_that_a_firewall_answers_ends_no_pause(running, order):
    async with running() as bridge:
        await bridge.fail(status=500)
        number, body = order()
        await bridge.post(body)
        await bridge.until(lambda: _mood(bridge, "down"))
        await bridge.recover()
        await bridge.fail(strange="challenge")

        async def probed():
            return [line for line in await bridge.received("/v1/profiles?limit=1") if line["status"] == 202]

        await bridge.until(probed)
        assert "down" == await _mood(bridge)
        await bridge.recover()
        await bridge.settled(number)
        assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(number)


async def test_an_api_that_is_not_there_is_probed_and_gets_everything_when_it_comes(running, settings_for, order):
    async with registry.sandbox("hellotext").serving() as url:
        port = int(url.rsplit(":", 1)[1])
    number, body = order()
    async with running(settings_for(url)) as bridge:
        await bridge.post(body)
        await bridge.until(lambda: _mood(bridge, "down"))
        async with registry.sandbox("hellotext").serving(port=port):
            await bridge.settled(number)
            assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(number)


async def test_a_lane_that_waits_holds_nobody_else(running, settings_for, sandbox, order):
    async with running(settings_for(sandbox, more="")) as bridge:
        slow, body = order(landing_site=None, note_attributes=[{"name": "hello_session", "value": "not-known-yet"}])
        async with bridge.session.post(f"{bridge.api}/sessions/unknown", json={"sessions": ["not-known-yet"]}) as told:
            assert told.status < 300
        await bridge.post(body.replace(b"5f0c7f3c-0000-4000-8000-000000001042", b""))
        other, body = order()
        await bridge.post(body)
        await bridge.settled(other)
        assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(other)
        await bridge.settled(slow)
        events = [e["body"] for e in await bridge.received() if e["body"]["object_parameters"]["reference"] == slow]
        assert [False, False] == ["session" in event for event in events]


async def test_the_same_refusal_twenty_times_running_holds_the_rule_until_a_person_releases_it(running, order):
    async with running() as bridge:
        await bridge.fail(status=422, path="/v1/attribution/events")
        for _ in range(40):
            _, body = order(financial_status="pending")
            await bridge.post(body)

        async def held():
            return [hold.rule for hold in await bridge.house.journal.holds()]

        assert ["placed"] == await bridge.until(held)

        async def nothing_moves():
            stats = await bridge.house.journal.stats()
            return stats if stats.waiting and not stats.oldest_due else None

        before = await bridge.until(nothing_moves)
        dead, waiting = before.facts["hellotext", "dead"], before.waiting["hellotext"]
        assert 40 == dead + waiting
        assert 20 <= dead < 40
        await bridge.recover()
        await bridge.post(order(financial_status="pending")[1])
        await asyncio.sleep(0.1)
        assert waiting + 1 == (await bridge.house.journal.stats()).waiting["hellotext"]


async def test_a_dead_fact_is_not_tried_again_while_another_of_its_document_waits(running, order):
    number, body = order()
    async with running() as bridge:
        await bridge.fail(status=422, times=1, path="/v1/attribution/events")
        await bridge.fail(status=503, times=3, path="/v1/attribution/events")
        await bridge.post(body)
        await bridge.settled(number)
        assert {"order.placed": "dead", "order.confirmed": "delivered"} == await bridge.states(number)
        assert ["order.placed"] + ["order.confirmed"] * 4 == [e["body"]["action"] for e in await bridge.received()]


async def test_a_fact_that_is_tried_past_give_up_is_dead(running, settings_for, sandbox, order):
    more = ""
    settings = settings_for(sandbox, more=more)
    number, body = order()
    patient = settings.delivery.model_copy(update={"give_up": settings.delivery.first_wait})
    async with running(replace(settings, delivery=patient)) as bridge:
        await bridge.fail(status=500, path="/v1/attribution/events")
        await bridge.post(body)
        story = await bridge.settled(number)
        assert {"gave up"} == {fact["reason"] for fact in story.facts}


def _session_only(order, **more):
    """An order that tells nothing of its buyer but the visit: the API keeps no two of its events apart."""
    nobody = {"email": "", "contact_email": None, "phone": None, "customer": None}
    return order(**nobody, billing_address=None, shipping_address=None, **more)


async def _told(bridge):
    async with bridge.session.get(f"{bridge.private}/status") as told:
        return (await told.json())["destinations"][0]


async def _mood(bridge, wanted=None):
    mood = (await _told(bridge))["state"]
    return mood if wanted in (None, mood) else None
