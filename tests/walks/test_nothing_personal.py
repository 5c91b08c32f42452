"""A canary: fake personal data goes through whole orders, failures and tracebacks, and shows up nowhere outside."""

import io
import json
import logging
import warnings

import pytest

from bridge import telemetry
from connectors.hellotext import Hellotext

CANARIES = ("canary.bird@example.com", "canary", "+4915112345678", "15112345678", "Vogelweg", "Tweety", "198.51.100.77")
SECRETS = ("shhh", "token-of-the-tests")


@pytest.fixture
def log():
    """All that is logged, at every level."""
    stream = io.TextIOWrapper(io.BytesIO(), write_through=True)
    telemetry.set_up(level="debug", style="json", stream=stream)
    yield lambda: stream.buffer.getvalue().decode()
    telemetry.set_up(level="warning")


@pytest.fixture
def bird(order):
    """An order that is full of canaries."""

    def make(**changes):
        address = {"first_name": "Tweety", "address1": "Vogelweg 7", "phone": "+4915112345678", "country_code": "DE"}
        return order(
            email="canary.bird@example.com",
            contact_email="canary.bird@example.com",
            phone="+4915112345678",
            browser_ip="198.51.100.77",
            note="canary",
            billing_address=address,
            shipping_address=address,
            **changes,
        )

    return make


async def _everything_said(bridge, log):
    async with bridge.session.get(f"{bridge.private}/metrics") as answer:
        metrics = await answer.text()
    async with bridge.session.get(f"{bridge.private}/status") as answer:
        status = await answer.text()
    return log() + metrics + status


def _clean(said):
    return [word for word in (*CANARIES, *SECRETS) if word in said]


async def test_whole_orders_say_nothing_personal_at_any_level(running, bird, log):
    async with running() as bridge:
        for topic in ("orders/create", "orders/paid"):
            number, body = bird()
            await bridge.post(body, topic=topic)
            await bridge.settled(number)
        said = await _everything_said(bridge, log)
    assert "fact.settled" in said
    assert [] == _clean(said)


async def test_refusals_failures_and_dead_letters_say_nothing_personal(running, bird, log):
    async with running() as bridge:
        await bridge.post(bird()[1], headers={"X-Shopify-Hmac-Sha256": "AAAA"})
        await bridge.post(b'{"email": "canary.bird@example.com"', topic="orders/create")
        number, body = bird(total_price="canary.bird@example.com", created_at="canary")
        await bridge.post(body)
        await bridge.settled(number)
        await bridge.fail(
            status=422, times=2, body='{"errors":[{"type":"invalid","message":"canary.bird@example.com"}]}'
        )
        number, body = bird()
        await bridge.post(body)
        await bridge.settled(number)
        await bridge.fail(reset="after", times=1)
        number, body = bird()
        await bridge.post(body)
        await bridge.settled(number)
        details = json.dumps([dict(fact) for fact in (await bridge.story(number)).facts], default=str)
        said = await _everything_said(bridge, log)
    assert "delivery.refused" in said
    assert "rule failed" in said
    assert [] == _clean(said + details)


async def test_a_bug_in_a_connector_is_logged_with_its_place_and_without_its_message(running, bird, log, monkeypatch):
    def converse(self, event, moment):
        raise ValueError(f"cannot send {event.give['person']['email']}")
        yield

    monkeypatch.setattr(Hellotext, "converse", converse)
    number, body = bird()
    async with running() as bridge:
        await bridge.post(body)
        story = await bridge.settled(number)
        said = await _everything_said(bridge, log)
    assert {"connector failed"} == {fact["reason"] for fact in story.facts}
    assert "test_nothing_personal.py" in said
    assert "ValueError" in said
    assert [] == _clean(said)


def test_what_libraries_log_and_warn_goes_through_the_same_pipe_without_its_arguments(log):
    logging.getLogger("some.library").error("could not handle %s", "canary.bird@example.com")
    try:
        {}["canary.bird@example.com"]
    except KeyError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved\nfuture: canary")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = telemetry._warned
        warnings.warn("canary", UserWarning, stacklevel=1)
    lines = [json.loads(line) for line in log().splitlines()]
    assert ["could not handle %s", "Task exception was never retrieved", ""] == [line["message"] for line in lines]
    assert [None, "KeyError", "UserWarning"] == [line["problem"] for line in lines]
    assert [] == _clean(log())
