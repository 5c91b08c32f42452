"""The example orders are whole: Shopify's fields are there, the sums are right, and a page says what each gives."""

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "connectors/shopify/examples"
PAGE = (ROOT / "docs/shopify.md").read_text()
FIELDS = json.loads((EXAMPLES / "order.json").read_text()).keys()
ORDERS = sorted((EXAMPLES / "orders").glob("*.json"))
MAY_BE_ABSENT = {
    *("billing_address", "shipping_address", "customer"),
    *("email", "contact_email", "phone", "order_status_url"),
}
"""For their reason see the contract: orders of the till, of digital goods, and contact data that an app may not see."""


@pytest.fixture(params=ORDERS, ids=lambda path: path.stem)
def order(request):
    return json.loads(request.param.read_text())


def amount(both, side):
    return Decimal(both[side]["amount"]) if both else Decimal(0)


def test_an_example_has_the_fields_of_an_order(order):
    assert set() == order.keys() - FIELDS
    assert MAY_BE_ABSENT >= FIELDS - order.keys()


def test_the_sums_of_an_example_are_right(order):
    side = "shop_money"
    if any(line["current_quantity"] < line["quantity"] for line in order["line_items"]) and not order["refunds"]:
        return  # edited: its totals are as ordered, its lines as they are
    lines = sum(Decimal(line["price"]) * line["quantity"] for line in order["line_items"])
    off = sum(Decimal(part["amount"]) for line in order["line_items"] for part in line["discount_allocations"])
    assert Decimal(order["total_line_items_price"]) == lines
    assert Decimal(order["subtotal_price"]) == lines - off
    extra = amount(order["total_shipping_price_set"], side) + Decimal(order["total_tip_received"])
    extra += amount(order["original_total_duties_set"], side)
    tax = Decimal(0) if order["taxes_included"] else Decimal(order["total_tax"])
    assert Decimal(order["total_price"]) == lines - off + extra + tax
    assert Decimal(order["total_price"]) == amount(order["total_price_set"], side)


def test_nobody_real_is_in_an_example(order):
    text = json.dumps(order)
    assert {"ada.sample@example.com"} >= set(re.findall(r"[\w.+-]+@[\w.-]+", text))
    assert {"+441632960001"} >= set(re.findall(r"\+\d{9,}", text))


ROWS = re.findall(r"^\| \[([\w-]+)\]\(\.\./connectors/shopify/examples/(cases[\w-]*)/([\w-]+)/case\.yaml\) \| .+ \| .+ \|$", PAGE, re.MULTILINE)  # fmt: skip  # noqa: E501
CASES = {(path.parent.parent.name, path.parent.name) for path in EXAMPLES.glob("cases*/*/case.yaml")}


def test_every_case_has_its_line_in_the_page_and_every_line_its_case():
    assert sorted(CASES) == sorted((folder, case) for _, folder, case in ROWS)
    assert [] == [name for name, _, case in ROWS if name != case]


def test_every_example_order_is_in_a_case():
    told = " ".join(path.read_text() for path in EXAMPLES.glob("cases*/*/case.yaml"))
    assert [] == [path.name for path in ORDERS if f"orders/{path.name}" not in told]
