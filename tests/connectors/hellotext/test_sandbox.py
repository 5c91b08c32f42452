"""The stand-in for the API, over real sockets: as strict as the API, and as unreliable as it is told to be."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from bridge.contract import Attempt, Delivered, Event, Request, Response
from bridge.setting_types import Secret
from connectors.hellotext import Hellotext
from connectors.hellotext.sandbox import Failure, serving

TOKEN = {"Authorization": "Bearer t0ken"}
ORDER = {"reference": "6042", "source": "shopify", "delivery": "deliver", "items": []}


class Caller:
    """Speaks to the sandbox as a client of the API does."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def __call__(self, method, path, body=None, *, headers=TOKEN):
        sent = {"json": body} if body is not None else {}
        async with self._session.request(method, path, headers=headers, **sent) as response:
            raw = await response.read()
            return response.status, msgspec.json.decode(raw) if response.content_type == "application/json" else raw

    async def profile(self, email="ada@example.com"):
        return (await self("POST", "/v1/profiles", {"email[primary]": email}))[1]["id"]

    async def event(self, **given):
        return await self(
            "POST", "/v1/attribution/events", {"action": "order.placed", "object_parameters": ORDER, **given}
        )

    async def refusal(self, **given):
        status, body = await self.event(**given)
        return status, [(error["type"], error["parameter"]) for error in body["errors"]]

    async def received(self):
        async with self._session.get("/received") as response:
            return [msgspec.json.decode(line) for line in (await response.read()).splitlines()]

    async def sent(self, request: Request) -> Response:
        async with self._session.request(
            request.method, request.url, headers=request.headers, data=request.body
        ) as response:
            headers = {name.lower(): text for name, text in response.headers.items()}
            return Response(status=response.status, headers=headers, body=await response.read())


@pytest_asyncio.fixture
async def address():
    async with serving(unknown_sessions=["lost"], actions=["warranty.bought"], keep=50) as url:
        yield url


@pytest_asyncio.fixture
async def call(address):
    async with aiohttp.ClientSession(address) as session:
        yield Caller(session)


async def outcome_of(conversation, call):
    try:
        request = next(conversation)
        while True:
            request = conversation.send(await call.sent(request))
    except StopIteration as end:
        return end.value


# -- the API -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer "}, {"Authorization": "Basic t0ken"}])
async def test_a_token_is_asked_for(call, headers):
    assert 401 == (await call("GET", "/v1/profiles", headers=headers))[0]


async def test_only_its_own_token_is_taken_where_it_has_one():
    async with serving(token="mine") as url, aiohttp.ClientSession(url) as session:
        assert 401 == (await Caller(session)("GET", "/v1/profiles"))[0]
        assert 200 == (await Caller(session)("GET", "/v1/profiles", headers={"Authorization": "Bearer mine"}))[0]


@pytest.mark.parametrize(
    "again",
    [
        {"email": "ADA@example.com"},
        {"phone": "+441632960001"},
        {"phone[mobile]": "+441632960001", "email": "b@example.com"},
    ],
)
async def test_a_profile_is_found_by_email_or_phone(call, again):
    first = {"email[primary]": "ada@example.com", "phone[mobile]": "+441632960001"}
    (created, profile), (found, same) = (
        await call("POST", "/v1/profiles", first),
        await call("POST", "/v1/profiles", again),
    )
    assert (201, 200, profile["id"]) == (created, found, same["id"])


@pytest.mark.parametrize("given", [{"email": "nobody"}, {"phone": "01632 960001"}, {"phone": 7}])
async def test_contact_data_that_cannot_be_is_refused(call, given):
    assert 422 == (await call("POST", "/v1/profiles", given))[0]


async def test_events_are_received_by_profile_session_or_both(call):
    profile = await call.profile()
    await call("PATCH", "/v1/sessions/s1", {"profile": profile})
    for given in ({"profile": profile}, {"session": "s2"}, {"profile": profile, "session": "s1"}):
        assert (200, {"status": "received"}) == await call.event(**given)


@pytest.mark.parametrize(
    ("given", "status", "problems"),
    [
        ({}, 422, [("parameter_missing", "profile")]),
        ({"profile": "nobody"}, 422, [("not_found", "profile")]),
        ({"session": "lost"}, 422, [("not_found", "session")]),
        ({"session": "s", "action": "order.plced"}, 404, [("not_found", "action")]),
        ({"session": "s", "action": ""}, 422, [("parameter_missing", "action")]),
        ({"session": "s", "object": "x"}, 422, [("ambiguous_parameter", "object")]),
        ({"session": "s", "object_parameters": {}}, 422, [("parameter_invalid_empty", "object_parameters")]),
        (
            {"session": "s", "object_parameters": {"name": "#1"}},
            422,
            [("parameter_missing", "reference"), ("parameter_missing", "source"), ("parameter_missing", "delivery")],
        ),
        ({"session": "s", "object_parameters": {**ORDER, "delivery": "post"}}, 422, [("invalid", "delivery")]),
        (
            {"session": "s", "object_parameters": {**ORDER, "items": [{"product": "p", "quantity": 0}]}},
            422,
            [("object_invalid", "items")],
        ),
        ({"session": "s", "currency": "EUR"}, 422, [("parameter_missing", "amount")]),
        ({"session": "s", "amount": "99.00", "currency": "EUR"}, 422, [("invalid", "amount")]),
        ({"session": "s", "amount": 99, "currency": "Euro"}, 422, [("invalid", "currency")]),
        ({"session": "s", "tracked_at": 1795179933000}, 422, [("invalid", "tracked_at")]),
        ({"session": "s", "tracked_at": "2026-11-20T13:05:33"}, 422, [("invalid", "tracked_at")]),
        ({"session": "s", "metadata": {"a": {}}}, 422, [("invalid", "metadata")]),
        ({"session": "s", "action": "warranty.bought"}, 422, [("parameter_missing", "object_type")]),
    ],
)
async def test_a_wrong_event_is_refused_with_its_parameters(call, given, status, problems):
    assert (status, problems) == await call.refusal(**given)


