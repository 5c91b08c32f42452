"""Orders as a shop posts them: signed, each with an id, a name, a buyer and a visit of its own."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from bridge import chance
from bridge.contract import Signs

_ID_BITS = 40
"""Bits of the first number. It has at most 13 digits, as the ids of a shop have."""
_VISITS = ("hello_session", "_hello_session", "__hello_session")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One delivery, whole."""

    id: str
    body: bytes
    headers: Mapping[str, str]


def orders(example: bytes, *, signer: Signs, topic: str) -> Iterator[Order]:
    """New orders without end. In each, what tells the example from other orders is a number that no other has."""
    marks = tuple(_marks(msgspec.json.decode(example)))
    for number in itertools.count(10**12 + chance.number(_ID_BITS)):
        digits = str(number)
        body = example
        for mark, form in marks:
            body = body.replace(mark, form % digits.encode())
        yield Order(id=digits, body=body, headers=signer.sign(body, topic=topic, tenant=None, delivery_id=digits))


def _marks(order: Mapping[str, object]) -> Iterator[tuple[bytes, bytes]]:
    """What is replaced in the example, and the form of what stands there instead."""
    yield str(order["id"]).encode(), b"%b"
    yield f'"{order["name"]}"'.encode(), b'"#%b"'
    yield str(order["email"]).encode(), b"buyer%b@example.com"
    notes = order.get("note_attributes")
    for note in notes if isinstance(notes, list) else ():
        if note["name"] in _VISITS:
            yield str(note["value"]).encode(), b"5f0c7f3c-0000-4000-8000-%b"
