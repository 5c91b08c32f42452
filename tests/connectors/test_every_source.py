"""What every source keeps, found by folder: built by examples/settings.yaml, its documents in examples/topics.yaml."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from bridge.contract import Envelope, HttpArrival, Reason, Record
from bridge.errors import Refusal

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TYPES = {"text", "integer", "number", "money", "time", "boolean", "any"}
header_texts = st.binary(max_size=40).map(lambda raw: raw.decode("utf-8", errors="surrogateescape"))
bodies = st.one_of(
    st.binary(max_size=200),
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(msgspec.json.encode),
    st.dictionaries(
        st.sampled_from(["id", "order_id", "token", "updated_at", "customer", "email", "shop_domain", "order_edit"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just([]) | st.just({}),
    ).map(msgspec.json.encode),
)


def documents(folder):
    place = Path(folder.__path__[0], "examples")
    for name, topic in yaml.safe_load((place / "topics.yaml").read_text(encoding="utf-8")).items():
        yield topic, (place / name).read_bytes()


def arrival(body: bytes, headers: Mapping[str, str]) -> HttpArrival:
    return HttpArrival(source="here", headers=CIMultiDict(headers), body=body, received_at=NOON)


def taken(source, body: bytes, headers: Mapping[str, str]) -> Envelope:
    came = arrival(body, headers)
    return source.read(came, source.verify(came))


def taken_or_refused(source, body: bytes, headers: Mapping[str, str]) -> Envelope | Refusal:
    try:
        return taken(source, body, headers)
    except Refusal as refusal:
        return refusal


def record(topic: str, value: bytes | None, *, key: bytes | None = b"k", headers=()) -> Record:
    stamp = int(NOON.timestamp() * 1000)
    return Record(source="here", topic=topic, partition=3, offset=7, timestamp=stamp, at=NOON, key=key, value=value,
                  headers=headers)  # fmt: skip


def named(stream, come: Record) -> Envelope:
    """What the core makes of a record that needs nothing asked."""
    try:
        next(stream.read(come))
    except StopIteration as end:
        return end.value
    except Refusal as refusal:
        return stream.unreadable(come, str(refusal))
    raise AssertionError("it asks for something")


def shapes(fields):
    """Every type word of a description, however deep."""
    for element in fields.values() if isinstance(fields, Mapping) else fields:
        if isinstance(element, str):
            yield element
        else:
            yield from shapes(element)


def test_every_topic_brings_a_kind_that_is_described(source):
    assert set() == set(source.topics().values()) - set(source.kinds())


def test_descriptions_use_the_types_of_the_contract(source):
    assert set() == {word for fields in source.kinds().values() for word in shapes(fields)} - TYPES


def test_lists_are_described_by_one_element(source):
    def lists(fields):
        for element in fields.values() if isinstance(fields, Mapping) else fields:
            if isinstance(element, Mapping):
                yield from lists(element)
            elif not isinstance(element, str):
                yield element
                yield from lists(element)

    assert [] == [found for fields in source.kinds().values() for found in lists(fields) if len(found) != 1]


def test_no_secret_shows_in_its_text(source):
    assert "secret-of-" not in repr(source) + str(source)


def test_every_example_is_taken_and_named(webhook, source_folder):
    for topic, body in documents(source_folder):
        signed = webhook.sign(body, topic=topic, tenant=None, delivery_id="delivery-1")
        envelope = taken(webhook, body, signed)
        assert (topic, webhook.topics()[topic], "delivery-1") == (envelope.topic, envelope.kind, envelope.id)
        assert body == envelope.raw
        assert NOON == envelope.received_at
        assert "here" == envelope.source


def test_lane_and_aliases_are_text_that_can_be_stored(webhook, source_folder):
    for topic, body in documents(source_folder):
        envelope = taken(webhook, body, webhook.sign(body, topic=topic, tenant=None, delivery_id="1"))
        for text in (envelope.lane, envelope.tenant, *envelope.aliases):
            assert text.isprintable() and text  # noqa: PT018 - one claim about a text


def test_reading_twice_gives_the_same(webhook, source_folder):
    for topic, body in documents(source_folder):
        signed = webhook.sign(body, topic=topic, tenant=None, delivery_id="1")
        assert taken(webhook, body, signed) == taken(webhook, body, signed)


def test_the_signature_is_over_the_raw_bytes(webhook, source_folder):
    for topic, body in documents(source_folder):
        signed = webhook.sign(body, topic=topic, tenant=None, delivery_id="1")
        rewritten = msgspec.json.format(body, indent=3) + b" "
        with pytest.raises(Refusal) as refusal:
            taken(webhook, rewritten, signed)
        assert 401 == refusal.value.status


def test_a_refusal_says_nothing_of_the_body(webhook, source_folder):
    for topic, body in documents(source_folder):
        signed = webhook.sign(body + b" ", topic=topic, tenant=None, delivery_id="1")
        with pytest.raises(Refusal) as refusal:
            taken(webhook, body, signed)
        open_words = " ".join(signed.values())
        words = {word for word in re.findall(r"[\w@.+-]{6,}", body.decode()) if word not in open_words}
        assert [] == [word for word in words if word in str(refusal.value)]


def test_says_which_secret_signed(webhook, source_folder):
    topic, body = next(documents(source_folder))
    signed = webhook.sign(body, topic=topic, tenant=None, delivery_id="1")
    signature = next(text for name, text in signed.items() if "hmac" in name.lower() or "signature" in name.lower())
    assert "1 of 1" in webhook.fitting_secret(body, tenant=None, signature=signature)
    assert webhook.fitting_secret(body + b" ", tenant=None, signature=signature) is None


def test_no_header_and_no_body_make_it_raise_anything_but_a_refusal(webhook, source_folder):
    topic, document = next(documents(source_folder))
    names = list(webhook.sign(document, topic=topic, tenant=None, delivery_id="1"))

    @settings(max_examples=150)
    @given(body=bodies, forged=st.dictionaries(st.sampled_from(names), header_texts))
    @example(body=document, forged={})
    def holds(body, forged):
        signed = webhook.sign(document, topic=topic, tenant=None, delivery_id="1")
        ended = taken_or_refused(webhook, body, {**signed, **forged})
        if isinstance(ended, Refusal):
            assert ended.status in (400, 401)
            assert 600 > len(str(ended))
            str(ended).encode()

    holds()


def test_no_signed_body_makes_it_raise_anything_but_a_refusal(webhook):
    @settings(max_examples=200)
    @given(body=bodies, topic=st.sampled_from(sorted(webhook.topics())) | header_texts, delivery_id=header_texts)
    @example(body=b"[" * 100_000, topic="orders/create", delivery_id="1")
    @example(body=b'{"a":' * 100_000, topic="orders/create", delivery_id="1")
    @example(body=b'{"id": 1, "x": "\xff"}', topic="orders/create", delivery_id="1")
    @example(body=b'{"id": 1, "x": "\\ud800"}', topic="orders/create", delivery_id="1")
    @example(body=b'{"id": 1, "updated_at": "0001-01-01T00:00:00+14:00"}', topic="orders/create", delivery_id="1")
    def holds(body, topic, delivery_id):
        signed = webhook.sign(body, topic=topic, tenant=None, delivery_id=delivery_id)
        ended = taken_or_refused(webhook, body, signed)
        if isinstance(ended, Refusal):
            assert 400 == ended.status
        else:
            texts = (ended.id, ended.topic, ended.lane, *ended.aliases, *ended.headers.values())
            assert [] == [text for text in texts if not text.isprintable()]

    holds()


# -- streams -----------------------------------------------------------------------------------------------------------


def test_a_stream_says_what_to_read(stream):
    subscription = stream.subscription()
    assert subscription.brokers and subscription.group  # noqa: PT018 - one claim
    assert set(stream.topics()) <= set(subscription.topics)


def test_every_example_record_is_named(stream, source_folder):
    for topic, body in documents(source_folder):
        envelope = named(stream, record(topic, body))
        assert (topic, stream.topics()[topic], None) == (envelope.topic, envelope.kind, envelope.reason)
        assert (body, NOON, "here") == (envelope.raw, envelope.received_at, envelope.source)
        assert envelope == named(stream, record(topic, body))


def test_the_same_offset_with_another_value_or_time_is_another_record(stream, source_folder):
    topic, body = next(documents(source_folder))
    first = record(topic, body)
    ids = {named(stream, each).id for each in (first, replace(first, timestamp=5), replace(first, value=body + b" "))}
    assert 3 == len(ids)


def test_no_record_makes_it_raise_anything_but_a_refusal_and_what_it_names_can_be_stored(stream, source_folder):
    topic, document = next(documents(source_folder))

    @settings(max_examples=200)
    @given(
        value=st.none() | bodies,
        key=st.none() | st.binary(max_size=300),
        headers=st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=20)), max_size=4),
    )
    @example(value=b"[" * 100_000, key=b"k", headers=[])
    @example(value=b'{"number": 1e400}', key=None, headers=[])
    @example(value=b'{"number": "a\\u0000b"}', key=b"\xff", headers=[(":key", b"x")])
    @example(value=document, key=b"", headers=[])
    def holds(value, key, headers):
        envelope = named(stream, record(topic, value, key=key, headers=headers))
        texts = (envelope.id, envelope.lane, *envelope.aliases, *envelope.headers, *envelope.headers.values())
        assert [] == [text for text in texts if not text.isprintable()]
        assert envelope.lane
        if envelope.reason is not None:
            assert (Reason.UNREADABLE, value) == (envelope.reason, envelope.raw)
            assert "offset 7" in envelope.detail

    holds()
