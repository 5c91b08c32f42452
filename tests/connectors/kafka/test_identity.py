"""What a record is called: by its document, its headers, the configuration's variables and tables."""

import json
from datetime import UTC, datetime

import pytest

from bridge.config import read
from bridge.contract import KEY, Record, Response
from bridge.errors import ConfigurationError, Malformed, NotNow

AT = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
CONFIG = """
sources:
  db:
    connector: kafka
    brokers: [127.0.0.1:9092]
    group: bridge
    registry: {url: "http://127.0.0.1:1"}
    topics: {rows: {tenant: shop.example, unwrap: UNWRAP, NAMED}}
    kinds: {row: {id: integer, site: text, day: text, clock: text}}
destinations: {hellotext: {connector: hellotext, token: env:T}}
vars: {zone: Europe/Berlin, sites: {north: {zone: Europe/Oslo, code: N}}}
tables: {codes: codes.csv}
rules:
  placed:
    for: row
    at: = received_at
    give: {action: order.placed, session: = row.site, object_parameters: {reference: = text(row.id), source: db}}
"""
ROW = {"id": 7, "site": "north", "day": "20261120", "clock": "140533"}
CHANGE = {
    "before": None,
    "after": ROW,
    "source": {"version": "2.5.0.Final", "ts_ms": 1795179933000, "db": "shop", "table": "orders", "snapshot": "false"},
    "op": "u",
    "ts_ms": 1795179933100,
}


@pytest.fixture
def named(tmp_path):
    """The envelope of a record by these settings of its topic."""
    (tmp_path / "codes.csv").write_text("site,code\nnorth,N\nsouth,S\n")

    def make(settings, value=None, *, unwrap="none", headers=(), key=b"k", raw=None, answers=()):
        settings = settings if "kind:" in settings else f"kind: row, {settings}"
        text = CONFIG.replace("UNWRAP", unwrap).replace("NAMED", settings)
        found = read(text, file=str(tmp_path / "bridge.yaml"), environ={"T": "t"})
        if raw is None:
            raw = json.dumps(ROW if value is None else value).encode()
        record = Record(
            source="db", topic="rows", partition=0, offset=1, timestamp=1, at=AT, key=key, value=raw, headers=headers
        )
        reading = found.sources["db"].read(record)
        try:
            next(reading)
            for status, said in answers:
                reading.send(Response(status=status, body=json.dumps(said).encode()))
        except StopIteration as done:
            return done.value
        raise AssertionError("it asked for more")

    return make


@pytest.mark.parametrize(
    ("lane", "text"),
    [
        ("= vars.sites.north.code + text(doc.id)", "N7"),
        ("= lookup(vars.codes, doc.site) + text(doc.id)", "N7"),
        ("= lookup(vars.sites, doc.site).code + doc.day[-2:]", "N20"),
        ("= time_text(local_time(doc.day, vars.zone, 'YYYYMMDD'), 'YY-MM-DD', vars.zone)", "26-11-20"),
    ],
)
def test_a_lane_may_be_named_by_variables_and_tables(named, lane, text):
    envelope = named(f'lane: "{lane}", aliases: {{name: "{lane}"}}')
    assert (text, (text,)) == (envelope.lane, envelope.aliases)


@pytest.mark.parametrize(
    ("version", "hour"),
    [
        ("= local_time(doc.day + doc.clock, vars.zone, 'YYYYMMDDHHmmss')", 13),
        ("= local_time(doc.day + doc.clock, lookup(vars.sites, doc.site).zone, 'YYYYMMDDHHmmss')", 13),
        ("= time(doc.day + doc.clock + 'Z', 'YYYYMMDDHHmmssZ')", 14),
    ],
)
def test_a_version_may_be_a_date_in_any_shape(named, version, hour):
    assert datetime(2026, 11, 20, hour, 5, 33, tzinfo=UTC) == named(f'version: "{version}"').version


@pytest.mark.parametrize(
    ("lane", "said"),
    [
        ("= vars.sitess.north", "vars has no field sitess: did you mean sites?"),
        ("= lookup(vars.code, doc.site)", "vars has no field code: did you mean codes?"),
        (
            "= local_time(doc.day, 'Berlin')",
            "local_time is given an unknown time zone: write one such as 'Europe/Berlin'",
        ),
    ],
)
def test_a_wrong_name_of_a_variable_is_refused_when_it_is_read(named, lane, said):
    with pytest.raises(ConfigurationError) as caught:
        named(f'lane: "{lane}"')
    assert said in str(caught.value)


