"""Persons in documents are replaced, and all else stays."""

import json

import msgspec
import pytest

from bridge.dry_run.persons import without_persons
from tests.processes import ROOT

CANARIES = ("ada.sample@example.com", "Ada", "4915112345678", "Sample", "198.51.100.77")


def test_the_same_person_is_the_same_throughout():
    before = {
        "email": "Tweety@bird.example",
        "contact": {"text": "write to tweety@bird.example or to other@bird.example"},
        "customer": {"id": 77, "phone": "+4915112345678", "name": "Tweety Bird", "first_name": "Tweety"},
        "customer_id": 77,
        "billing": {"name": "Tweety Bird", "city": "Vogelhausen", "country": "DE", "phone": "030 1234567"},
        "browser_ip": "203.0.113.9",
        "line_items": [{"id": 5, "name": "Linen shirt", "price": "36.00", "quantity": 2, "sku": "4915112345678"}],
        "total": 99.5,
        "id": 6042,
        "name": "#1042",
        "test": False,
        "note": None,
    }
    after = without_persons(before)
    text = json.dumps(after).lower()
    assert not [
        word
        for word in ("tweety", "vogelhausen", "0151123", "203.0.113", '1234567"')
        if word in text.replace("4915112345678", "")
    ]
    assert ("person-1@example.com", True) == (
        after["email"],
        "person-1@example.com or to person-2@" in after["contact"]["text"],
    )
    assert after["customer"]["id"] == after["customer_id"] != 77
    assert after["customer"]["phone"].startswith("+49")
    kept = ("line_items", "total", "id", "name", "test", "note")
    assert {name: before[name] for name in kept} == {name: after[name] for name in kept}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "connectors").glob("*/examples/*.json")), ids=lambda path: f"{path.parts[-3]}-{path.stem}"
)
def test_no_person_is_left_in_an_example(path):
    after = without_persons(msgspec.json.decode(path.read_bytes()))
    text = json.dumps(after)
    for canary in ("ada.sample@example.com", "ada@example.com", "4915112345678", "198.51.100.77"):
        assert canary not in text
