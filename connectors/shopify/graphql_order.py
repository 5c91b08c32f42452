"""Build an order from GraphQL in the shape of the webhook's (docs/contracts/shopify.md 8, the table of the two). Pure.

It is for apps that may not use REST. Fields without a counterpart are absent: `client_details`, `token`,
`refund_line_items`, the amounts of discount codes, and `shipment_status` (so `delivered` is not seen in this way).
"""

from collections.abc import Mapping, Sequence

from bridge.contract import Json
from bridge.errand import Errand, Note
from connectors.shopify.admin_api import Asking

_LINES = 100  # lines of one order
_REFUNDS = 20  # refunds
_TRANSACTIONS = 10  # transactions of one refund
_FULFILLMENTS = 20  # fulfillments

_ORDER = f"""query OrderById($id: ID!, $lines: Int!, $after: String) {{
  order(id: $id) {{ id legacyResourceId name number confirmationNumber test createdAt processedAt updatedAt cancelledAt
    cancelReason closedAt currencyCode presentmentCurrencyCode email phone customerLocale clientIp note tags sourceName
    sourceIdentifier cartToken checkoutToken displayFinancialStatus displayFulfillmentStatus taxesIncluded discountCodes
    paymentGatewayNames customAttributes {{ key value }} app {{ id }}
    totalPriceSet {{ ...M }} subtotalPriceSet {{ ...M }} totalTaxSet {{ ...M }} totalDiscountsSet {{ ...M }}
    totalShippingPriceSet {{ ...M }} currentTotalPriceSet {{ ...M }}
    customer {{ id legacyResourceId firstName lastName state tags defaultEmailAddress {{ emailAddress }}
      defaultPhoneNumber {{ phoneNumber }} }}
    billingAddress {{ ...A }} shippingAddress {{ ...A }}
    customerJourneySummary {{ ready lastVisit {{ landingPage referrerUrl source occurredAt
      utmParameters {{ source medium campaign content term }} }} }}
    lineItems(first: $lines, after: $after) {{ pageInfo {{ hasNextPage endCursor }}
      nodes {{ id title variantTitle name sku vendor quantity currentQuantity isGiftCard requiresShipping taxable
        product {{ legacyResourceId }} variant {{ legacyResourceId }} customAttributes {{ key value }}
        originalUnitPriceSet {{ ...M }} totalDiscountSet {{ ...M }}
        discountAllocations {{ allocatedAmountSet {{ ...M }} discountApplication {{ index }} }} }} }}
    refunds(first: {_REFUNDS}) {{ id legacyResourceId createdAt note totalRefundedSet {{ ...M }}
      transactions(first: {_TRANSACTIONS}) {{ nodes {{ kind status amountSet {{ ...M }} processedAt }} }} }}
    fulfillments(first: {_FULFILLMENTS}) {{ legacyResourceId name status createdAt updatedAt
      trackingInfo {{ company number url }} }} }} }}
fragment M on MoneyBag {{ shopMoney {{ amount currencyCode }} presentmentMoney {{ amount currencyCode }} }}
fragment A on MailingAddress {{ firstName lastName name company address1 address2 city province provinceCode country
  countryCodeV2 zip phone }}"""

_FULFILLMENT: Mapping[str, str | None] = {
    "UNFULFILLED": None,
    "PARTIALLY_FULFILLED": "partial",
    "FULFILLED": "fulfilled",
    "RESTOCKED": "restocked",
}
"""The word of webhooks for each state. Other states have none."""
_PLAIN: Mapping[str, str] = {
    "name": "name",
    "number": "number",
    "confirmation_number": "confirmationNumber",
    "test": "test",
    "created_at": "createdAt",
    "processed_at": "processedAt",
    "updated_at": "updatedAt",
    "cancelled_at": "cancelledAt",
    "closed_at": "closedAt",
    "currency": "currencyCode",
    "presentment_currency": "presentmentCurrencyCode",
    "email": "email",
    "contact_email": "email",
    "phone": "phone",
    "customer_locale": "customerLocale",
    "browser_ip": "clientIp",
    "note": "note",
    "source_name": "sourceName",
    "source_identifier": "sourceIdentifier",
    "cart_token": "cartToken",
    "checkout_token": "checkoutToken",
    "taxes_included": "taxesIncluded",
    "payment_gateway_names": "paymentGatewayNames",
}
_ADDRESS: Mapping[str, str] = {
    "first_name": "firstName",
    "last_name": "lastName",
    "name": "name",
    "company": "company",
    "address1": "address1",
    "address2": "address2",
    "city": "city",
    "province": "province",
    "province_code": "provinceCode",
    "country": "country",
    "country_code": "countryCodeV2",
    "zip": "zip",
    "phone": "phone",
}
_LINE: Mapping[str, str] = {
    "title": "title",
    "variant_title": "variantTitle",
    "name": "name",
    "sku": "sku",
    "vendor": "vendor",
    "quantity": "quantity",
    "current_quantity": "currentQuantity",
    "gift_card": "isGiftCard",
    "requires_shipping": "requiresShipping",
    "taxable": "taxable",
}
_MONEY: Mapping[str, str] = {
    "total_price": "totalPriceSet",
    "subtotal_price": "subtotalPriceSet",
    "total_tax": "totalTaxSet",
    "total_discounts": "totalDiscountsSet",
    "current_total_price": "currentTotalPriceSet",
}