def test_a_table_that_cannot_be_read_is_one_problem(named, tmp_path):
    (tmp_path / "codes.csv").write_text("site\n")
    with pytest.raises(ConfigurationError) as caught:
        named('lane: "= lookup(vars.codes, doc.site)"')
    assert ["has one column: write the key, and what it stands for"] == [each.message for each in caught.value.problems]


@pytest.mark.parametrize("value", [CHANGE, {"schema": {"type": "struct"}, "payload": CHANGE}])
def test_what_debezium_says_of_a_change_stands_among_the_headers(named, value):
    settings = (
        'version: "= from_epoch_ms(headers[\'__source_ts_ms\'])", lane: "= headers.__source_table + text(doc.id)"'
    )
    envelope = named(settings, value, unwrap="debezium", headers=[("trace", b"1"), ("__op", b"r")])
    assert datetime(2026, 11, 20, 13, 5, 33, tzinfo=UTC) == envelope.version
    assert "orders7" == envelope.lane
    told = {"__op": "u", "__ts_ms": "1795179933100", "__source_ts_ms": "1795179933000"}
    assert {"trace": "1", "__source_db": "shop", "__source_table": "orders", KEY: "k"} | told == dict(envelope.headers)


@pytest.mark.parametrize(
    "more",
    [
        {"source": None},
        {"source": "x"},
        {"source": {"table": {"a": 1}}, "op": ["u"]},
        {"ts_ms": 1.5},
        {"op": "u" * 9999},
    ],
)
def test_a_change_that_says_it_otherwise_is_read_all_the_same(named, more):
    assert "7" == named("lane: = doc.id", {"after": ROW, **more}, unwrap="debezium").lane


def _with_schema(value):
    return {"schema": {"type": "struct"}, "payload": value}


KEYS = [b'{"id": 7}', b'{"id":\n 7}', json.dumps(_with_schema({"id": 7})).encode()]
DELETED = {**CHANGE, "before": ROW, "after": None, "op": "d"}


@pytest.mark.parametrize("key", [*KEYS, b"k", None])
@pytest.mark.parametrize("value", [DELETED, _with_schema(DELETED)])
def test_a_row_that_is_deleted_queues_behind_its_order_and_says_what_it_was(named, key, value):
    envelope = named("lane: = text(doc.id), aliases: {name: = doc.site}", value, unwrap="debezium", key=key)
    assert ("tombstone", "7", ("north",)) == (envelope.kind, envelope.lane, envelope.aliases)
    assert ROW == json.loads(envelope.raw)
    assert "d" == envelope.headers["__op"]


@pytest.mark.parametrize("unwrap", ["debezium", "none"])
@pytest.mark.parametrize(
    "raw", [b"", b"null", b" null\n", b'{"schema":null,"payload":null}', b'{"schema": {"type": "x"}, "payload": null}']
)
@pytest.mark.parametrize("key", KEYS)
def test_a_tombstone_is_of_the_order_that_its_key_names(named, unwrap, raw, key):
    envelope = named("lane: = text(doc.id)", unwrap=unwrap, raw=raw, key=key)
    assert ("tombstone", "7", {"id": 7}) == (envelope.kind, envelope.lane, json.loads(envelope.raw))


@pytest.mark.parametrize("values", ["avro", "json-schema"])
def test_an_empty_value_is_a_tombstone_without_a_frame_too(named, values):
    envelope = named(f"lane: = text(doc.id), values: {values}", raw=b"", key=b'{"id": 7}')
    assert ("tombstone", "7") == (envelope.kind, envelope.lane)


KEY_SCHEMA = {"type": "record", "name": "Key", "fields": [{"name": "id", "type": "long"}]}
FOUND = (200, {"schema": json.dumps(KEY_SCHEMA)})
NONE_SUCH = (404, {"error_code": 40403})


def test_a_tombstone_is_of_the_order_that_its_key_in_avro_names(named):
    settings = "lane: = text(doc.id), values: avro"
    envelope = named(settings, raw=b"", key=b"\0\0\0\0\x05\x0e", answers=[FOUND])
    assert ("tombstone", "7", {"id": 7}) == (envelope.kind, envelope.lane, json.loads(envelope.raw))
    text = (200, {"schema": '"string"'})
    assert "SO-7" == named(settings, raw=b"", key=b"\0\0\0\0\x05\x08SO-7", answers=[text]).lane


