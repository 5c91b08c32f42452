"""A new user's first day, from docs/mapping.md and docs/kafka.md alone: an ERP's orders, in German, become events.

Fields are inferred, rules written, checked, tested, previewed, sent by `run`, and a change is planned.
"""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from bridge.cli import command
from bridge.config import read_file
from tests.kafka.orders import create_topic, produce

SAMPLES = [
    {
        "Belegnummer": "AB-2026-0815",
        "Geaendert": "2026-11-20T14:05:33",
        "Auftragsdatum": "2026-11-20T14:02:10",
        "Bezahlt": True,
        "Bezahldatum": "2026-11-20T14:05:33",
        "Vertriebsweg": "W1",
        "Kunde": {
            "Nr": 7001,
            "Vorname": "Änne",
            "Nachname": "Muster",
            "EMail": " Aenne@Example.com ",
            "Tel": "030 23125 000",
        },
        "Summe": "1.234,50",
        "Waehrung": "EUR",
        "Positionen": [
            {"Artikel": "A-77", "Text": "Kessel, Stahl", "Menge": 2, "Einzelpreis": "600,00"},
            {"Artikel": "V-1", "Text": "Versand", "Menge": 1, "Einzelpreis": "34,50"},
        ],
    },
    {
        "Belegnummer": "AB-2026-0816",
        "Geaendert": "2026-11-20T15:00:00",
        "Auftragsdatum": "2026-11-20T15:00:00",
        "Bezahlt": False,
        "Bezahldatum": None,
        "Vertriebsweg": "T9",
        "Kunde": {"Nr": 7002, "Vorname": None, "Nachname": "Beispiel", "EMail": None, "Tel": "+49 30 23125 001"},
        "Summe": "7,90",
        "Waehrung": "EUR",
        "Positionen": [{"Artikel": "B-12", "Text": "Tee", "Menge": 1, "Einzelpreis": "7,90"}],
    },
]

CONFIG = """
sources:
  erp:
    connector: kafka
    brokers: {brokers}
    group: {topic}
    topics:
      {topic}:
        tenant: musterhaus
        kind: bestellung
        lane: = doc.Belegnummer
        version: = local_time(doc.Geaendert, "Europe/Berlin")
destinations:
  hellotext: {{connector: hellotext, token: env:HELLOTEXT_TOKEN, url: "{url}"}}
journal: {{path: "{path}/journal.db", min_free: 0, ballast: 0}}
private: {{port: 0}}
fields: {{bestellung: bestellung.yaml}}
tables: {{wege: wege.csv}}
include: [bestellungen.yaml]
"""
RULES = """
rules:
  bestellt:
    for: bestellung
    at: = local_time(bestellung.Auftragsdatum, "Europe/Berlin")
    give:
      action: order.placed
      person: &person
        email?: = email(bestellung.Kunde.EMail)
        phone?: = phone(bestellung.Kunde.Tel, "DE")
        first_name?: = nonblank(bestellung.Kunde.Vorname)
        last_name?: = nonblank(bestellung.Kunde.Nachname)
      object_parameters: &bestellung
        reference: = bestellung.Belegnummer
        source: erp
        delivery: = lookup(vars.wege, bestellung.Vertriebsweg).delivery
        items:
          each: = bestellung.Positionen
          as: zeile
          when: = not starts_with(zeile.Artikel, "V-")
          give:
            product: {reference: = zeile.Artikel, source: erp, name: = zeile.Text}
            quantity: = zeile.Menge
            price: {amount: "= number(zeile.Einzelpreis, ',')", currency: = bestellung.Waehrung}
      amount: = number(bestellung.Summe, ",")
      currency: = bestellung.Waehrung
  bezahlt:
    for: bestellung
    when: = bestellung.Bezahlt
    at: = local_time(bestellung.Bezahldatum, "Europe/Berlin")
    give:
      action: order.confirmed
      person: *person
      object_parameters: *bestellung
      amount: = number(bestellung.Summe, ",")
      currency: = bestellung.Waehrung
"""
CASE = """
received_at: 2026-11-20T14:10:00Z
deliveries:
  - {topic: TOPIC, value: bestellung.json, key: AB-2026-0815, with: {Bezahlt: false, Geaendert: "2026-11-20T14:02:11"}}
  - {topic: TOPIC, value: bestellung.json, key: AB-2026-0815}
"""
EVENT = {
    "action": "order.placed",
    "object_parameters": {
        "reference": "AB-2026-0815",
        "source": "erp",
        "delivery": "deliver",
        "items": [
            {
                "product": {"reference": "A-77", "source": "erp", "name": "Kessel, Stahl"},
                "quantity": 2,
                "price": {"amount": 600, "currency": "EUR"},
            }
        ],
    },
    "amount": 1234.5,
    "currency": "EUR",
}


