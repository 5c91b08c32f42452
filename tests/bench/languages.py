"""The order of the default rule `placed` in JMESPath and in JSONata (the engine in Rust), as far as these can say it.

Both do less: JMESPath reckons nothing and does not see the order from a line of it, JSONata reckons in floats, so money
stays the text that came; neither knows e-mail addresses, phone numbers, instants, or which key may be empty.
"""

import jmespath
import jsonatapy
import msgspec

from bridge.config import read
from bridge.contract import Event
from tests.bench.mapping import CONFIG, enveloped, timed
from tests.bench.orders import order

_JMESPATH = """{
  action: 'order.placed',
  person: {email: email || contact_email || customer.email, phone: phone || customer.phone,
           first_name: customer.first_name, last_name: customer.last_name},
  session: (note_attributes[?name == 'hello_session'].value | [0])
           || (line_items[].properties[] | [?name == '_hello_session'].value | [0]),
  object_parameters: {
    reference: to_string(id), source: 'shopify', name: name, delivery: 'deliver',
    items: line_items[?quantity > `0`].{
      product: {reference: to_string(variant_id || product_id || id), source: 'shopify', name: name || title, sku: sku},
      quantity: quantity, price: {amount: price}}},
  amount: total_price, currency: currency
}"""
_JSONATA = """{
  "action": "order.placed",
  "person": {"email": $lowercase($trim(email ? email : contact_email ? contact_email : customer.email)),
             "phone": phone ? phone : customer.phone,
             "first_name": customer.first_name, "last_name": customer.last_name},
  "session": (($s := note_attributes[name = "hello_session"].value; $s ? $s
              : line_items.properties[name = "_hello_session"].value))[0],
  "object_parameters": {
    "reference": $string(id), "source": "shopify", "name": name, "delivery": "deliver",
    "items": [line_items[quantity > 0].{
      "product": {"reference": $string(variant_id ? variant_id : product_id), "source": "shopify", "name": name,
                  "sku": sku},
      "quantity": quantity, "price": {"amount": price, "currency": $$.currency}}]},
  "amount": total_price, "currency": currency
}"""
_ONLY_PLACED = "rules: {confirmed: false, cancelled: false}\n"


def beside() -> dict[str, float]:
    """Microseconds for one event from the bytes of one order: ours, and each of the others."""
    raw = order()
    text = raw.decode()
    rules = read(CONFIG + _ONLY_PLACED, environ={"S": "s", "T": "t"}).rules
    envelope = enveloped(raw)
    decode, path, query = msgspec.json.decode, jmespath.compile(_JMESPATH), jsonatapy.compile(_JSONATA)
    (ours,) = [step.give for step in rules.apply(envelope, "hellotext") if isinstance(step, Event)]
    for name, given in (("JMESPath", path.search(decode(raw))), ("JSONata", decode(query.evaluate_json(text)))):
        wanted = [item["product"]["reference"] for item in ours["object_parameters"]["items"]]
        found = [item["product"]["reference"] for item in given["object_parameters"]["items"]]
        if (ours["session"], wanted) != (given["session"], found):
            raise RuntimeError(f"{name} does not give the same: {given}")
    return {
        "ours": timed(lambda: rules.apply(envelope, "hellotext")),
        "JMESPath": timed(lambda: path.search(decode(raw))),
        "JSONata": timed(lambda: decode(query.evaluate_json(text))),
    }


def compiling(count: int = 500) -> float:
    """Seconds to check and compile so many rules of the size of `placed`, no two alike."""
    lines = [
        f"  rule_{number}: {{for: order, to: hellotext, fact: fact_{number}, at: = order.created_at, "
        f"when: '= order.total_price > {number}', give: {{action: order.placed, session: = order.name, "
        "object_parameters: {reference: = text(order.id), source: shopify, "
        "items: {each: = order.line_items, as: item, "
        f"give: {{product: {{reference: = text(item.id)}}, quantity: '= item.quantity + {number}'}}}}}}, "
        "amount: = order.total_price, currency: = order.currency}}\n"
        for number in range(count)
    ]
    text = CONFIG.replace("include: [shopify/default]", "") + "rules:\n" + "".join(lines)
    return timed(lambda: read(text, environ={"S": "s", "T": "t"}), runs=1) / 1e6