async def test_a_session_is_sent_with_its_own_profile_only(call):
    ada, ben = await call.profile(), await call.profile("ben@example.com")
    assert 422 == (await call.event(profile=ada, session="s1"))[0]
    assert 200 == (await call("PATCH", "/v1/sessions/s1", {"profile": ada}))[0]
    assert 200 == (await call("PATCH", "/v1/sessions/s1", {"profile": ben}))[0]
    assert 200 == (await call.event(profile=ada, session="s1"))[0]
    assert (422, [("invalid", "session")]) == await call.refusal(profile=ben, session="s1")


async def test_sessions_may_be_lost_and_found(call):
    profile = await call.profile()
    await call("POST", "/sessions/unknown", {"sessions": ["s1"]})
    assert 404 == (await call("PATCH", "/v1/sessions/s1", {"profile": profile}))[0]
    await call("DELETE", "/sessions/unknown")
    assert 200 == (await call("PATCH", "/v1/sessions/s1", {"profile": profile}))[0]


async def test_one_event_is_kept_for_each_order_and_action_of_a_profile(call):
    profile = await call.profile()
    for _ in range(3):
        await call.event(profile=profile)
        await call.event(session="s1")
    events = (await call("GET", "/v1/attribution/events"))[1]
    assert (1, 3) == (sum("profile" in event for event in events), sum("session" in event for event in events))


async def test_lists_are_newest_first_and_paged_by_id(call):
    ids = [await call.profile(f"a{number}@example.com") for number in range(5)]
    newest = (await call("GET", "/v1/profiles?limit=2"))[1]
    after = (await call("GET", f"/v1/profiles?limit=2&starting_after={ids[3]}"))[1]
    before = (await call("GET", f"/v1/profiles?limit=2&ending_before={ids[1]}"))[1]
    pages = [[profile["id"] for profile in page] for page in (newest, after, before)]
    assert [[ids[4], ids[3]], [ids[2], ids[1]], [ids[3], ids[2]]] == pages


async def test_what_is_no_json_object_is_malformed(call):
    assert 400 == (await call("POST", "/v1/profiles", []))[0]
    assert 404 == (await call("POST", "/v1/nothing", {}))[0]


# -- what it keeps -----------------------------------------------------------------------------------------------------


async def test_tells_what_it_received_numbers_as_written_and_no_token(address, call):
    async with aiohttp.ClientSession(address) as session:
        body = b'{"action":"order.placed",\n "amount": 99.00}'
        headers = {**TOKEN, "Content-Type": "application/json"}
        await session.post("/v1/attribution/events?x=1", data=body, headers=headers)
        async with session.get("/received") as response:
            text = await response.text()
    assert '"amount":99.00' in text
    assert "t0ken" not in text
    (line,) = await call.received()
    assert {"at", "method", "path", "headers", "body", "status"} == set(line)
    assert ("POST", "/v1/attribution/events?x=1", 422) == (line["method"], line["path"], line["status"])


async def test_keeps_the_last_and_counts_all(address, call):
    for _ in range(60):
        await call("GET", "/v1/profiles")
    async with aiohttp.ClientSession(address) as session, session.get("/received") as response:
        assert "60" == response.headers["X-Total"]
    assert 50 == len(await call.received())


# -- failures ----------------------------------------------------------------------------------------------------------


async def test_fails_with_a_status_as_often_as_told(call):
    await call("POST", "/fail", {"status": 503, "times": 2})
    statuses = [(await call("GET", "/v1/profiles"))[0] for _ in range(3)]
    assert [503, 503, 200] == statuses


async def test_tells_what_is_set_to_fail_and_how_often_it_did(call):
    await call("POST", "/fail", {"status": 503, "times": 2})
    await call("GET", "/v1/profiles")
    (line,) = (await call("GET", "/fail"))[1].splitlines()
    told = msgspec.json.decode(line)
    assert (503, 2, 1) == (told["status"], told["times"], told["struck"])
    await call("DELETE", "/fail")
    assert (200, b"") == await call("GET", "/fail")