@pytest.mark.parametrize(
    ("key", "answers"),
    [
        (b"\0\0\0\0\0\0\0\x07", []),
        (b"\0\0\0\x01\x2a\x05\xf2\0", [NONE_SUCH]),
        (b"\0\0\0\0\x05", [FOUND]),
        (b"\0\0\0\0\x05\x0e", [(200, {"schema": "{}", "schemaType": "JSON"})]),
        (b"\0\0", []),
        (b"\xff", []),
    ],
)
def test_a_key_that_is_not_in_avro_names_no_columns(named, key, answers):
    lane = named("lane: = text(doc.id), values: avro", raw=b"", key=key, answers=answers).lane
    assert f"0x{key.hex()}" == lane


def test_a_tombstone_waits_for_a_registry_that_does_not_answer_for_its_key(named):
    with pytest.raises(NotNow):
        named("lane: = text(doc.id), values: avro", raw=b"", key=b"\0\0\0\0\x05\x0e", answers=[(503, {})])


def test_a_topic_without_a_lane_asks_for_no_schema_of_a_key(named):
    key = b"\0\0\0\0\x05\x0e"
    assert f"0x{key.hex()}" == named("kind: row, values: avro", raw=b"", key=key).lane


@pytest.mark.parametrize("key", [b'\0\0\0\0\x05{"id": 7}', b'{"id": 7}', b'\0\0\0\0\x05"7"'])
def test_a_tombstone_is_of_the_order_that_its_key_in_a_frame_names(named, key):
    assert "7" == named("lane: = text(doc.id), values: json-schema", raw=b"", key=key).lane


def test_the_columns_of_the_key_win_over_placeholders_in_what_a_row_was(named):
    before = {"id": 0, "site": "", "day": None}
    envelope = named("lane: = text(doc.id)", {**DELETED, "before": before}, unwrap="debezium", key=b'{"id": 7}')
    assert ("7", {**before, "id": 7}) == (envelope.lane, json.loads(envelope.raw))


def test_what_remains_of_a_row_has_its_numbers_as_they_were_written(named):
    value = b'{"before": {"id": 7, "sum": 12.50, "big": 1e3}, "after": null, "op": "d"}'
    assert b'{"id":7,"sum":12.50,"big":1e3}' == named("lane: = text(doc.id)", raw=value, unwrap="debezium").raw


def test_a_deletion_whose_row_does_not_name_the_order_has_the_lane_of_its_key(named):
    deleted = {**DELETED, "before": {"id": 7, "site": None}}
    assert "k" == named("lane: = doc.site", deleted, unwrap="debezium").lane
    deleted["before"]["site"] = "north"
    assert "k" == named("lane: = integer(doc.site)", deleted, unwrap="debezium").lane


def test_an_alias_that_cannot_be_worked_out_of_what_remains_is_left_out(named):
    settings = "lane: = text(doc.id), aliases: {name: = integer(doc.name), customer: = text(doc.id)}"
    assert ("customer:7",) == named(settings, raw=b"null", key=b'{"id": 7, "name": "x"}').aliases
    with pytest.raises(Malformed):
        named(settings, {"id": 7, "name": "x"})


@pytest.mark.parametrize("gone", [{"__deleted": "true"}, {"__deleted": True}, {"__op": "d", "__deleted": "true"}])
@pytest.mark.parametrize("wrapped", [dict, _with_schema])
def test_a_flat_row_that_says_it_was_deleted_is_a_tombstone(named, gone, wrapped):
    value = wrapped({**ROW, **gone})
    envelope = named("lane: = text(doc.id)", value, unwrap="debezium", key=b'{"id": 7}')
    assert ("tombstone", "7", ROW | gone) == (envelope.kind, envelope.lane, json.loads(envelope.raw))


@pytest.mark.parametrize(
    "lives", [{"__deleted": "false"}, {"__op": "u"}, {"__op": "c", "payload": "{}"}, {"__op": "u", "op": "t"}]
)
def test_a_flat_row_that_was_not_deleted_is_the_document(named, lives):
    value = {**ROW, **lives, "__source_ts_ms": 1795179933000, "status": "BEGIN", "ts_ms": 1, "ddl": "x"}
    envelope = named("lane: = text(doc.id)", value, unwrap="debezium")
    assert ("row", "7", value) == (envelope.kind, envelope.lane, json.loads(envelope.raw))
    assert "1795179933000" == envelope.headers["__source_ts_ms"]
    assert lives.get("__op") == envelope.headers.get("__op")