def fetched(asking: Asking, gid: str) -> Errand[Json | None]:
    """Fetch the whole order, with every page of its lines. None: it is gone meanwhile, or cannot be read whole."""
    lines: list[Json] = []
    after: str | None = None
    while True:
        answer = yield from asking.graphql(_ORDER, {"id": gid, "lines": _LINES, "after": after})
        node = answer.data.get("order")
        if node is None:
            return None
        if hidden := _hidden(node):
            yield Note(
                text=f"shop {asking.shop}: the {hidden} of order {node['legacyResourceId']} are not given: not read"
            )
            return None
        lines += node["lineItems"]["nodes"]
        page = node["lineItems"]["pageInfo"]
        if not page["hasNextPage"]:
            break
        after = page["endCursor"]
    if cut := _cut_off(node):
        yield Note(
            text=f"shop {asking.shop}: order {node['legacyResourceId']} has more {cut} than a query gives: not read"
        )
        return None
    return order(node, lines)


def _hidden(node: Json) -> str:
    """The name of a list that Shopify could not give, or not to this app. It is null, while an order without any has an
    empty list."""
    if (node.get("lineItems") or {}).get("nodes") is None or None in node["lineItems"]["nodes"]:
        return "lines"
    refunds = node.get("refunds")
    if refunds is None or any(
        not refund or (refund.get("transactions") or {}).get("nodes") is None for refund in refunds
    ):
        return "refunds"
    return ""


def _cut_off(node: Json) -> str:
    """The name of a list that is full, so that there may be more. A cut-off order is never mapped."""
    if len(node.get("refunds") or ()) >= _REFUNDS:
        return "refunds"
    if any(len(refund["transactions"]["nodes"]) >= _TRANSACTIONS for refund in node.get("refunds") or ()):
        return "transactions"
    return "fulfillments" if len(node.get("fulfillments") or ()) >= _FULFILLMENTS else ""


def order(node: Mapping[str, Json], lines: Sequence[Json]) -> dict[str, Json]:
    """An order's node and all its lines, as the webhook would have them."""
    made: dict[str, Json] = {name: node.get(other) for name, other in _PLAIN.items()}
    number = int(node["legacyResourceId"])
    visit = (node.get("customerJourneySummary") or {}).get("lastVisit") or {}
    for name, other in _MONEY.items():
        made |= _money(name, node.get(other))
    made |= {
        "id": number,
        "admin_graphql_api_id": node["id"],
        "order_number": node.get("number"),
        "app_id": _number(node.get("app")),
        "financial_status": _lower(node.get("displayFinancialStatus")),
        "fulfillment_status": _FULFILLMENT.get(node.get("displayFulfillmentStatus") or ""),
        "cancel_reason": _lower(node.get("cancelReason")),
        "tags": ", ".join(node.get("tags") or ()),
        "note_attributes": _attributes(node),
        "discount_codes": [{"code": code} for code in node.get("discountCodes") or ()],
        "landing_site": visit.get("landingPage"),
        "referring_site": visit.get("referrerUrl"),
        "total_shipping_price_set": _set(node.get("totalShippingPriceSet")),
        "customer": _customer(node.get("customer")),
        "billing_address": _address(node.get("billingAddress")),
        "shipping_address": _address(node.get("shippingAddress")),
        "line_items": [_line(line) for line in lines],
        "refunds": [_refund(refund, number) for refund in node.get("refunds") or ()],
        "fulfillments": [_fulfillment(parcel, number) for parcel in node.get("fulfillments") or ()],
    }
    return made


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _number(node: Mapping[str, Json] | None) -> int | None:
    """The number at the end of a gid."""
    last = str((node or {}).get("id") or "").rpartition("/")[2]
    return int(last) if last.isdigit() else None