async def test_fails_a_share_of_the_requests(call):
    await call("POST", "/fail", {"status": 500, "share": 0.25, "path": "/v1/profiles"})
    statuses = [(await call("GET", "/v1/profiles"))[0] for _ in range(8)]
    assert [200, 200, 200, 500, 200, 200, 200, 500] == statuses
    assert 200 == (await call("GET", "/v1/attribution/events"))[0]


async def test_says_when_to_come_again(address, call):
    await call("POST", "/fail", {"status": 429, "retry_after": 2.5})
    async with aiohttp.ClientSession(address) as session, session.get("/v1/profiles") as response:
        assert (429, "2.5") == (response.status, response.headers["Retry-After"])


@pytest.mark.parametrize(("moment", "kept"), [("before", 0), ("after", 1)])
async def test_cuts_the_connection_before_or_after_the_effect(call, moment, kept):
    profile = await call.profile()
    await call("POST", "/fail", {"reset": moment, "path": "/v1/attribution"})
    with pytest.raises(aiohttp.ClientError):
        await call.event(profile=profile)
    await call("DELETE", "/fail")
    assert kept == len((await call("GET", "/v1/attribution/events"))[1])
    assert [None] == [line["status"] for line in await call.received() if "events" in line["path"]][:1]


async def test_a_failure_may_come_after_the_effect():
    failures = [Failure(status=502, processed=True, body="<html>", path="/v1/attribution/events", times=1)]
    async with serving(failures=failures) as url, aiohttp.ClientSession(url) as session:
        call = Caller(session)
        assert (502, b"<html>") == await call.event(session="s1")
        assert 1 == len((await call("GET", "/v1/attribution/events"))[1])


@pytest.mark.parametrize("told", [{"stauts": 500}, {"reset": "sometimes"}, []])
async def test_a_failure_that_it_does_not_understand_is_refused(call, told):
    assert 400 == (await call("POST", "/fail", told))[0]


# -- the connector against it ------------------------------------------------------------------------------------------


NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
PERSON = {"email": "ada@example.com", "phone": "+441632960001"}


@pytest.mark.parametrize(
    ("give", "detail"),
    [
        ({"person": PERSON, "session": "s1"}, "200 profile+session"),
        ({"person": PERSON}, "200 profile"),
        ({"session": "s1"}, "200 session"),
        ({"person": PERSON, "session": "lost"}, "200 profile, session unknown"),
        ({"person": PERSON, "session": "bens"}, "200 profile, session refused"),
    ],
)
async def test_the_connector_is_understood(address, call, give, detail):
    ben = await call.profile("ben@example.com")
    await call("PATCH", "/v1/sessions/bens", {"profile": ben})
    given = {
        "action": "order.placed",
        "object_parameters": ORDER,
        "amount": Decimal("99.00"),
        "currency": "EUR",
        **give,
    }
    event = Event(rule="placed", fact="order.placed", once="[]", at=NOON, give=given)
    moment = Attempt(now=NOON, first_tried_at=NOON - timedelta(hours=1), number=3)
    destination = Hellotext(token=Secret("t0ken"), url=address)
    assert Delivered(detail) == await outcome_of(destination.converse(event, moment), call)


async def test_the_probe_is_answered(address, call):
    assert 200 == (await call.sent(Hellotext(token=Secret("t0ken"), url=address).probe())).status


LEGACY = {"action": "product.purchased", "session_id": "s-1", "product_parameters": {"name": "Linen shirt"}}


@pytest.mark.parametrize(
    ("problems", "changes"),
    [
        ([], {}),
        ([("invalid", "object_parameters")], {"object_parameters": {"name": "x"}}),
        ([("ambiguous_parameter", "product_id")], {"product_id": "p1"}),
        ([("ambiguous_parameter", "profile")], {"profile": "p1"}),
        ([("not_found", "session_id")], {"session_id": "lost"}),
        ([("parameter_missing", "name")], {"product_parameters": {"sku": "x"}}),
    ],
)
async def test_in_the_legacy_form_it_is_as_strict(call, problems, changes):
    await call("POST", "/contract", {"contract": "legacy"})
    status, body = await call("POST", "/v1/attribution/events", {**LEGACY, **changes})
    assert ((422 if problems else 201), problems) == (status, _problems(body))
    assert problems or {"state": "ok"} == body


def _problems(body):
    found = [(error["type"], error["parameter"]) for error in body.get("errors", ())]
    return sorted(set(found), key=found.index)[:1]


async def test_in_the_legacy_form_a_session_is_attached_by_post(call):
    profile = await call.profile()
    assert 404 == (await call("POST", "/v1/sessions/s-1", {"profile_id": profile}))[0]
    await call("POST", "/contract", {"contract": "legacy"})
    status, body = await call("POST", "/v1/sessions/s-1", {"profile_id": profile})
    assert (201, profile) == (status, body["profile_id"])
    assert 404 == (await call("PATCH", "/v1/sessions/s-1", {"profile": profile}))[0]
    assert 422 == (await call("POST", "/v1/sessions/s-1", {"profile_id": "nobody"}))[0]
