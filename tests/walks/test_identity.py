"""Whose an event is: the exact list of requests that the API received, case by case, through the whole bridge."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from itertools import groupby

import pytest

SESSION = "5f0c7f3c-0000-4000-8000-000000001042"
FORGOTTEN = '{"errors":[{"type":"not_found","message":"x","parameter":"profile"}]}'
NOBODY = {
    "email": "",
    "contact_email": None,
    "phone": None,
    "customer": None,
    "billing_address": None,
    "shipping_address": None,
}
NO_VISIT = {"note_attributes": [], "landing_site": None, "line_items": []}


def _visit(session):
    return NO_VISIT | {"note_attributes": [{"name": "hello_session", "value": session}]}


@pytest.fixture
def ordered(order):
    """An order that states one fact: placed."""

    def make(**changes):
        return order(**{"financial_status": "pending", **changes})

    return make


def _with(settings, **changes):
    """These settings, with another hellotext."""
    outlet = settings.destinations["hellotext"]
    changed = outlet.destination.model_copy(update=changes)
    return replace(settings, destinations={"hellotext": replace(outlet, destination=changed)})


async def _sent(bridge):
    """What the API received: method, path, whose (for an event), status. What was repeated is told once."""
    lines = [_line(line) for line in await bridge.received("/v1/")]
    return [line for line, _ in groupby(lines)]


def _line(line):
    path, body = line["path"].removeprefix("/v1/").removeprefix("attribution/"), line["body"]
    whose = "+".join(name for name in ("profile", "session", "session_id") if name in body) if path == "events" else ""
    return " ".join(filter(None, (line["method"], path, whose, str(line["status"]))))


async def _carried(bridge, number, body):
    await bridge.post(body)
    story = await bridge.settled(number)
    sent = await _sent(bridge)
    async with bridge.session.delete(f"{bridge.api}/received"):
        return sent, story


async def _ask(bridge, method, path, body=None):
    headers = {"Authorization": "Bearer token-of-the-tests"}
    async with bridge.session.request(method, bridge.api + path, json=body, headers=headers) as answer:
        return json.loads(await answer.read() or b"null")


async def test_the_profile_is_found_the_session_attached_and_the_event_has_both(running, ordered):
    async with running() as bridge:
        number, body = ordered()
        await bridge.post(body)
        await bridge.settled(number)
        wanted = ["POST profiles 201", f"PATCH sessions/{SESSION} 200", "POST events profile+session 200"]
        assert wanted == await _sent(bridge)
        profile, attached, event = [line["body"] for line in await bridge.received("/v1/")]
        assert {"email[primary]": "ada.sample@example.com"}.items() <= profile.items()
        assert {"profile": event["profile"]} == attached
        assert SESSION == event["session"]


async def test_a_person_that_is_known_is_asked_for_no_more(running, ordered):
    async with running() as bridge:
        await _carried(bridge, *ordered())
        assert ["POST events profile+session 200"] == (await _carried(bridge, *ordered()))[0]


async def test_many_orders_of_one_person_at_once_ask_for_the_person_once(running, ordered):
    orders = [ordered() for _ in range(10)]
    async with running() as bridge:
        await asyncio.gather(*(bridge.post(body) for _, body in orders))
        for number, _ in orders:
            await bridge.settled(number)
        lines = [_line(line) for line in await bridge.received("/v1/")]
        assert [1, 1, 10] == [
            len([line for line in lines if path in line]) for path in ("profiles", "sessions", "events")
        ]


async def test_a_session_of_somebody_else_is_left_out(running, ordered):
    async with running() as bridge:
        other = await _ask(bridge, "POST", "/v1/profiles", {"email[primary]": "ben@example.com"})
        await _ask(bridge, "PATCH", f"/v1/sessions/{SESSION}", {"profile": other["id"]})
        async with bridge.session.delete(f"{bridge.api}/received"):
            sent, story = await _carried(bridge, *ordered())
        assert [
            "POST profiles 201",
            f"PATCH sessions/{SESSION} 200",
            "POST events profile+session 422",
            "POST events profile 200",
        ] == sent
        assert "200 profile, session refused" == story.facts[0]["detail"]


async def test_a_session_that_is_never_known_is_waited_for_and_then_left_out(running, ordered):
    async with running() as bridge:
        await _ask(bridge, "POST", "/sessions/unknown", {"sessions": ["s-1"]})
        sent, story = await _carried(bridge, *ordered(**_visit("s-1")))
        assert ["POST profiles 201", "PATCH sessions/s-1 404", "POST events profile 200"] == sent
        assert {"session unknown"} == {attempt["reason"] for attempt in story.attempts}


async def test_a_session_that_becomes_known_in_time_is_sent(running, settings_for, sandbox, ordered):
    async with running(_with(settings_for(sandbox), session_patience=timedelta(minutes=1))) as bridge:
        await _ask(bridge, "POST", "/sessions/unknown", {"sessions": ["s-1"]})
        number, body = ordered(**_visit("s-1"))
        await bridge.post(body)
        await bridge.until(lambda: bridge.received("/v1/sessions"))
        async with bridge.session.delete(f"{bridge.api}/sessions/unknown"):
            await bridge.settled(number)
        assert [
            "POST profiles 201",
            "PATCH sessions/s-1 404",
            "PATCH sessions/s-1 200",
            "POST events profile+session 200",
        ] == await _sent(bridge)


@pytest.mark.parametrize("session", ["", "undefined", "null", " Undefined ", "no session / at all"])
async def test_what_is_no_session_is_not_sent(running, ordered, session):
    async with running() as bridge:
        assert ["POST profiles 201", "POST events profile 200"] == (
            await _carried(bridge, *ordered(**_visit(session)))
        )[0]


async def test_without_a_person_the_event_has_the_session_only(running, ordered):
    async with running() as bridge:
        assert ["POST events session 200"] == (await _carried(bridge, *ordered(**NOBODY)))[0]


async def test_a_session_alone_that_is_never_known_ends_as_a_dead_letter(running, ordered):
    async with running() as bridge:
        await _ask(bridge, "POST", "/sessions/unknown", {"sessions": ["s-1"]})
        sent, story = await _carried(bridge, *ordered(**NOBODY, **_visit("s-1")))
        assert ["POST events session 422"] == sent
        assert ("dead", "POST events: 422 not_found session") == (story.facts[0]["state"], story.facts[0]["detail"])


async def test_with_neither_nothing_is_sent_and_the_history_says_so(running, ordered):
    async with running() as bridge:
        sent, story = await _carried(bridge, *ordered(**NOBODY, **_visit("null")))
        assert ([], []) == (sent, story.facts)
        assert "no identity" in {skip["reason"] for skip in story.skips}


@pytest.mark.parametrize("visit", [{}, NO_VISIT], ids=["with a session", "without"])
async def test_a_known_profile_that_the_api_has_forgotten_is_asked_for_again(running, ordered, visit):
    async with running() as bridge:
        await _carried(bridge, *ordered(**visit))
        async with bridge.session.delete(f"{bridge.api}/profiles"):
            sent, _ = await _carried(bridge, *ordered(**visit))
        attach, whose = ([f"PATCH sessions/{SESSION} 200"], "profile+session") if not visit else ([], "profile")
        assert [f"POST events {whose} 422", "POST profiles 201", *attach, f"POST events {whose} 200"] == sent


async def test_a_profile_that_stays_unknown_is_asked_for_again_once(running, ordered):
    async with running() as bridge:
        await bridge.fail(status=422, body=FORGOTTEN, path="/v1/attribution/events")
        sent, story = await _carried(bridge, *ordered(**NO_VISIT))
        assert [
            "POST profiles 201",
            "POST events profile 422",
            "POST profiles 200",
            "POST events profile 422",
        ] == sent
        assert "dead" == story.facts[0]["state"]


async def test_nothing_is_sent_about_consent(running, ordered):
    marketing = {"state": "subscribed", "opt_in_level": "single_opt_in", "consent_updated_at": None}
    customer = {"id": 7, "email": "ada.sample@example.com", "email_marketing_consent": marketing, "tags": "vip"}
    async with running() as bridge:
        number, body = ordered(customer=customer, buyer_accepts_marketing=True)
        await bridge.post(body)
        await bridge.settled(number)
        (profile,) = await bridge.received("/v1/profiles")
        allowed = {"email[primary]", "phone[mobile]", "first_name", "last_name", "reference"}
        assert set() == profile["body"].keys() - allowed


async def test_in_the_legacy_form_the_whole_conversation_is_taken_by_an_api_that_speaks_it(
    running, settings_for, sandbox, ordered
):
    async with running(_with(settings_for(sandbox), contract="legacy")) as bridge:
        await _ask(bridge, "POST", "/contract", {"contract": "legacy"})
        sent, story = await _carried(bridge, *ordered())
        assert ["POST profiles 201", f"POST sessions/{SESSION} 201", "POST events profile 201"] == sent
        assert "201 profile" == story.facts[0]["detail"]
        assert ["POST events session_id 201"] == (await _carried(bridge, *ordered(**NOBODY)))[0]


async def test_an_api_that_speaks_the_other_form_refuses_and_nothing_is_lost(running, ordered):
    async with running() as bridge:
        await _ask(bridge, "POST", "/contract", {"contract": "legacy"})
        number, body = ordered(**NO_VISIT)
        await bridge.post(body)
        story = await bridge.settled(number)
        assert [("dead", "POST events: 422 invalid object_parameters")] == [
            (fact["state"], fact["detail"]) for fact in story.facts
        ]