NOTICES = [
    {"before": None, "after": None, "op": "t", "ts_ms": 1795179933100, "source": {"table": "orders"}},
    {"op": "t", "ts_ms": 1795179933100, "source": {"table": "orders"}},
    {"op": "m", "ts_ms": 1, "source": {"table": ""}, "message": {"prefix": "till", "content": "aGk="}},
    {"ts_ms": 1795179933100},
    {"ts_ms": 1795179933100, "ts_us": 1795179933100000, "ts_ns": 1795179933100000000},
    {"status": "BEGIN", "id": "571:53195829", "event_count": None, "data_collections": None, "ts_ms": 1},
    {"status": "END", "id": "571:53195832", "event_count": 2, "data_collections": []},
    {"source": {"db": "shop"}, "ts_ms": 1, "databaseName": "shop", "ddl": "ALTER TABLE orders", "tableChanges": []},
    {"source": {"db": "shop"}, "ts_ms": 1, "databaseName": "shop", "schemaName": "dbo", "tableChanges": []},
]


@pytest.mark.parametrize("wrapped", [dict, _with_schema])
@pytest.mark.parametrize("value", NOTICES)
def test_what_debezium_writes_of_no_row_is_neither_an_order_nor_a_tombstone(named, value, wrapped):
    envelope = named("lane: = text(doc.id)", wrapped(value), unwrap="debezium", key=b'{"serverName": "db"}')
    assert ("no_row", "record:", value) == (envelope.kind, envelope.lane[:7], json.loads(envelope.raw))
    assert envelope.reason is None


@pytest.mark.parametrize(
    "value",
    [
        {"id": 7},
        {"after": 5},
        {"op": "u"},
        {"status": "open", "id": 7},
        {"ts_ms": 1, "id": 7},
        {"ts_ms": "today"},
        {"ts_us": 1},
        {"status": "BEGIN", "id": 7, "ts_ms": 1},
        {"status": "BEGIN", "id": "a", "event_count": 1, "data_collections": None, "total": "1.00"},
        {"ddl": "x", "source": "web", "databaseName": "shop"},
        {"payload": None, "id": 7},
        {"op": "t", "id": 7},
        {},
    ],
)
def test_what_is_no_change_of_debezium_is_said(named, value):
    with pytest.raises(Malformed, match="not a "):
        named("lane: = text(doc.id)", value, unwrap="debezium")


@pytest.mark.parametrize(
    ("key", "lane"),
    [
        (b"SO-7", "SO-7"),
        (b'"SO-7"', "SO-7"),
        (b'"SO-\\u0037"', "SO-7"),
        (b'{"schema":{"type":"string","optional":false},"payload":"SO-7"}', "SO-7"),
        (b"7", "7"),
        (b'"7"', "7"),
        (b"007", "007"),
        (b"7.0", "7.0"),
        (b'{"schema":{"type":"int64"},"payload":7}', "7"),
        (b'{"id":7}', '{"id":7}'),
        (json.dumps(_with_schema({"id": 7})).encode(), '{"id": 7}'),
        (b'"a" and "b"', '"a" and "b"'),
        (b'{"payload":', '{"payload":'),
        (b"\xff", "0xff"),
    ],
)
def test_one_id_is_one_order_whichever_serializer_wrote_the_key(named, key, lane):
    envelope = named("kind: row", key=key)
    assert (lane, key) == (envelope.lane, envelope.key.encode() if key != b"\xff" else key)
    assert lane == named("kind: row", raw=b"null", key=key).lane


@pytest.mark.parametrize("key", [None, b"null", b'{"schema":null,"payload":null}', b'""'])
def test_a_key_that_says_nothing_names_no_order(named, key):
    with pytest.raises(Malformed, match="no key"):
        named("kind: row", key=key)
    assert named("kind: row", raw=b"null", key=key).lane.startswith("record:")


EVENT = {
    "specversion": "1.0",
    "id": "e-1",
    "type": "order.deleted",
    "source": "/till/4",
    "subject": "SO-7",
    "time": "2026-11-20T13:05:33Z",
    "datacontenttype": "application/json",
    "attempt": 2,
    "replayed": False,
}
IN_HEADERS = {
    "ce_specversion": "1.0",
    "ce_id": "e-1",
    "ce_type": "order.deleted",
    "ce_source": "/till/4",
    "ce_subject": "SO-7",
    "ce_time": "2026-11-20T13:05:33Z",
    "ce_attempt": "2",
    "ce_replayed": "false",
    "content-type": "application/json",
}
STRUCTURED = ("content-type", b"application/cloudevents+json; charset=utf-8")


