"""What a record is called: by its document, its headers, the configuration's variables and tables."""

import json
from datetime import UTC, datetime

import pytest

from bridge.config import read
from bridge.contract import KEY, Record
from bridge.errors import ConfigurationError, Malformed

AT = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
CONFIG = """
sources:
  db:
    connector: kafka
    brokers: [127.0.0.1:9092]
    group: bridge
    topics: {rows: {tenant: shop.example, kind: row, unwrap: UNWRAP, NAMED}}
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

    def make(settings, value=None, *, unwrap="none", headers=()):
        text = CONFIG.replace("UNWRAP", unwrap).replace("NAMED", settings)
        found = read(text, file=str(tmp_path / "bridge.yaml"), environ={"T": "t"})
        raw = json.dumps(ROW if value is None else value).encode()
        record = Record(
            source="db", topic="rows", partition=0, offset=1, timestamp=1, at=AT, key=b"k", value=raw, headers=headers
        )
        try:
            next(found.sources["db"].read(record))
        except StopIteration as done:
            return done.value
        raise AssertionError("it asked for something")

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


def test_what_a_variable_cannot_answer_makes_the_record_unreadable(named):
    with pytest.raises(Malformed, match="is empty: nothing names the order"):
        named('lane: "= lookup(vars.codes, doc.site)"', {**ROW, "site": "west"})
