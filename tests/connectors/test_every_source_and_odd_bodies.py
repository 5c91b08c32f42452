"""What is authentic is kept, whatever it is: the same odd bodies for every source, in every journal."""

import asyncio
import gzip
import importlib
import pkgutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from multidict import CIMultiDict

import bridge.journal
from bridge.contract import HttpArrival, Reason, Record, State
from bridge.errors import Malformed
from bridge.intake.arrivals import ArrivalBatch
from bridge.intake.unreadable import reason_of, storable
from bridge.journal import Selection

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ODD = {
    "empty": b"",
    "blank": b" \r\n",
    "list": b"[]",
    "list of one": b'[{"id": 1}]',
    "text": b'"x"',
    "number": b"7",
    "null": b"null",
    "object without anything": b"{}",
    "cut": b'{"id": 1, "note": "',
    "two documents": b'{"id": 1}{"id": 2}',
    "byte order mark": b'\xef\xbb\xbf{"id": 1}',
    "utf-16": '{"id": 1}'.encode("utf-16"),
    "no utf-8": b'{"id": 1, "note": "\xff"}',
    "half of a pair": rb'{"id": 1, "note": "\ud83d"}',
    "half of a pair as a name": rb'{"id": 1, "\ude00": 1, "token": "\ud83d", "email": "\ud83d@b.example"}',
    "lists in lists": b'{"id": 1, "note": ' + b"[" * 50_000,
    "closed lists in lists": b'{"id": 1, "note": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "objects in objects": b'{"id":' * 50_000,
    "no such number": b'{"id": 1e400, "order_id": 1e400, "number": 1e400}',
    "number of 5,000 digits": b'{"id": %b, "order_id": %b}' % (b"9" * 5_000, b"9" * 5_000),
    "digits that nobody reads": b'{"id": 1, "note": %b}' % (b"9" * 5_000),
    "NaN": b'{"id": NaN}',
    "names twice": b'{"id": 1, "id": "x", "order_id": 1, "order_id": []}',
    "id of another type": b'{"id": true, "order_id": {}, "token": 7}',
    "id that is negative": b'{"id": -1, "order_id": -1}',
    "id that is long": b'{"id": %b, "token": "%b"}' % (b"9" * 3_000, b"x" * 3_000),
    "unprintable": rb'{"id": "\u0000", "token": "a\u0000b\u202e", "email": "\u0000"}',
    "raw control character": b'{"id": 1, "note": "a\x00b"}',
    "page": b"<!doctype html><p>502</p>",
    "form": b"webhook_id=15&a=%00",
    "packed": gzip.compress(b'{"id": 1}', mtime=0),
    "zeros": bytes(1_000),
}
TOPICS = ["", "no such topic", "orders/no_such", "\udcff\udcfe", "x" * 4_000, "a\tb", "orders/create, orders/paid"]
JOURNALS = [module.name for module in pkgutil.iter_modules(bridge.journal.__path__) if module.ispkg]


@pytest.fixture(params=JOURNALS)
def opened(request, tmp_path):
    place = request.getfixturevalue("postgres_place") if request.param == "postgres" else tmp_path / "journal.db"
    return importlib.import_module(f"bridge.journal.{request.param}").opened(place, destinations=("api",))


@pytest.fixture
async def journal(opened):
    async with opened as found:
        yield found


def _topics(folder):
    place = Path(folder.__path__[0], "examples", "topics.yaml")
    return sorted(set(yaml.safe_load(place.read_text(encoding="utf-8")).values()))


async def _dead(journal):
    return {fact.seq: fact async for fact in journal.parked(Selection(state=State.DEAD))}


async def _are_kept(journal, came):
    """Each of (envelope, body, seq), with its bytes; what cannot be read is dead, and says why."""
    dead = await _dead(journal)
    for envelope, body, seq in came:
        assert body == (await journal.document(seq)).raw
        if envelope.reason is Reason.UNREADABLE:
            assert ("unreadable", envelope.id) == (dead[seq].reason, dead[seq].id)
            assert dead[seq].detail
    return [envelope for envelope, _, _ in came if envelope.reason is Reason.UNREADABLE]


async def test_every_odd_body_that_is_signed_is_kept_with_its_bytes(webhook, source_folder, journal):
    gathering = ArrivalBatch(journal)
    topics = [*_topics(source_folder), *TOPICS]
    deliveries = [
        gathering.over(
            webhook,
            HttpArrival(
                source="here",
                headers=CIMultiDict(webhook.sign(body, topic=topic, tenant=None, delivery_id=f"{name}-{number}")),
                body=body,
                received_at=NOON,
            ),
        )
        for number, topic in enumerate(topics)
        for name, body in ODD.items()
    ]
    over = await asyncio.gather(*deliveries)
    assert {None} == {delivery.problem for delivery in over}
    came = [(delivery.envelope, delivery.arrival.body, delivery.appended.seq) for delivery in over]
    assert len(over) == len({seq for _, _, seq in came}), "none of them is another's duplicate"
    unread = await _are_kept(journal, came)
    assert len(unread) > len(over) / 2
    for topic in topics[-len(TOPICS) :]:
        assert "" not in [envelope.detail for envelope in unread if envelope.topic == topic]


async def test_a_signed_body_without_the_headers_that_name_it_is_kept(webhook, source_folder, journal):
    """But for those by which it is known whose it is."""
    body = ODD["list"]
    signed = webhook.sign(body, topic=_topics(source_folder)[0], tenant=None, delivery_id="1")
    gathering = ArrivalBatch(journal)
    for missing in signed:
        headers = CIMultiDict({name: text for name, text in signed.items() if name != missing})
        over = await gathering.over(webhook, HttpArrival(source="here", headers=headers, body=body, received_at=NOON))
        assert (over.problem is None) or over.problem.status == 401, missing


TOMBSTONES = (b"", b"null")
"""Of these nothing is kept but that they came, and what their key says."""


async def test_every_odd_value_of_a_record_is_kept_with_its_bytes(stream, source_folder, journal):
    stamp = int(NOON.timestamp() * 1000)
    came = []
    for topic in _topics(source_folder):
        for offset, body in enumerate(ODD.values()):
            record = Record(source="here", topic=topic, partition=0, offset=offset, timestamp=stamp, at=NOON,
                            key=None if offset % 2 else b"\xff\x00", value=body)  # fmt: skip
            try:
                next(stream.read(record))
                pytest.fail("it asks for something")
            except StopIteration as end:
                envelope = end.value
            except Malformed as problem:
                envelope = stream.unreadable(record, reason_of(problem, "here"))
            kept = b"{}" if body in TOMBSTONES else body
            came.append((envelope, kept, (await journal.append(storable(envelope))).seq))
    assert len(await _are_kept(journal, came)) > len(came) / 2
