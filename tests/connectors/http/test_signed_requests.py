"""Requests that are signed: against vectors that another program computed, and against the check of webhooks."""

from datetime import UTC, datetime

import pytest
from multidict import CIMultiDict

from bridge.contract import Attempt, Event, HttpArrival, Reason
from bridge.mapping.records import RecordExpressions
from bridge.setting_types import EXPRESSIONS
from connectors.http import Http
from connectors.webhook import Webhook

AT = datetime.fromtimestamp(1795179933, UTC)
STANDARD = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
MESSAGE = "msg_2mXExample0000000000001042"
ENVIRON = {"STANDARD": STANDARD, "KEY": "s3cret-key"}
TEMPLATE = {"type": "{fact}", "timestamp": "{at}", "data": {"id": "{give.id}", "total": "{give.total}"}}
BY_STANDARD = {
    "header": "webhook-signature",
    "secret": "env:STANDARD",
    "key": "base64",
    "key_prefix": "whsec_",
    "prefix": "v1,",
    "signed": "{header:webhook-id}.{ts}.{body}",
    "timestamp": {"header": "webhook-timestamp"},
}


def request_of(sign, *, give=None, **settings):
    settings = {"url": "https://api.example.com/v1", "authentication": {"sign": sign}, **settings}
    context = {"environ": ENVIRON, EXPRESSIONS: RecordExpressions()}
    destination = Http.model_validate(settings, context=context)
    give = {"id": "o_1042", "total": "99.00"} if give is None else give
    event = Event(rule="placed", fact="order.created", once="[]", at=AT, give=give)
    return next(destination.converse(event, Attempt(now=AT, first_tried_at=AT, number=1, key=MESSAGE)))


def test_a_request_by_standard_webhooks_is_signed_as_its_vector_says():
    request = request_of(BY_STANDARD, template=TEMPLATE, idempotency_key="webhook-id")
    assert "v1,G5PLYFvEO993RRFR3aJPtm+pQxv3kX5+F8sxEZa3b+M=" == request.headers["webhook-signature"]
    assert "1795179933" == request.headers["webhook-timestamp"]
    assert {"webhook-signature", "webhook-timestamp"} == request.secret_headers


@pytest.mark.parametrize(
    "scheme",
    [
        {},
        {"encoding": "hex", "prefix": "sha256="},
        {"algorithm": "sha512", "encoding": "hex"},
        {"signed": "{ts}.{body}", "prefix": "v1=", "encoding": "hex",
         "timestamp": {"prefix": "t=", "separator": ",", "unit": "ms"}},
        {"signed": "{url}{body}"},
        {"signed": "{query:a}|{json:/id}[|{header:x-none}]|{body}"},
    ],
)  # fmt: skip
def test_a_signature_passes_the_check_of_webhooks_with_the_same_words(scheme):
    address = "https://api.example.com/v1?a=1"
    request = request_of({"header": "X-Signature", "secret": "env:KEY", **scheme}, query={"a": "1"})
    ours = {"header": "X-Signature", **scheme, **({"url": address} if "{url}" in scheme.get("signed", "") else {})}
    ours |= {"separator": ","} if "timestamp" in scheme else {}
    settings = {"signature": ours, "shops": {"a": {"secrets": ["env:KEY"]}}, "lane": "= doc.id"}
    webhook = Webhook.model_validate(settings, context={"environ": ENVIRON, EXPRESSIONS: RecordExpressions()})
    arrival = HttpArrival(
        source="x", headers=CIMultiDict(request.headers), body=request.body, received_at=AT, query="a=1"
    )
    assert "a" == webhook.verify(arrival).tenant


def test_method_and_path_may_be_signed():
    signed = request_of(
        {"header": "X-Signature", "secret": "env:KEY", "signed": "{method} {path}\n{body}", "encoding": "hex"},
        path="/orders/{give.id}",
        give={"id": "a b"},
    )
    # printf 'POST /v1/orders/a%%20b\n{"id":"a b"}' | openssl dgst -sha256 -hmac s3cret-key
    expected = "cd5d06070dc82586ba9f65867ec2c534d8b861fda0c00074aa7644fec38045bf"
    assert expected == signed.headers["X-Signature"]


def test_what_cannot_be_signed_is_not_sent():
    with pytest.raises(StopIteration) as end:
        request_of({"header": "X-Signature", "secret": "env:KEY", "signed": "{json:/id}"}, give={"total": "1"})
    assert Reason.RULE_FAILED is end.value.value.reason
