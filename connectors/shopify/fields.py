"""The fields of Shopify's documents, for API version 2026-10. Rules are checked against them before traffic comes.

Any field may be null or absent. Money is text in the body and Decimal in rules. Fields that are not described here can
be declared in the configuration.
"""

from collections.abc import Mapping, Sequence

from bridge.contract import Fields, Type


def _each(kind: Type, names: str) -> dict[str, Type | Fields | Sequence[Type | Fields]]:
    return dict.fromkeys(names.split(), kind)


_AMOUNT: Fields = {"amount": "money", "currency_code": "text"}
MONEY_SET: Fields = {"shop_money": _AMOUNT, "presentment_money": _AMOUNT}
"""The same sum in the shop's currency and in the buyer's."""

_UNSETTLED: Fields = {"amount": "money", "currency": "text"}
_PAIRS: Fields = {"name": "text", "value": "text"}
"""Pairs of name and value. Values are text, but apps have put numbers and lists there."""


def _sets(names: str) -> dict[str, Type | Fields | Sequence[Type | Fields]]:
    return dict.fromkeys(names.split(), MONEY_SET)


ADDRESS: Fields = {
    **_each("text", "first_name last_name name company address1 address2 city zip province province_code"),
    **_each("text", "country country_code phone"),
    **_each("number", "latitude longitude"),
}
_CONSENT: Fields = {"state": "text", "opt_in_level": "text", "consent_updated_at": "time"}
CUSTOMER: Fields = {
    **_each("integer", "id"),
    **_each(
        "text", "admin_graphql_api_id email phone first_name last_name state note currency multipass_identifier tags"
    ),
    **_each("boolean", "verified_email tax_exempt"),
    **_each("time", "created_at updated_at"),
    "tax_exemptions": ["text"],
    "default_address": {
        **ADDRESS,
        **_each("integer", "id customer_id"),
        "country_name": "text",
        "default": "boolean",
    },
    "email_marketing_consent": _CONSENT,
    "sms_marketing_consent": _CONSENT,
}
_TAX_LINE: Fields = {
    "title": "text",
    "rate": "number",
    "price": "money",
    "price_set": MONEY_SET,
    "channel_liable": "boolean",
}
_ALLOCATION: Fields = {"amount": "money", "amount_set": MONEY_SET, "discount_application_index": "integer"}
_DUTY: Fields = {
    **_each("integer", "id"),
    **_each("text", "harmonized_system_code country_code_of_origin admin_graphql_api_id"),
    **_each("any", "shop_money presentment_money tax_lines"),
}
LINE_ITEM: Fields = {
    **_each("integer", "id product_id variant_id quantity current_quantity fulfillable_quantity grams"),
    **_each("integer", "sales_line_item_group_id"),
    **_each("text", "admin_graphql_api_id title variant_title name sku vendor fulfillment_status fulfillment_service"),
    **_each("text", "variant_inventory_management"),
    **_each("boolean", "product_exists gift_card requires_shipping taxable"),
    **_each("money", "price total_discount pre_tax_price"),
    **_sets("price_set total_discount_set pre_tax_price_set"),
    "attributed_staffs": "any",
    "tip": "any",
    **_each("text", "tip_payment_gateway tip_payment_method"),
    "properties": [_PAIRS],
    "tax_lines": [_TAX_LINE],
    "duties": [_DUTY],
    "discount_allocations": [_ALLOCATION],
}
_SHIPPING_LINE: Fields = {
    **_each("integer", "id"),
    **_each("text", "title code source carrier_identifier phone requested_fulfillment_service_id"),
    **_each("money", "price discounted_price"),
    **_sets("price_set discounted_price_set current_discounted_price_set"),
    "is_removed": "boolean",
    "tax_lines": [_TAX_LINE],
    "discount_allocations": [_ALLOCATION],
}
_DISCOUNT_APPLICATION: Fields = _each(
    "text",
    "type value value_type target_type target_selection allocation_method code title description",
)
_DISCOUNT_CODE: Fields = {"code": "text", "amount": "money", "type": "text"}
TRANSACTION: Fields = {
    **_each("integer", "id order_id parent_id location_id user_id device_id"),
    **_each("text", "admin_graphql_api_id kind status currency gateway message error_code payment_id source_name"),
    **_each("text", "authorization"),
    **_each("money", "amount amount_rounding"),
    **_each("boolean", "test manual_payment_gateway"),
    **_each("time", "created_at processed_at"),
    **_each("any", "receipt payment_details"),
    "total_unsettled_set": {"shop_money": _UNSETTLED, "presentment_money": _UNSETTLED},
}
REFUND: Fields = {
    **_each("integer", "id order_id user_id"),
    **_each("text", "admin_graphql_api_id note"),
    **_each("time", "created_at processed_at"),
    "restock": "boolean",
    "return": {"id": "integer", "admin_graphql_api_id": "text"},
    "refund_line_items": [
        {
            **_each("integer", "id line_item_id quantity location_id"),
            "restock_type": "text",
            **_each("money", "subtotal total_tax"),
            **_sets("subtotal_set total_tax_set"),
            "line_item": LINE_ITEM,
        }
    ],
    "refund_shipping_lines": ["any"],
    "order_adjustments": [
        {
            **_each("integer", "id order_id refund_id"),
            **_each("text", "kind reason"),
            **_each("money", "amount tax_amount"),
            **_sets("amount_set tax_amount_set"),
        }
    ],
    "transactions": [TRANSACTION],
    "duties": ["any"],
    "total_duties_set": MONEY_SET,
}
FULFILLMENT: Fields = {
    **_each("integer", "id order_id location_id"),
    **_each("text", "admin_graphql_api_id name status shipment_status service email"),
    **_each("text", "tracking_company tracking_number tracking_url"),
    **_each("time", "created_at updated_at"),
    "tracking_numbers": ["text"],
    "tracking_urls": ["text"],
    "origin_address": "any",
    "destination": ADDRESS,
    "line_items": [LINE_ITEM],
    "receipt": "any",
}
FULFILLMENT_EVENT: Fields = {
    **_each("integer", "id order_id fulfillment_id shop_id"),
    **_each("text", "admin_graphql_api_id status message city province country zip address1"),
    **_each("number", "latitude longitude"),
    **_each("time", "happened_at created_at updated_at estimated_delivery_at"),
}
_CURRENT = "subtotal_price total_discounts total_tax total_price"
ORDER: Fields = {
    **_each("integer", "id number order_number app_id location_id user_id merchant_of_record_app_id total_weight"),
    **_each("text", "admin_graphql_api_id name confirmation_number token checkout_token cart_token cancel_reason"),
    **_each("text", "financial_status fulfillment_status currency presentment_currency email contact_email phone"),
    **_each("text", "customer_locale browser_ip landing_site landing_site_ref referring_site source_name"),
    **_each("text", "source_identifier source_url reference device_id merchant_business_entity_id note tags po_number"),
    **_each("text", "order_status_url"),
    **_each("time", "created_at processed_at updated_at closed_at cancelled_at"),
    **_each("boolean", "confirmed test estimated_taxes taxes_included tax_exempt duties_included"),
    **_each("boolean", "buyer_accepts_marketing"),
    **_each("money", f"total_line_items_price total_tip_received total_outstanding {_CURRENT}"),
    **_each("money", " ".join(f"current_{name}" for name in _CURRENT.split())),
    **_sets(" ".join(f"{name}_set" for name in ("total_line_items_price", *_CURRENT.split()))),
    **_sets(" ".join(f"current_{name}_set" for name in _CURRENT.split())),
    **_sets("total_shipping_price_set current_shipping_price_set total_tip_received_set total_outstanding_set"),
    **_sets("current_total_duties_set original_total_duties_set"),
    **_sets("current_total_additional_fees_set original_total_additional_fees_set"),
    **_sets("total_cash_rounding_payment_adjustment_set total_cash_rounding_refund_adjustment_set"),
    "customer": CUSTOMER,
    "billing_address": ADDRESS,
    "shipping_address": ADDRESS,
    "client_details": {
        **_each("text", "accept_language browser_ip session_hash user_agent"),
        **_each("integer", "browser_height browser_width"),
    },
    "note_attributes": [_PAIRS],
    "payment_gateway_names": ["text"],
    "discount_codes": [_DISCOUNT_CODE],
    "discount_applications": [_DISCOUNT_APPLICATION],
    "line_items": [LINE_ITEM],
    "shipping_lines": [_SHIPPING_LINE],
    "tax_lines": [_TAX_LINE],
    "fulfillments": [FULFILLMENT],
    "refunds": [REFUND],
    "returns": ["any"],
    "line_item_groups": ["any"],
    "payment_terms": "any",
    "company": {"id": "integer", "location_id": "integer"},
}
_DELTA: Fields = {"id": "integer", "delta": "integer"}
_DELTAS: Fields = {"additions": [_DELTA], "removals": [_DELTA]}
_CHANGES: Fields = {"additions": ["any"], "removals": ["any"]}
ORDER_EDIT: Fields = {
    "order_edit": {
        **_each("integer", "id order_id app_id user_id"),
        **_each("time", "created_at committed_at"),
        "notify_customer": "boolean",
        "staff_note": "text",
        "line_items": _DELTAS,
        "discounts": {"line_item": _CHANGES},
        "shipping_lines": _CHANGES,
    }
}
CHECKOUT: Fields = {
    **_each("integer", "id"),
    **_each("text", "token cart_token email phone name currency presentment_currency customer_locale note"),
    **_each("text", "landing_site referring_site source_name gateway abandoned_checkout_url"),
    **_each("time", "created_at updated_at completed_at closed_at"),
    **_each("money", "total_line_items_price total_discounts subtotal_price total_tax total_price"),
    **_each("boolean", "taxes_included buyer_accepts_marketing"),
    **_each("any", "line_items shipping_lines tax_lines"),
    "note_attributes": [_PAIRS],
    "discount_codes": [_DISCOUNT_CODE],
    "customer": CUSTOMER,
    "billing_address": ADDRESS,
    "shipping_address": ADDRESS,
}
CART: Fields = {
    **_each("text", "id token note"),
    **_each("time", "created_at updated_at"),
    "line_items": "any",
}
DRAFT_ORDER: Fields = {
    **_each("integer", "id order_id"),
    **_each("text", "admin_graphql_api_id name status email currency note tags invoice_url"),
    **_each("time", "created_at updated_at completed_at invoice_sent_at"),
    **_each("money", "total_price subtotal_price total_tax"),
    **_each("boolean", "taxes_included tax_exempt"),
    **_each("any", "line_items shipping_line applied_discount tax_lines"),
    "note_attributes": [_PAIRS],
    "customer": CUSTOMER,
    "billing_address": ADDRESS,
    "shipping_address": ADDRESS,
}
SHOP: Fields = {
    **_each("integer", "id"),
    **_each("text", "name email domain myshopify_domain currency timezone iana_timezone country_code plan_name"),
    "enabled_presentment_currencies": ["text"],
}
KINDS: Mapping[str, Fields] = {
    "order": ORDER,
    "order_edit": ORDER_EDIT,
    "order_deletion": {"id": "integer"},
    "order_risk": {
        "order_id": "integer",
        **_each("text", "risk_level provider_id provider_title admin_graphql_api_order_id"),
        "created_at": "time",
    },
    "refund": REFUND,
    "transaction": TRANSACTION,
    "fulfillment": FULFILLMENT,
    "fulfillment_event": FULFILLMENT_EVENT,
    "checkout": CHECKOUT,
    "checkout_deletion": {"id": "integer"},
    "cart": CART,
    "draft_order": DRAFT_ORDER,
    "draft_order_deletion": {"id": "integer"},
    "customer": {**CUSTOMER, "addresses": "any"},
    "customer_deletion": {"id": "integer"},
    "customer_merge": _each("text", "admin_graphql_api_customer_kept_id admin_graphql_api_customer_deleted_id"),
    "shop": SHOP,
    "app_scopes": {**_each("text", "id shop_id"), "previous": ["text"], "current": ["text"], "updated_at": "time"},
    "bulk_operation": {
        **_each("text", "admin_graphql_api_id status type error_code"),
        **_each("time", "created_at completed_at"),
    },
    "compliance": {
        "shop_id": "integer",
        "shop_domain": "text",
        "customer": {"id": "integer", "email": "text", "phone": "text"},
        "orders_requested": ["integer"],
        "orders_to_redact": ["integer"],
        "data_request": {"id": "integer"},
    },
}