@pytest.mark.parametrize("data", [{"data": ROW}, {"data_base64": "eyJpZCI6IDd9"}])
@pytest.mark.parametrize("headers", [[], [STRUCTURED], [STRUCTURED, ("ce_specversion", b"1.0"), ("ce_type", b"x")]])
def test_an_event_in_the_value_says_the_same_as_one_in_the_headers(named, data, headers):
    settings = 'lane: "= headers.ce_subject", version: "= time(headers.ce_time)"'
    binary = named(settings, unwrap="cloudevents", headers=[(name, text.encode()) for name, text in IN_HEADERS.items()])
    structured = named(settings, EVENT | data, unwrap="cloudevents", headers=headers)
    assert ("SO-7", IN_HEADERS | {KEY: "k"}) == (structured.lane, dict(structured.headers))
    assert (binary.lane, binary.version, binary.headers) == (structured.lane, structured.version, structured.headers)


def test_an_event_with_a_deletion_in_it_is_a_tombstone_that_says_what_happened(named):
    lane = 'lane: "= default(doc.id, headers.ce_subject)"'
    envelope = named(lane, EVENT | {"data": None}, unwrap="cloudevents")
    assert ("tombstone", "SO-7", "order.deleted") == (envelope.kind, envelope.lane, envelope.headers["ce_type"])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (EVENT, "a CloudEvent without data"),
        (EVENT | {"data_base64": "e"}, "a CloudEvent whose data_base64 is not base64"),
        (EVENT | {"data_base64": 7}, "a CloudEvent whose data_base64 is not base64"),
        ([EVENT], "a batch of CloudEvents: each event must be a record of its own"),
        (ROW, "not a CloudEvent: neither ce_ headers nor a `specversion`"),
        ({"specversion": 1, "data": ROW}, "not a CloudEvent: neither ce_ headers nor a `specversion`"),
        ({"specversion": "1.0", "data_base64": None}, "a CloudEvent without data"),
        (7, "not a CloudEvent: neither ce_ headers nor a `specversion`"),
    ],
)
def test_what_is_wrong_with_an_event_is_said_of_it(named, value, said):
    with pytest.raises(Malformed) as caught:
        named("lane: = text(doc.id)", value, unwrap="cloudevents")
    assert said == str(caught.value)


def test_of_what_a_wrapping_tells_as_much_is_kept_as_of_headers(named):
    odd = {f"a{number}": "x" for number in range(1000)} | {"subject": "x" * 2000, "n" * 2000: "x", "list": ["x"]}
    envelope = named("lane: = text(doc.id)", {"specversion": "1.0", "data": ROW} | odd, unwrap="cloudevents")
    assert len(envelope.headers) <= 65
    assert {"ce_specversion": "1.0", "ce_a0": "x"}.items() <= envelope.headers.items()
    assert {"ce_subject", "ce_list", "ce_data"}.isdisjoint(envelope.headers)


def test_what_a_variable_cannot_answer_makes_the_record_unreadable(named):
    with pytest.raises(Malformed, match="is empty: nothing names the order"):
        named('lane: "= lookup(vars.codes, doc.site)"', {**ROW, "site": "west"})


# -- Amazon EventBridge ------------------------------------------------------------------------------------------------


def test_the_detail_of_an_event_is_the_document_and_its_attributes_are_headers(named):
    event = {"version": "0", "detail-type": "order", "source": "till", "time": "2026-11-20T13:05:33Z", "detail": ROW}
    envelope = named('lane: = text(doc.id), version: "= time(headers.time)"', event, unwrap="eventbridge")
    assert ("7", ROW) == (envelope.lane, json.loads(envelope.raw))
    told = {"detail-type": "order", "source": "till", "time": "2026-11-20T13:05:33Z", KEY: "k"}
    assert told == dict(envelope.headers)


@pytest.mark.parametrize(
    "value", [ROW, {"detail": None}, {"detail": "{}"}, [ROW], 7, {"detail": {"payload": ROW, "metadata": 7}}]
)
def test_what_is_no_event_of_eventbridge_is_said_to_be_none(named, value):
    with pytest.raises(Malformed, match="not an event of EventBridge: it has no `detail` that is an object"):
        named("lane: = text(doc.id)", value, unwrap="eventbridge")
