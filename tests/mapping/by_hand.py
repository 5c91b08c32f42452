"""The default rules of Shopify orders as one would write them by hand: what the language is measured against."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from urllib.parse import parse_qsl

import msgspec
import phonenumbers

from bridge.contract import Event

decode = msgspec.json.Decoder(float_hook=Decimal).decode
_CONTEXT = Context(prec=90, rounding=ROUND_HALF_UP)
_CENT = Decimal("0.01")


@lru_cache(maxsize=4096)
def _phone(written, country):
    try:
        number = phonenumbers.parse(written, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _session(value):
    if not isinstance(value, str):
        return None
    value = value.strip()
    if not value or len(value) > 128 or value.lower() in ("undefined", "null"):
        return None
    return value if value.isascii() and all(sign.isalnum() or sign in "._~-" for sign in value) else None


def _named(pairs, name):
    return next(
        (
            pair["value"]
            for pair in pairs or ()
            if isinstance(pair, dict) and pair.get("name") == name and pair.get("value") is not None
        ),
        None,
    )


def _query(url, name):
    if not url or name not in url:
        return None
    return dict(parse_qsl(url.partition("#")[0].partition("?")[2])).get(name)


def person(order):
    customer = order.get("customer") or {}
    billing = order.get("billing_address") or {}
    shipping = order.get("shipping_address") or {}
    found = {}
    for email in (order.get("email"), order.get("contact_email"), customer.get("email")):
        if email and "@" in email:
            found["email"] = email.strip().lower()
            break
    if found_phone := _first_phone(order, customer, shipping, billing):
        found["phone"] = found_phone
    named = customer if _name({**customer, "name": None}) else billing
    for key in ("first_name", "last_name"):
        if name := (named.get(key) or "").strip():
            found[key] = name
    return found


def _first_phone(order, customer, shipping, billing):
    """Of the buyer's own numbers the first that is one; that of an address is if the name there is the buyer's."""
    home = customer.get("default_address") or {}
    country = shipping.get("country_code") or billing.get("country_code") or home.get("country_code")
    own, payer = _name(customer), _name(billing)
    candidates = [(order, country), (customer, country), (billing, billing.get("country_code") or country)]
    if own is payer is _name(shipping) is None:
        candidates.append((shipping, country))
    for address, there in ((shipping, country), (home, home.get("country_code") or country)):
        if _name(address) is not None and _name(address) in (own, payer):
            candidates.append((address, there))
    return next((number for each, there in candidates if (number := _phone(each.get("phone"), there))), None)


def _name(of):
    whole = (of.get("name") or "").strip()
    parts = [(of.get(key) or "").strip() for key in ("first_name", "last_name")]
    return (whole or " ".join(filter(None, parts))).lower() or None


def _product(line):
    if line.get("variant_id") or line.get("product_id"):
        return str(line.get("variant_id") or line.get("product_id"))
    sku, title = (line.get("sku") or "").strip(), (line.get("name") or line.get("title") or "").strip()
    return f"sku:{sku}" if sku else f"title:{title.lower()}" if title else str(line["id"])


def session(order):
    notes = order.get("note_attributes")
    for name in ("hello_session", "_hello_session", "__hello_session"):
        if found := _session(_named(notes, name)):
            return found
    for line in order.get("line_items") or ():
        if found := _session(_named(line.get("properties"), "_hello_session")):
            return found
    return _session(_query(order.get("landing_site"), "hello_session"))


def parameters(order):
    items, found = [], {}
    for line in order["line_items"]:
        if line["quantity"] > 0:
            found.setdefault(_product(line), []).append(line)
    for reference, lines in found.items():
        line, quantity = lines[0], sum(each["quantity"] for each in lines)
        product = {"reference": reference, "source": "shopify", "name": line.get("name") or line["title"]}
        if sku := (line.get("sku") or "").strip():
            product["sku"] = sku
        net = sum(Decimal(each["price"]) * each["quantity"] for each in lines)
        net -= sum(Decimal(part["amount"]) for each in lines for part in each.get("discount_allocations") or ())
        price = _CONTEXT.divide(net, quantity)
        amount = price.quantize(_CENT, rounding=ROUND_HALF_UP)
        items.append(
            {"product": product, "quantity": quantity, "price": {"amount": amount, "currency": order["currency"]}}
        )
    found = {"reference": str(order["id"]), "source": "shopify"}
    if (name := order.get("name")) is not None:
        found["name"] = name
    found["delivery"] = "deliver"
    if items:
        found["items"] = items
    return found


def _event(order, action, at):
    give = {"action": action}
    if found := person(order):
        give["person"] = found
    if found := session(order):
        give["session"] = found
    give["object_parameters"] = parameters(order)
    give["amount"] = Decimal(order["total_price"])
    give["currency"] = order["currency"]
    rule = action.partition(".")[2]
    return Event(rule=rule, fact=action, once="[]", at=at.astimezone(UTC), give=give)


def mapped(raw, received_at):
    """The events of an order."""
    order = decode(raw)
    created = datetime.fromisoformat(order["created_at"])
    processed = datetime.fromisoformat(order["processed_at"]) if order.get("processed_at") else created
    events = []
    oldest = received_at - timedelta(days=30)
    placed = processed if created - processed > timedelta(days=1) else created
    if placed >= oldest:
        events.append(_event(order, "order.placed", placed))
    if order.get("financial_status") in ("paid", "partially_refunded", "refunded") and max(processed, placed) >= oldest:
        events.append(_event(order, "order.confirmed", max(processed, placed)))
    if order.get("cancelled_at") and (at := max(datetime.fromisoformat(order["cancelled_at"]), placed)) >= oldest:
        events.append(_event(order, "order.cancelled", at))
    return events
