"""Shapes of WooCommerce's documents, REST API v3. Times without a zone are text; those that end in _gmt are UTC."""

from collections.abc import Mapping
from typing import Final

from bridge.contract import Fields

_NAMES: Final = (
    "first_name last_name company address_1 address_2 city state postcode country email phone"  # of an address
)
_ADDRESS: Final[Fields] = dict.fromkeys(_NAMES.split(), "text")
_META: Final[list[Fields]] = [{"id": "integer", "key": "text", "value": "any"}]

KINDS: Final[Mapping[str, Fields]] = {
    "order": {
        "id": "integer",
        "parent_id": "integer",
        "number": "text",
        "status": "text",
        "currency": "text",
        "prices_include_tax": "boolean",
        "date_created_gmt": "text",
        "date_modified_gmt": "text",
        "date_paid_gmt": "text",
        "date_completed_gmt": "text",
        "discount_total": "money",
        "discount_tax": "money",
        "shipping_total": "money",
        "shipping_tax": "money",
        "cart_tax": "money",
        "total": "money",
        "total_tax": "money",
        "customer_id": "integer",
        "billing": _ADDRESS,
        "shipping": _ADDRESS,
        "payment_method": "text",
        "payment_method_title": "text",
        "transaction_id": "text",
        "created_via": "text",
        "customer_note": "text",
        "needs_payment": "boolean",
        "needs_processing": "boolean",
        "meta_data": _META,
        "line_items": [
            {
                "id": "integer",
                "name": "text",
                "product_id": "integer",
                "variation_id": "integer",
                "quantity": "number",
                "subtotal": "money",
                "subtotal_tax": "money",
                "total": "money",
                "total_tax": "money",
                "sku": "text",
                "price": "number",
                "meta_data": _META,
            }
        ],
        "shipping_lines": [
            {"id": "integer", "method_id": "text", "method_title": "text", "total": "money", "total_tax": "money"}
        ],
        "fee_lines": [{"id": "integer", "name": "text", "total": "money", "total_tax": "money"}],
        "coupon_lines": [{"id": "integer", "code": "text", "discount": "money", "discount_tax": "money"}],
        "refunds": [{"id": "integer", "reason": "text", "total": "money"}],
    },
    "order_deletion": {"id": "integer"},
}
"""The kinds with their fields. Plugins add more: declare those that your rules read under `fields:`."""
