"""Rules and documents for the tests of the mapping."""

import json
from datetime import UTC, datetime
from textwrap import dedent

import msgspec

from bridge.contract import Envelope, Event, EventShape
from bridge.errors import ConfigurationError
from bridge.mapping.expressions import Names, compile_expression
from bridge.mapping.loader import load
from bridge.mapping.rules import Written, compile_rules
from bridge.mapping.values import exact

RECEIVED = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)

_PAIRS = [{"name": "text", "value": "text"}]
_ADDRESS = {"phone": "text", "country_code": "text"}
ORDER = {
    "id": "integer",
    "name": "text",
    "email": "text",
    "phone": "text",
    "total_price": "money",
    "currency": "text",
    "rate": "number",
    "test": "boolean",
    "created_at": "time",
    "updated_at": "time",
    "cancelled_at": "time",
    "landing_site": "text",
    "tags": "text",
    "note_attributes": _PAIRS,
    "customer": {"id": "integer", "email": "text", "phone": "text", "default_address": _ADDRESS},
    "billing_address": _ADDRESS,
    "line_items": [
        {"id": "integer", "name": "text", "price": "money", "quantity": "integer", "sku": "text", "properties": _PAIRS}
    ],
    "refunds": [
        {
            "id": "integer",
            "created_at": "time",
            "return": {"id": "integer"},
            "transactions": [{"kind": "text", "status": "text", "amount": "money"}],
        }
    ],
    "codes": ["text"],
    "extra": "any",
}
SHAPE = EventShape(
    fields={
        "action": "text",
        "person": {"email": "text", "phone": "text"},
        "session": "text",
        "amount": "money",
        "currency": "text",
        "count": "integer",
        "flag": "boolean",
        "when": "time",
        "note": "text",
        "items": [{"name": "text", "quantity": "integer", "price": {"amount": "money", "currency": "text"}}],
        "names": ["text"],
        "data": "any",
    },
    required=frozenset(("action",)),
    name="action",
    choices={"action": frozenset(("order.placed", "order.confirmed", "order.cancelled", "refund.received"))},
)

DOCUMENT = {
    "id": 6042,
    "name": "#1042",
    "email": "Ada@Example.com ",
    "total_price": "99.00",
    "currency": "EUR",
    "rate": 1.10,
    "test": False,
    "created_at": "2026-11-20T14:05:33+01:00",
    "updated_at": "2026-11-20T14:05:36+01:00",
    "customer": None,
    "note_attributes": [{"name": "gift", "value": "yes"}],
    "line_items": [
        {"id": 1, "name": "Shirt", "price": "40.00", "quantity": 2, "sku": "S-1"},
        {"id": 2, "name": "Wrap", "price": "5.00", "quantity": 0, "sku": None},
    ],
    "refunds": [],
    "codes": ["A", "B"],
    "extra": {"deep": [1, "2", None]},
}


def written(text, file="bridge.yaml"):
    document = load(dedent(text), file)
    return [
        Written(name=name, body=body, where=lambda path, name=name: (file, *document.where([name, *path])))
        for name, body in document.value.items()
    ]


def rules(text, **more):
    """The rules in this YAML, each under its name."""
    given = {"kinds": {"order": ORDER}, "topics": {"orders/create": "order"}, "destinations": {"api": SHAPE}, **more}
    return compile_rules(written(text), **given)


def problems(text, **more):
    """What is wrong with these rules: path and message of each."""
    try:
        rules(text, **more)
    except ConfigurationError as error:
        return [(problem.path, problem.message) for problem in error.problems]
    return []


def envelope(document=None, **changed):
    raw = document if isinstance(document, bytes) else json.dumps(DOCUMENT if document is None else document).encode()
    told = {"source": "shop", "id": "1", "topic": "orders/create", "kind": "order", "tenant": "a-shop", "lane": "6042"}
    return Envelope(**{**told, "received_at": RECEIVED, "raw": raw, **changed})


def order(**changed):
    return {**DOCUMENT, **changed}


def applied(text, document=None, *, stale=False, envelope_=None, **more):
    return rules(text, **more).apply(envelope_ or envelope(document), "api", stale=stale)


def one(give, document=None, extra="", **more):
    """What a rule with this `give` does with a document."""
    lines = dedent(give).strip().replace("\n", "\n    ")
    head = f"placed:\n  for: order\n  at: = order.created_at\n{extra}  give:\n    action: order.placed\n    {lines}\n"
    (step,) = applied(head, document, **more)
    return step


def given(give, document=None, **more):
    step = one(give, document, **more)
    assert isinstance(step, Event), step
    return {key: value for key, value in step.give.items() if key != "action"}


def names(shape=None, **others):
    return Names(shapes={"order": ORDER if shape is None else shape, "doc": "any", **others}, sure=frozenset({"order"}))


def value(expression, document=None, **others):
    """An expression's value, by its meaning and by its Python: both must agree."""
    found = compile_expression(expression, names())
    return found.evaluate({"order": decoded(document), "doc": decoded(document), **others})


def decoded(document=None):
    raw = json.dumps(DOCUMENT if document is None else document)
    return msgspec.json.Decoder(float_hook=exact).decode(raw)
