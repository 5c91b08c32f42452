"""What every destination keeps, found by folder: built by examples/settings.yaml, told by examples/conversations/."""

import importlib
import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge import contract
from bridge.contract import Attempt, Event, Outcome, Request, Response, Retry
from bridge.mapping.records import RecordExpressions
from bridge.setting_types import EXPRESSIONS

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MOST_REQUESTS = 10
SPANS = {"s": 1, "m": 60}
decode_exactly = msgspec.json.Decoder(float_hook=Decimal).decode
answers = st.builds(
    Response,
    status=st.sampled_from([200, 201, 204, 301, 400, 401, 403, 404, 408, 422, 429, 500, 503]) | st.integers(0, 999),
    headers=st.dictionaries(st.sampled_from(["retry-after", "content-type", "location"]), st.text(max_size=30)),
    body=st.one_of(
        st.binary(max_size=60),
        st.just(b'{"id":"x1"}'),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=9),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    st.sampled_from(["errors", "error", "type", "parameter", "profile", "session", "id"]), inner
                )
            ),
        ).map(msgspec.json.encode),
    ),
)


class Exactly(yaml.SafeLoader):
    """YAML whose decimals are exact."""


Exactly.add_constructor("tag:yaml.org,2002:float", lambda _loader, node: Decimal(node.value))


def conversations(folder) -> list[Path]:
    return sorted(Path(folder.__path__[0], "examples", "conversations").glob("*.yaml"))


def told(path: Path) -> dict:
    return yaml.load(path.read_text(encoding="utf-8"), Exactly)


def event_of(story) -> Event:
    given_ = story["event"]
    at = datetime.fromisoformat(given_["at"])
    return Event(rule=given_["rule"], fact=given_["give"]["action"], once="[]", at=at, give=given_["give"])


def attempt_of(story) -> Attempt:
    given_ = story.get("attempt")
    if given_ is None:
        return Attempt(now=NOON, first_tried_at=NOON, number=1)
    return Attempt(
        now=datetime.fromisoformat(given_["now"]),
        first_tried_at=datetime.fromisoformat(given_["first_tried_at"]),
        number=given_["number"],
    )


def response_of(given_) -> Response:
    body = given_.get("body", "")
    raw = body.encode() if isinstance(body, str) else msgspec.json.encode(body)
    return Response(status=given_["status"], headers=given_.get("headers", {}), body=raw)


def outcome_of(given_) -> Outcome:
    ((kind, values),) = given_.items()
    if kind == "Retry" and len(values) == 3:
        values = [*values[:2], timedelta(seconds=SPANS[values[2][-1]] * int(values[2][:-1]))]
    return getattr(contract, kind)(*values)


def seen(request: Request, asked_for: Mapping) -> dict:
    """The request, in those of its parts that the story tells."""
    parts = urlsplit(request.url)
    whole = {
        "method": request.method,
        "path": parts.path + (f"?{parts.query}" if parts.query else ""),
        "body": _body(request),
        "repeatable": request.repeatable,
        "shared": "anew" if request.share and request.share.fresh else request.share is not None,
    }
    return {name: whole[name] for name in asked_for}


def _body(request: Request):
    """The body as JSON, or as text where it is a form."""
    is_form = "form" in request.headers.get("Content-Type", "")
    return None if request.body is None else request.body.decode() if is_form else decode_exactly(request.body)


def replayed(conversation, exchanges) -> Outcome:
    try:
        request = next(conversation)
        for exchange in exchanges:
            assert exchange["request"] == seen(request, exchange["request"])
            request = conversation.send(response_of(exchange["response"]))
    except StopIteration as end:
        return end.value
    raise AssertionError(f"one request more than told: {request}")


def finished(conversation, responses) -> tuple[Outcome, list[Request]]:
    """Goes on with any answers until the outcome."""
    requests = []
    try:
        request = next(conversation)
        while len(requests) < MOST_REQUESTS:
            requests.append(request)
            request = conversation.send(next(responses))
    except StopIteration as end:
        return end.value, requests
    raise AssertionError("it does not end")


def test_conversations_go_as_told(destination_folder, subtests):
    base = Path(destination_folder.__path__[0], "examples", "settings.yaml").read_text(encoding="utf-8")
    for path in conversations(destination_folder):
        story = told(path)
        chosen = {**yaml.safe_load(base), **story.get("settings", {})}
        context = {"environ": _Anything(), EXPRESSIONS: RecordExpressions()}
        destination = destination_folder.CONNECTOR.model_validate(chosen, context=context)
        with subtests.test(path.stem):
            conversation = destination.converse(event_of(story), attempt_of(story))
            assert outcome_of(story["outcome"]) == replayed(conversation, story["exchanges"])


class _Anything(dict):
    """An environment in which every variable is set."""

    def get(self, name, _default=None):
        return f"secret-of-{name}"


def test_it_tells_at_least_one_conversation(destination_folder):
    assert conversations(destination_folder)


