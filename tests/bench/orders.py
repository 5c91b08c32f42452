"""Whole orders, as Shopify writes them, each with an id, a name, a buyer and a visit of its own."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

SHOP = "example.myshopify.com"
SECRET = "bench"
_SESSION = b"5f0c7f3c-0000-4000-8000-000000001042"
EXAMPLE = Path(__file__).parents[2] / "connectors" / "shopify" / "examples" / "order.json"


def order() -> bytes:
    """The contract's whole order, without the spaces that are there for people."""
    return json.dumps(json.loads(EXAMPLE.read_text()), separators=(",", ":")).encode()


def orders(count: int) -> Iterator[tuple[int, bytes]]:
    """Numbers that no other run has had, and documents with them."""
    first = time.time_ns() // 1_000_000 * 1_000_000
    whole = order()
    for number in range(first, first + count):
        body = whole.replace(b"6042000000001", str(number).encode()).replace(b"#1042", b"#%d" % number)
        body = body.replace(b"ada.sample", b"ada%d" % number)
        yield number, body.replace(_SESSION, b"%036d" % number)