@pytest.fixture
def desk(tmp_path, monkeypatch, environ, topic, sandbox):
    """The user's folder, and the command as it is typed there."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "samples").mkdir()
    for number, sample in enumerate(SAMPLES):
        (tmp_path / "samples" / f"{number}.json").write_text(json.dumps(sample))

    async def typed(*words):
        run = CliRunner().invoke
        told = await asyncio.to_thread(run, command, [str(word) for word in words], catch_exceptions=False)
        return told.exit_code, told.output

    return typed


async def _described(desk, folder, *, brokers, topic, url):
    """Fields inferred, rules and table written, all of it checked."""
    _, fields = await desk("schema", "infer", "samples/0.json", "samples/1.json")
    (folder / "bestellung.yaml").write_text(fields)
    (folder / "bestellungen.yaml").write_text(RULES)
    (folder / "wege.csv").write_text("weg;delivery;name\nW1;deliver;Web\nT9;collect;Theke\n")
    (folder / "bridge.yaml").write_text(CONFIG.format(brokers=json.dumps(brokers), topic=topic, url=url, path=folder))
    assert "rule bezahlt -> order.confirmed" in (await desk("check"))[1]


def _case(folder, topic):
    case = folder / "cases" / "bezahlt"
    case.mkdir(parents=True)
    (case / "case.yaml").write_text(CASE.replace("TOPIC", topic))
    (case / "bestellung.json").write_text(json.dumps(SAMPLES[0]))


def _now(document, number):
    """As the ERP would write it this minute, by the clock on its wall."""
    clock = datetime.now(UTC).astimezone(ZoneInfo("Europe/Berlin")) - timedelta(minutes=1)
    at = clock.replace(tzinfo=None).isoformat(timespec="seconds")
    return {**document, "Belegnummer": number, "Geaendert": at, "Auftragsdatum": at, "Bezahldatum": at}


async def test_a_foreign_order_is_mapped_tested_previewed_sent_and_a_change_planned(
    desk, cluster, topic, running, sandbox, tmp_path
):
    await create_topic(cluster.bootstrap, topic)
    await _described(desk, tmp_path, brokers=list(cluster.bootstrap), topic=topic, url=sandbox)

    _case(tmp_path, topic)
    assert (0, True) == (
        (await desk("test", "cases", "--update"))[0],
        (tmp_path / "cases/bezahlt/expected.json").exists(),
    )
    assert 0 == (await desk("test", "cases", "--shuffle"))[0]

    code, told = await desk("preview", "samples/1.json", "--at", "2026-11-20T15:00:00Z")
    assert 0 == code
    assert "bezahlt: not true (bestellung.Bezahlt is not true)" in told
    assert '"phone[mobile]": "+493023125001"' in told
    assert '"amount": 7.90' in told

    number = "AB-2026-0815"
    await produce(cluster.bootstrap, topic, [(number, json.dumps(_now(SAMPLES[0], number)).encode())])
    async with running(read_file(tmp_path / "bridge.yaml")) as bridge:

        async def sent():
            return len(await bridge.actions()) == 2

        await bridge.until(sent, seconds=60)
        placed = next(e["body"] for e in await bridge.received() if e["body"]["action"] == "order.placed")
        assert EVENT == {name: placed[name] for name in EVENT}
        (tmp_path / "more.yaml").write_text(RULES.replace('number(bestellung.Summe, ",")', "number('1')"))
        text = (tmp_path / "bridge.yaml").read_text().replace("bestellungen.yaml", "more.yaml")
        (tmp_path / "new.yaml").write_text(text)
        code, told = await desk("plan", "--config", "new.yaml", "--since", "1d")
    assert 0 == code
    assert "amount: 1234.50 -> 1" in told
    assert "would be sent" not in told