def _legacy(node: Mapping[str, Json] | None) -> int | None:
    return None if node is None else int(node["legacyResourceId"])


def _set(bag: Mapping[str, Json] | None) -> Json:
    if bag is None:
        return None
    return {
        f"{side}_money": {"amount": bag[f"{side}Money"]["amount"], "currency_code": bag[f"{side}Money"]["currencyCode"]}
        for side in ("shop", "presentment")
    }


def _money(name: str, bag: Mapping[str, Json] | None) -> dict[str, Json]:
    """The plain field in the shop's money, and its set."""
    found = _set(bag)
    return {name: None if found is None else found["shop_money"]["amount"], f"{name}_set": found}


def _attributes(node: Mapping[str, Json]) -> list[Json]:
    return [{"name": one["key"], "value": one["value"]} for one in node.get("customAttributes") or ()]


def _address(node: Mapping[str, Json] | None) -> Json:
    return None if node is None else {name: node.get(other) for name, other in _ADDRESS.items()}


def _customer(node: Mapping[str, Json] | None) -> Json:
    if node is None:
        return None
    return {
        "id": _legacy(node),
        "admin_graphql_api_id": node.get("id"),
        "email": (node.get("defaultEmailAddress") or {}).get("emailAddress"),
        "phone": (node.get("defaultPhoneNumber") or {}).get("phoneNumber"),
        "first_name": node.get("firstName"),
        "last_name": node.get("lastName"),
        "state": _lower(node.get("state")),
    }


def _line(node: Mapping[str, Json]) -> dict[str, Json]:
    return {
        "id": _number(node),
        "admin_graphql_api_id": node.get("id"),
        **{name: node.get(other) for name, other in _LINE.items()},
        "product_id": _legacy(node.get("product")),
        "variant_id": _legacy(node.get("variant")),
        "properties": _attributes(node),
        **_money("price", node.get("originalUnitPriceSet")),
        **_money("total_discount", node.get("totalDiscountSet")),
        "discount_allocations": [
            {
                **_allocated(one.get("allocatedAmountSet")),
                "discount_application_index": (one.get("discountApplication") or {}).get("index"),
            }
            for one in node.get("discountAllocations") or ()
        ],
    }


def _allocated(bag: Mapping[str, Json] | None) -> dict[str, Json]:
    return _money("amount", bag)


def _refund(node: Mapping[str, Json], number: int) -> dict[str, Json]:
    return {
        "id": _legacy(node),
        "order_id": number,
        "admin_graphql_api_id": node.get("id"),
        "created_at": node.get("createdAt"),
        "note": node.get("note"),
        "transactions": [_transaction(one, number) for one in node["transactions"]["nodes"]],
    }


def _transaction(node: Mapping[str, Json], number: int) -> dict[str, Json]:
    """A transaction as in the webhook, where it is in its own currency, usually the buyer's."""
    paid = (node.get("amountSet") or {}).get("presentmentMoney") or {}
    return {
        "order_id": number,
        "kind": _lower(node.get("kind")),
        "status": _lower(node.get("status")),
        "amount": paid.get("amount"),
        "currency": paid.get("currencyCode"),
        "processed_at": node.get("processedAt"),
    }


def _fulfillment(node: Mapping[str, Json], number: int) -> dict[str, Json]:
    tracking = node.get("trackingInfo") or []
    first = tracking[0] if tracking else {}
    return {
        "id": _legacy(node),
        "order_id": number,
        "name": node.get("name"),
        "status": _lower(node.get("status")),
        "created_at": node.get("createdAt"),
        "updated_at": node.get("updatedAt"),
        "tracking_company": first.get("company"),
        "tracking_number": first.get("number"),
        "tracking_url": first.get("url"),
        "tracking_numbers": [one["number"] for one in tracking if one.get("number")],
        "tracking_urls": [one["url"] for one in tracking if one.get("url")],
    }
