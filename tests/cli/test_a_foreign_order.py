"""A new user's order, from a German ERP: field names, decimal commas and local times of its own, mapped and tested."""

import json

import pytest
from click.testing import CliRunner

from bridge.cli import command

CONFIG = """
sources:
  erp:
    connector: kafka
    brokers: [127.0.0.1:9092]
    group: attribution-bridge
    topics:
      auftraege: {tenant: laden.example, kind: auftrag, lane: = doc.Auftragsnummer}
    kinds:
      auftrag:
        Auftragsnummer: text
        Angelegt: text
        Kunde: {Mail: text, Telefon: text, Land: text}
        Waehrung: text
        Summe: text
        Positionen: [{Artikel: text, Bezeichnung: text, Menge: text, Einzelpreis: text}]
destinations:
  hellotext: {connector: hellotext, token: env:HELLOTEXT_TOKEN}
vars:
  Laender: {Deutschland: DE, Oesterreich: AT}
rules:
  bestellt:
    for: auftrag
    at: = local_time(auftrag.Angelegt, "Europe/Berlin")
    give:
      action: order.placed
      person?:
        email?: = email(auftrag.Kunde.Mail)
        phone?: = phone(auftrag.Kunde.Telefon, lookup(vars.Laender, auftrag.Kunde.Land))
      object_parameters:
        reference: = auftrag.Auftragsnummer
        source: erp
        delivery: deliver
        items:
          each: = auftrag.Positionen
          as: position
          give:
            product: {reference: = position.Artikel, source: erp, name: = position.Bezeichnung}
            quantity: = integer(position.Menge)
            price: {amount: '= number(position.Einzelpreis, ",")', currency: = auftrag.Waehrung}
      amount: = number(auftrag.Summe, ",")
      currency: = auftrag.Waehrung
"""
CASE = """
received_at: 2026-07-02T12:00:00Z
deliveries:
  - {topic: auftraege, key: A-77, value: auftrag.json}
"""
ORDER = {
    "Auftragsnummer": "A-77",
    "Angelegt": "2026-07-01T09:30:00",
    "Kunde": {"Mail": "ada.sample@example.com", "Telefon": "030 901820", "Land": "Deutschland"},
    "Waehrung": "EUR",
    "Summe": "1234,50",
    "Positionen": [{"Artikel": "7", "Bezeichnung": "Kessel", "Menge": "1", "Einzelpreis": "1234,50"}],
}


@pytest.fixture
def typed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bridge.yaml").write_text(CONFIG)
    folder = tmp_path / "tests" / "bestellt"
    folder.mkdir(parents=True)
    (folder / "case.yaml").write_text(CASE)
    (folder / "auftrag.json").write_text(json.dumps(ORDER))
    return lambda *words: CliRunner().invoke(command, list(words), catch_exceptions=False)


def test_it_is_told_exactly(typed, tmp_path):
    told = typed("test", "--update")
    assert 0 == told.exit_code, told.output
    text = (tmp_path / "tests" / "bestellt" / "expected.json").read_text()
    assert '"amount": 1234.50' in text
    (verdict,) = json.loads(text)[0]["verdicts"]
    assert ("bestellt", "sent") == (verdict["rule"], verdict["verdict"])
    person, event = (request["body"] for request in verdict["requests"])
    assert {"email[primary]": "ada.sample@example.com", "phone[mobile]": "+4930901820"} == person
    assert 1782891000 == event["tracked_at"]  # half past nine in Berlin is half past seven in UTC
    assert 0 == typed("test").exit_code
    assert 0 == typed("test", "--shuffle").exit_code


def test_it_is_previewed(typed):
    told = typed("preview", "tests/bestellt/auftrag.json", "--topic", "auftraege", "--at", "2026-07-02T12:00:00Z")
    assert 0 == told.exit_code, told.output
    assert "bestellt order.placed: would be sent" in told.output
    assert '"amount": 1234.50' in told.output


def test_what_is_missing_is_named_by_the_test(typed, tmp_path):
    path = tmp_path / "tests" / "bestellt" / "auftrag.json"
    path.write_text(json.dumps(ORDER | {"Summe": None}))
    assert "auftrag.Summe is null" in typed("test").output


def test_a_topic_that_is_not_read_is_asked_wrongly_and_unsaid_it_is_the_first(typed):
    told = typed("preview", "tests/bestellt/auftrag.json", "--topic", "nope")
    assert (2, True) == (told.exit_code, "it reads auftraege" in told.output)
    assert 0 == typed("preview", "tests/bestellt/auftrag.json", "--at", "2026-07-02T12:00:00Z").exit_code
