"""Requests before the event, at a real server that knows people: what is asked, remembered, and safe to repeat."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from aiohttp import web

from bridge import fast_path
from bridge.config import read
from bridge.contract import Attempt, Delivered, Event, Paused, Reason, Rejected, Retry, Uncertain
from bridge.delivery.conversation import BeforeSending, Conversation
from bridge.dry_run import stand_in
from bridge.service import client_of, route_of

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CONFIGURATION = """
sources: {shop: {connector: shopify, shops: {a.myshopify.com: {secrets: [env:SECRET]}}}}
destinations:
  crm:
    connector: http
    url: http://127.0.0.1:PORT/v1
    authentication: {bearer: env:SECRET}
    steps:
      - path: /people
        query: {email: "{give.email}"}
        when: = has(give.email)
        finds: {person: = first(answer.data).id}
      - method: POST
        path: /people
        when: = has(give.email)
        template: {email: "{give.email}", total: "{give.total}"}
        key: "{give.email}"
        finds: {person: = answer.id, score: = answer.score}
        receipt: {present: [id]}
        remember: 1h
    ask_anew: [404]
    path: /events
    template: {"person?": "{found.person}", total: "{give.total}"}
    repeatable: = has(found.person) and give.total > 5
rules: {placed: {for: order, fact: order.placed, at: = order.created_at, give: {email: = order.email}}}
"""


class People:
    """A server that finds people, makes them, and takes events of those that it knows."""

    def __init__(self):
        self.known = {}
        self.asked = []
        self.marks = 0
        self.failing = {}

    async def __call__(self, request):
        what = f"{request.method} {request.path.removeprefix('/v1')}"
        told = await request.json() if request.can_read_body else {}
        self.asked.append((what, self.marks))
        if failure := self.failing.get(what):
            return failure(request)
        if what == "GET /people":
            found = [{"id": id_} for id_, email in self.known.items() if email == request.query["email"]]
            return web.json_response({"data": found}, status=200 if found else 404)
        if what == "POST /people":
            id_ = 7 + len(self.known)
            self.known[id_] = told["email"]
            return web.json_response({"id": id_, "score": 1.5})
        return web.json_response({}, status=200 if told.get("person", 0) in {*self.known, 0} else 404)

    @property
    def said(self):
        return [what for what, _ in self.asked]


@asynccontextmanager
async def telling(people, change=("", "")):
    """A function that tells the server a fact with these things."""
    runner = web.ServerRunner(web.Server(people))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = str(site._server.sockets[0].getsockname()[1])
        settings = read(CONFIGURATION.replace("PORT", port).replace(*change), environ={"SECRET": "s3cret"})
        async with client_of(settings.delivery, await fast_path.wire(wanted=True)) as client:

            async def nothing():
                pass

            async def mark():
                people.marks += 1

            async def tell(email="a@b.example", total=Decimal("9.90")):
                give = {"total": total, **({"email": email} if email else {})}
                event = Event(rule="placed", fact="order.placed", once="[]", at=NOON, give=give)
                before = BeforeSending(confirm=nothing, mark_departed=mark)
                attempt = Attempt(now=NOON, first_tried_at=NOON, number=1, key="k")
                return await Conversation(route_of(settings, "crm"), client, event, before).run(attempt)

            yield tell
    finally:
        await runner.cleanup()


def hang_up(request):
    request.transport.abort()
    return web.Response()


async def test_who_is_not_found_is_made_once_and_then_remembered():
    people = People()
    async with telling(people) as tell:
        for _ in range(3):
            assert Delivered("POST: 200") == await tell()
    first = ["GET /people", "POST /people", "POST /events"]
    assert [*first, "GET /people", "POST /events", "POST /events"] == people.said
    assert {7: "a@b.example"} == people.known


async def test_who_is_found_is_not_made_and_is_found_once():
    people = People()
    people.known = {3: "a@b.example"}
    async with telling(people, (", score: = answer.score", "")) as tell:
        await asyncio.gather(tell(), tell(), tell())
    assert ["GET /people", *["POST /events"] * 3] == people.said


async def test_a_condition_that_is_not_true_leaves_the_step_out():
    people = People()
    async with telling(people) as tell:
        assert Delivered("POST: 200") == await tell(email=None)
    assert ["POST /events"] == people.said


@pytest.mark.parametrize(("total", "marked"), [(Decimal("9.90"), 0), (Decimal("2.00"), 1)])
async def test_only_the_event_is_marked_and_only_if_it_may_not_be_repeated(total, marked):
    people = People()
    async with telling(people) as tell:
        await tell(total=total)
    assert [("GET /people", 0), ("POST /people", 0), ("POST /events", marked)] == people.asked


@pytest.mark.parametrize("step", ["GET /people", "POST /people"])
async def test_silence_after_a_step_begins_again_from_the_start(step):
    people = People()
    people.failing = {step: hang_up}
    async with telling(people) as tell:
        outcome = await tell(total=Decimal("2.00"))
        assert (Retry, Reason.NO_ANSWER, 0) == (type(outcome), outcome.reason, people.marks)
        people.failing = {}
        assert Delivered("POST: 200") == await tell(total=Decimal("2.00"))
    assert 1 == people.said.count("POST /events")


@pytest.mark.parametrize(
    ("step", "status", "body", "outcome"),
    [
        ("GET /people", 503, {}, Retry(Reason.SERVER_ERROR, "steps[0]: GET: 503", None)),
        ("GET /people", 422, {}, Rejected(Reason.REFUSED, "steps[0]: GET: 422")),
        ("POST /people", 403, {}, Paused(Reason.NOT_ALLOWED, "steps[1]: POST: 403")),
        ("POST /people", 404, {}, None),
    ],
)
async def test_what_a_step_is_answered_decides_about_the_fact(step, status, body, outcome):
    people = People()
    people.failing = {step: lambda _: web.json_response(body, status=status)}
    async with telling(people) as tell:
        assert (outcome or Delivered("POST: 200")) == await tell()


async def test_a_page_that_says_not_found_is_no_word_of_the_api():
    people = People()
    people.failing = {"GET /people": lambda _: web.Response(text="<html>", content_type="text/html", status=404)}
    async with telling(people) as tell:
        outcome = await tell()
    assert (Paused, Reason.NOT_UNDERSTOOD, ["GET /people"]) == (type(outcome), outcome.reason, people.said)


async def test_an_answer_that_is_not_understood_is_not_remembered():
    people = People()
    people.failing = {"POST /people": lambda _: web.json_response({"id": None})}
    async with telling(people) as tell:
        outcome = await tell()
        assert (Paused, Reason.NOT_UNDERSTOOD) == (type(outcome), outcome.reason)
        people.failing = {}
        assert Delivered("POST: 200") == await tell()


async def test_what_is_remembered_and_no_longer_there_is_asked_anew_once():
    people = People()
    async with telling(people) as tell:
        await tell()
        people.known = {1: "x@b.example"}
        people.asked = []
        assert Delivered("POST: 200") == await tell()
        people.asked = []
        people.failing = {"POST /events": lambda _: web.json_response({}, status=404)}
        assert Rejected(Reason.REFUSED, "POST: 404") == await tell()
    assert 1 == people.said.count("POST /events")


async def test_silence_after_the_event_is_uncertain_whatever_the_steps_were():
    people = People()
    people.failing = {"POST /events": hang_up}
    async with telling(people) as tell:
        assert Uncertain is type(await tell(total=Decimal("2.00")))
        assert Retry is type(await tell())


def test_in_shadow_mode_a_step_finds_something():
    settings = read(CONFIGURATION.replace("PORT", "9"), environ={"SECRET": "s3cret"})
    event = Event(rule="r", fact="p", once="[]", at=NOON, give={"email": "a@b.example", "total": 1})
    conversation = settings.destinations["crm"].destination.converse(
        event, Attempt(now=NOON, first_tried_at=NOON, number=1)
    )
    asked = [next(conversation)]
    asked.append(conversation.send(stand_in(asked[-1])))
    asked.append(conversation.send(stand_in(asked[-1])))
    assert b'{"person":"shadow","total":1}' == asked[-1].body
    assert "a@b" not in "".join(request.share.key for request in asked[:-1])
