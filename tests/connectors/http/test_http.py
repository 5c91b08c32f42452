"""What settings the generic destination takes, and which request an event becomes."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from pydantic import ValidationError

from bridge.contract import Attempt, Delivered, Event, Paused, Reason, Rejected, Response, Retry, Skipped, Uncertain
from bridge.mapping.records import RecordExpressions
from bridge.setting_types import EXPRESSIONS
from connectors.http import Http

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
OAUTH2 = {"token_url": "https://auth.example.com/token", "client_id": "me", "client_secret": "env:KEY"}
SIGN = {"header": "X-Signature", "secret": "env:KEY"}
GIVE = {"order": "6042", "total": Decimal("99.00"), "buyer": {"email": "ada.sample@example.com"}, "tags": ["a", "b"]}


def http(**settings) -> Http:
    settings = {"url": "https://api.example.com/v1", **settings}
    environ = {"KEY": "s3cret-key", "ODD": "s3cr\u00e9t"}
    return Http.model_validate(settings, context={"environ": environ, EXPRESSIONS: RecordExpressions({"codes": [7]})})


def conversation(destination, give=GIVE, key="k1"):
    event = Event(rule="placed", fact="order.placed", once="[]", at=NOON, give=give)
    return destination.converse(event, Attempt(now=NOON, first_tried_at=NOON, number=1, key=key))


def request_of(destination, give=GIVE, key="k1"):
    return next(conversation(destination, give, key))


def outcome_of(destination, response, give=GIVE):
    talk = conversation(destination, give)
    try:
        next(talk)
        talk.send(response)
    except StopIteration as end:
        return end.value
    raise AssertionError("it asks once more")


def refused(**settings) -> str:
    with pytest.raises(ValidationError) as problem:
        http(**settings)
    return str(problem.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "https://{give.host}/v1"}, "no event decides the host"),
        ({"url": "http://api.example.com"}, "http is for this machine only"),
        ({"url": "https://user:pass@api.example.com"}, "takes no password"),
        ({"url": "https://api.example.com?key=1"}, "takes no password, no ? and no #"),
        ({"path": "{give.host}"}, "a path begins with /"),
        ({"path": ".example.org/{give.order}"}, "a path begins with /"),
        ({"path": "/a/../b"}, "not . or .."),
        ({"path": "/a?b={give.order}"}, "parameters stand in `query:`"),
        ({"path": "/{give.order"}, "{ is no place"),
        ({"path": "/{order}"}, "{order} is no place"),
        ({"headers": {"Host": "{give.order}"}}, "Host is made by the bridge"),
        ({"headers": {"X Y": "1"}}, "is no name of a header"),
        ({"headers": {"X-Api-Key": "abc"}}, "authentication: {header: X-Api-Key, secret: env:NAME}"),
        ({"headers": {"A": "a\r\nB: b"}}, "control character"),
        ({"query": {"api_secret": "abc"}}, "authentication: {query: api_secret, secret: env:NAME}"),
        ({"authentication": {}}, "in one way"),
        ({"authentication": {"bearer": "env:KEY", "basic": "u", "secret": "env:KEY"}}, "in one way"),
        ({"authentication": {"header": "X-Api-Key"}}, "`secret:` is missing"),
        ({"authentication": {"bearer": "env:KEY", "secret": "env:KEY"}}, "take `secret:` away"),
        ({"authentication": {"bearer": "env:ODD"}}, "no header can carry"),
        ({"authentication": {"bearer": "abc"}}, "env:NAME"),
        ({"authentication": {"query": "k", "secret": "env:KEY", "prefix": "x"}}, "`prefix:` belongs to `header:`"),
        ({"authentication": {"oauth2": OAUTH2, "bearer": "env:KEY"}}, "in one way"),
        (
            {"authentication": {"oauth2": OAUTH2 | {"token_url": "http://example.com/t"}}},
            "http is for this machine only",
        ),
        ({"authentication": {"oauth2": OAUTH2}, "headers": {"authorization": "{give.order}"}}, "is said twice"),
        ({"authentication": {"sign": SIGN | {"signed": "{ts}.{body}"}}}, "say with `timestamp:`"),
        ({"authentication": {"sign": SIGN | {"timestamp": {"header": "X-Time"}}}}, "take `timestamp` away"),
        ({"authentication": {"sign": SIGN | {"signed": "{give.order}"}}}, "parts of what is signed are"),
        ({"authentication": {"sign": SIGN | {"key": "hex"}}}, "the secret is no hex"),
        ({"authentication": {"sign": SIGN}, "headers": {"x-signature": "a"}}, "the header X-Signature is said twice"),
        ({"idempotency_key": "X-Id", "headers": {"x-id": "{key}"}}, "the header X-Id is said twice"),
        ({"template": {"a": "{nobody}"}}, "template.a: {nobody} is no place"),
        ({"template": {"a": None}}, "template.a: has no value"),
        ({"template": {"a": 1}, "body": "none"}, "`template:` is a body"),
        ({"template": ["{give}"], "body": "form"}, "a form has names"),
        ({"event": {"fields": {"a": "txt"}}}, "fields.a: 'txt' is no type"),
        ({"event": {"fields": {"a": "text"}, "required": ["b"]}}, "b is not described"),
        ({"event": {"fields": {"a": "money"}, "amount": "a"}}, "belong together"),
        ({"path": "/{found.a}"}, "{found.a}: no step before it has `finds: {a: ...}`"),
        ({"steps": [{"path": "/{found.a}", "finds": {"a": "= answer.a"}}]}, "steps[0]: {found.a}: no step before it"),
        ({"steps": [{"finds": {}}]}, "at least 1 item"),
        ({"steps": [{"finds": {"a": "= doc.a"}}]}, "doc"),
        ({"steps": [{"template": {"a": "1"}, "finds": {"a": "= answer.a"}}]}, "a GET has no body"),
        ({"steps": [{"path": "x", "finds": {"a": "= answer.a"}}]}, "a path begins with /"),
        ({"ask_anew": [404]}, "there are none"),
        ({"repeatable": "= answer.a"}, "answer"),
        ({"answers": {"409": "fine"}}, "or an expression that gives one of them"),
        ({"answers": {"409": "= give.a"}}, "give"),
        ({"answers": {"99": "dead"}}, "write a status such as 409, or 4xx"),
        ({"retry_after": {"form": "epoch"}}, "`header:` or `field:`"),
        ({"method": "GET"}, "'POST', 'PUT', 'PATCH' or 'DELETE'"),
    ],
)
def test_what_is_wrong_is_refused_with_its_cure(settings, said):
    assert said in refused(**settings)


def test_what_a_rule_gives_is_the_body_with_its_digits():
    request = request_of(http())
    expected = b'{"order":"6042","total":99.00,"buyer":{"email":"ada.sample@example.com"},"tags":["a","b"]}'
    assert ("POST", "https://api.example.com/v1", expected) == (request.method, request.url, request.body)
    assert "application/json" == request.headers["Content-Type"]


def test_a_template_keeps_the_types_of_what_fills_it():
    template = {
        "data": ["{give.total}", 7, 1.5, True, "{{{fact}}}"],
        "at": "{at}",
        "micros": "{at:microseconds}",
        "name?": "{give.name}",
        "to": "mailto:{give.buyer.email}",
    }
    expected = (
        b'{"data":[99.00,7,1.5,true,"{order.placed}"],"at":"2026-11-20T12:00:00Z","micros":1795176000000000,'
        b'"to":"mailto:ada.sample@example.com"}'
    )
    assert expected == request_of(http(template=template)).body


def test_a_form_has_nested_names():
    expected = b"order=6042&total=99.00&buyer%5Bemail%5D=ada.sample%40example.com&tags%5B0%5D=a&tags%5B1%5D=b"
    request = request_of(http(body="form"))
    assert (expected, "application/x-www-form-urlencoded") == (request.body, request.headers["Content-Type"])


def test_a_request_may_have_no_body():
    request = request_of(http(method="DELETE", body="none", path="/orders/{give.order}"))
    assert ("https://api.example.com/v1/orders/6042", None) == (request.url, request.body)
    assert "Content-Type" not in request.headers


def test_the_media_type_may_be_said():
    headers = request_of(http(headers={"content-type": "application/vnd.api+json"})).headers
    assert {"Accept": "application/json", "content-type": "application/vnd.api+json"} == headers


@pytest.mark.parametrize("evil", ["a/b?c#d", "@evil.example.org", "//evil.example.org", "..%2f", "a\r\nHost: x", "é"])
def test_no_value_of_an_event_leaves_its_part_of_the_address(evil):
    url = request_of(http(path="/orders/{give.order}/x", query={"q": "{give.order}"}), {"order": evil}).url
    assert url.startswith("https://api.example.com/v1/orders/")
    assert (6, 1, 0) == (url.count("/"), url.count("?"), url.count("#"))


@pytest.mark.parametrize("given", [{"order": ".."}, {"order": ""}, {}, {"order": ["a"]}])
def test_an_event_that_cannot_fill_the_path_is_not_sent(given):
    with pytest.raises(StopIteration) as end:
        request_of(http(path="/orders/{give.order}/x"), given)
    assert (Rejected, Reason.RULE_FAILED) == (type(end.value.value), end.value.value.reason)


@pytest.mark.parametrize("text", ["a\r\nX: y", "a\ud83d"])
def test_an_event_makes_no_header_of_its_own(text):
    with pytest.raises(StopIteration) as end:
        request_of(http(headers={"X-Order": "{give.order}"}), {"order": text})
    assert Rejected(Reason.RULE_FAILED, "headers.X-Order: holds a line end or another control character") == (
        end.value.value
    )


def test_what_is_optional_and_empty_is_left_out():
    request = request_of(http(headers={"X-Name?": "{give.name}"}, query={"a?": "{give.name}", "b": "{give.order}"}))
    assert "X-Name" not in request.headers
    assert "https://api.example.com/v1?b=6042" == request.url


@pytest.mark.parametrize(
    ("way", "header"),
    [
        ({"bearer": "env:KEY"}, ("Authorization", "Bearer s3cret-key")),
        ({"header": "X-Api-Key", "secret": "env:KEY"}, ("X-Api-Key", "s3cret-key")),
        ({"header": "Authorization", "prefix": "Token ", "secret": "env:KEY"}, ("Authorization", "Token s3cret-key")),
        ({"basic": "me", "secret": "env:KEY"}, ("Authorization", "Basic bWU6czNjcmV0LWtleQ==")),
    ],
)
def test_each_way_to_authenticate_is_a_header_that_is_not_shown(way, header):
    destination = http(authentication=way)
    for request in (request_of(destination), destination.probe()):
        assert header[1] == request.headers[header[0]]
        assert {header[0].lower()} == request.secret_headers
        assert "s3cret" not in f"{destination!r} {request!r} {request.url}"


def test_a_secret_of_the_query_is_no_part_of_the_address_that_is_shown():
    destination = http(authentication={"query": "api_secret", "secret": "env:KEY"}, query={"a": "1"})
    for request in (request_of(destination), destination.probe()):
        assert {"api_secret": "s3cret-key"} == request.secret_query
        assert "s3cret" not in f"{destination!r} {request!r} {request.url}"


@pytest.mark.parametrize(
    ("settings", "repeatable"),
    [
        ({}, False),
        ({"method": "PUT"}, False),
        ({"repeatable": True}, True),
        ({"idempotency_key": "Idempotency-Key"}, True),
        ({"idempotency_key": "Idempotency-Key", "repeatable": False}, False),
    ],
)
def test_a_request_is_repeatable_if_it_is_said_or_has_a_key(settings, repeatable):
    request = request_of(http(**settings))
    assert repeatable is request.repeatable
    assert ("k1" if "idempotency_key" in settings else None) == request.headers.get("Idempotency-Key")


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (Response(status=204), Delivered("POST: 204")),
        (Response(status=200, body=b"OK"), Delivered("POST: 200")),
        (Response(status=200, body=b"<xml/>", headers={"content-type": "text/xml"}), Delivered("POST: 200")),
        (Response(status=404), Rejected(Reason.REFUSED, "POST: 404")),
        (Response(status=429), Retry(Reason.THROTTLED, "POST: 429", None)),
        (Response(status=429, headers={"retry-after": "1.5"}),
         Retry(Reason.THROTTLED, "POST: 429", timedelta(seconds=1.5))),
        (Response(status=500), Uncertain(Reason.SERVER_ERROR, "POST: 500", None)),
        (Response(status=403), Paused(Reason.NOT_ALLOWED, "POST: 403")),
    ],
)  # fmt: skip
def test_without_more_words_answers_mean_what_statuses_mean(response, outcome):
    assert outcome == outcome_of(http(), response)


@pytest.mark.parametrize("body", [b"<!doctype html>", b"\n <html>"])
def test_a_page_is_never_a_yes(body):
    outcome = outcome_of(http(), Response(status=200, body=body, headers={"content-type": "text/html"}))
    assert (Paused, Reason.NOT_UNDERSTOOD) == (type(outcome), outcome.reason)


@pytest.mark.parametrize(
    ("body", "is_yes"),
    [
        (b'{"n":1,"data":{"id":0}}', True),
        (b'{"n":1,"data":{"id":"x"},"errors":[]}', True),
        (b'{"n":1,"data":{"id":"x"},"errors":["no"]}', False),
        (b'{"n":true,"data":{"id":"x"}}', False),
        (b'{"n":2,"data":{"id":"x"}}', False),
        (b'{"n":1,"data":{}}', False),
        (b'{"n":1', False),
        (b"[]", False),
    ],
)
def test_a_receipt_says_what_a_yes_must_hold(body, is_yes):
    destination = http(receipt={"equal": {"n": 1}, "present": ["data.id"], "absent": ["errors"]}, repeatable=True)
    assert (Delivered if is_yes else Paused) is type(outcome_of(destination, Response(status=200, body=body)))


def test_statuses_may_mean_something_else():
    destination = http(answers={409: "delivered", 404: "postponed", "500": "dead"})
    kinds = [type(outcome_of(destination, Response(status=status))) for status in (409, 404, 500)]
    assert [Delivered, Retry, Rejected] == kinds


BY_ANSWER = {
    "2xx": '= "postponed" if answer.error.code in vars.codes else "dead" if has(answer.error) else None',
    "400": '= "postponed" if headers["x-retry"] == "1" else answer.verdict',
    "4xx": "paused",
}


@pytest.mark.parametrize(
    ("status", "body", "headers", "outcome"),
    [
        (200, b'{"error":{"code":7}}', {}, Retry(Reason.THROTTLED, "POST: 200", None)),
        (201, b'{"error":{"code":8}}', {}, Rejected(Reason.REFUSED, "POST: 201")),
        (200, b'{"id":1.5}', {}, Delivered("POST: 200")),
        (400, b"{}", {"x-retry": "1"}, Retry(Reason.THROTTLED, "POST: 400", None)),
        (400, b'{"verdict":"delivered"}', {}, Delivered("POST: 400")),
        (400, b"{}", {}, Rejected(Reason.REFUSED, "POST: 400")),
        (409, b"{}", {}, Paused(Reason.NOT_ALLOWED, "POST: 409")),
        (500, b"{}", {}, Uncertain(Reason.SERVER_ERROR, "POST: 500", None)),
    ],
)
def test_an_expression_over_the_answer_says_what_it_means(status, body, headers, outcome):
    assert outcome == outcome_of(http(answers=BY_ANSWER), Response(status=status, body=body, headers=headers))


@pytest.mark.parametrize("body", [b'{"verdict":"fine"}', b'{"verdict":[1]}'])
def test_an_expression_that_gives_no_such_word_is_not_understood(body):
    outcome = outcome_of(http(answers=BY_ANSWER), Response(status=400, body=body))
    assert (Uncertain, Reason.NOT_UNDERSTOOD) == (type(outcome), outcome.reason)


@pytest.mark.parametrize("cut", [{"status": 206}, {"is_whole": False}])
def test_no_expression_takes_a_part_of_an_answer_for_a_yes(cut):
    destination = http(answers={"2xx": '= "dead" if has(answer.error) else "delivered"'})
    outcome = outcome_of(destination, Response(**{"status": 200, "body": b'{"id":1', **cut}))
    assert (Uncertain, Reason.NOT_UNDERSTOOD) == (type(outcome), outcome.reason)


def test_what_no_expression_speaks_of_must_still_fit_the_receipt():
    destination = http(answers=BY_ANSWER, receipt={"present": ["id"]})
    kinds = [type(outcome_of(destination, Response(status=200, body=body))) for body in (b'{"id":1}', b"{}", b"<html>")]
    assert [Delivered, Uncertain, Paused] == kinds


@pytest.mark.parametrize(
    ("where", "response", "wait"),
    [
        ({"header": "X-Wait"}, Response(status=429, headers={"x-wait": "3"}), 3),
        ({"header": "X-Wait", "form": "milliseconds"}, Response(status=429, headers={"x-wait": "1500"}), 1.5),
        ({"header": "X-Reset", "form": "epoch"}, Response(status=429, headers={"x-reset": "1795176090"}), 90),
        ({"field": "error.until", "form": "epoch_milliseconds"},
         Response(status=503, body=b'{"error":{"until":1795176090500}}'), 90.5),
        ({"header": "X-Reset", "form": "date"},
         Response(status=429, headers={"x-reset": "Fri, 20 Nov 2026 12:00:09 GMT"}), 9),
        ({"field": "until", "form": "date"}, Response(status=429, body=b'{"until":"2026-11-20T13:00:09+01:00"}'), 9),
        ({"field": "wait"}, Response(status=429, body=b'{"wait":2.25}'), 2.25),
        ({"field": "wait"}, Response(status=429, body=b'{"wait":1e99}', headers={"retry-after": "7"}), 7),
        ({"header": "X-Wait"}, Response(status=429, headers={"retry-after": "7"}), 7),
        ({"header": "X-Reset", "form": "epoch"}, Response(status=429, headers={"x-reset": "5"}), 0),
        ({"header": "X-Reset", "form": "epoch"}, Response(status=429, headers={"x-reset": "9" * 19}), 86400),
        ({"field": "wait"}, Response(status=429, body=b'{"wait":true}'), None),
    ],
)  # fmt: skip
def test_the_wait_may_stand_elsewhere_and_in_another_form(where, response, wait):
    after = outcome_of(http(retry_after=where, repeatable=True), response).after
    assert (None if wait is None else timedelta(seconds=wait)) == after


@pytest.mark.parametrize(("give", "sent"), [({"email": "a@b.example"}, True), ({"name": "Ada"}, False)])
def test_an_event_of_nobody_that_the_api_could_know_is_skipped(give, sent):
    destination = http(identity="= has(give.email) or has(give.phone)")
    if sent:
        assert "POST" == request_of(destination, give).method
    else:
        with pytest.raises(StopIteration) as end:
            request_of(destination, give)
        assert Skipped(Reason.NO_IDENTITY, "`identity:` is not true") == end.value.value


PAGE = Response(status=404, body=b"<!doctype html>", headers={"content-type": "text/html"})


@pytest.mark.parametrize("status", [200, 302, 401, 404, 405])
def test_a_probe_that_nobody_has_said_is_answered_by_anything_but_a_failure(status):
    assert http().is_answer(Response(status=status))


def test_a_page_answers_no_probe_that_is_said():
    assert (True, False) == (http().is_answer(PAGE), http(probe={"path": "/status"}).is_answer(PAGE))
    assert "https://api.example.com/v1/status" == http(probe={"path": "/status"}).probe().url


@pytest.mark.parametrize("probe", [{}, {"probe": {"path": "/status"}}])
@pytest.mark.parametrize(
    "response",
    [Response(status=503), Response(status=408), Response(status=200, headers={"cf-mitigated": "challenge"})],
)
def test_a_failure_answers_no_probe(probe, response):
    assert not http(**probe).is_answer(response)


def test_rules_are_checked_against_what_is_described():
    described = {"fields": {"id": "text", "total": "money", "cur": "text"}, "required": ["id"], "name": "id"}
    shape = http(event={**described, "amount": "total", "currency": "cur"}).shape()
    assert (frozenset({"id"}), "id", ("total", "cur")) == (shape.required, shape.name, shape.worth)


def test_a_number_that_json_cannot_have_is_not_sent():
    with pytest.raises(StopIteration) as end:
        request_of(http(), {"total": Decimal("NaN")})
    assert Reason.RULE_FAILED is end.value.value.reason