def test_no_secret_shows_in_its_text(destination, destination_folder):
    texts = [repr(destination), str(destination), repr(destination.probe())]
    for path in conversations(destination_folder):
        conversation = destination.converse(event_of(told(path)), attempt_of(told(path)))
        texts.extend(repr(request) for request in conversation_start(conversation))
    assert [] == [text for text in texts if "secret-of-" in text or "ada.sample" in text]


def conversation_start(conversation):
    try:
        return [next(conversation)]
    except StopIteration:
        return []


def test_its_probe_only_reads(destination):
    assert ("GET", None) == (destination.probe().method, destination.probe().shadow)


def test_names_of_its_shape_are_fields(destination):
    shape = destination.shape()
    groups = [shape.required, *shape.one_of, *shape.at_most_one, shape.choices.keys()]
    assert set() == {name for group in groups for name in group} - shape.fields.keys()
    assert shape.name is None or shape.name in shape.fields


def test_any_answers_end_in_an_outcome(destination, destination_folder):
    stories = [told(path) for path in conversations(destination_folder)]

    @settings(max_examples=150)
    @given(story=st.sampled_from(stories), responses=st.lists(answers, min_size=MOST_REQUESTS, max_size=MOST_REQUESTS))
    @example(story=stories[0], responses=[Response(status=422, body=b'{"errors":' * 9_000)] * MOST_REQUESTS)
    def holds(story, responses):
        outcome, _ = finished(destination.converse(event_of(story), attempt_of(story)), iter(responses))
        assert isinstance(outcome, Outcome)
        assert 300 > len(outcome.detail)
        assert "ada.sample" not in outcome.detail
        if isinstance(outcome, Retry) and outcome.after is not None:
            assert timedelta() <= outcome.after <= timedelta(days=2)

    holds()


NOBODYS = [
    Response(status=status, headers={"content-type": kind, **more}, body=body)
    for kind, more, body in (
        ("text/html", {"x-amzn-waf-action": "challenge"}, b""),
        ("text/plain", {}, b"OK"),
        ("text/html", {}, b"<!doctype html><title>Log in</title>"),
        ("application/json", {}, b'{"errors":[{"type":"not_allowed"}]}'),
        ("application/json", {}, b"[]"),
        ("application/json", {}, b'{"status":"rece'),
        ("application/json", {}, b""),
        ("", {}, b""),
    )
    for status in (200, 201, 202, 204, 206, 301, 302, 304)
]


def test_an_answer_that_is_not_the_apis_is_never_delivered(destination, destination_folder):
    """At whatever step of a conversation it comes; and what it asked for is not remembered."""
    for path in conversations(destination_folder):
        story = told(path)
        for step in range(len(story["exchanges"])):
            for strange in NOBODYS:
                outcome, asked = _interrupted(destination, story, step, strange)
                assert not isinstance(outcome, contract.Delivered), (path.stem, step, strange.status, strange.body)
                shares = [request.share for request in asked if request.share is not None]
                assert [None] * len(shares) == [share.keep(strange) for share in shares]


def _interrupted(destination, story, step, strange):
    """The story up to this step; from then on every answer is the strange one."""
    answers = [response_of(exchange["response"]) for exchange in story["exchanges"][:step]]
    return finished(
        destination.converse(event_of(story), attempt_of(story)), itertools.chain(answers, itertools.repeat(strange))
    )


def test_the_probe_is_answered_by_nobody_else(destination):
    assert [] == [strange for strange in NOBODYS if strange.body != b"[]" and destination.is_answer(strange)]


def test_in_shadow_every_write_has_an_answer_that_leads_on(destination, destination_folder):
    for path in conversations(destination_folder):
        conversation = destination.converse(event_of(told(path)), attempt_of(told(path)))
        try:
            request = next(conversation)
            for _ in range(MOST_REQUESTS):
                assert request.shadow is not None or request.method == "GET"
                request = conversation.send(request.shadow or Response(status=200))
        except StopIteration as end:
            outcome = end.value
        assert isinstance(outcome, contract.Delivered | contract.Skipped | contract.Rejected)


def test_only_what_reads_is_without_a_shadow(destination, destination_folder):
    for path in conversations(destination_folder):
        for request in conversation_start(destination.converse(event_of(told(path)), attempt_of(told(path)))):
            assert (request.method == "GET") == (request.shadow is None)


def test_what_is_shared_is_repeatable_and_tells_nothing_of_a_person(destination, destination_folder):
    for path in conversations(destination_folder):
        for request in conversation_start(destination.converse(event_of(told(path)), attempt_of(told(path)))):
            if request.share is not None:
                assert request.repeatable
                assert "ada" not in request.share.key
                assert "+44" not in request.share.key


def test_its_sandbox_if_it_has_one_serves(destination_folder):
    if not Path(destination_folder.__path__[0], "sandbox.py").exists():
        pytest.skip("no sandbox")
    assert hasattr(importlib.import_module(f"{destination_folder.__name__}.sandbox"), "serving")
