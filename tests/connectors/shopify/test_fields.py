"""The descriptions against the documents of the contract page: all that they hold is named and typed."""

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
import yaml

from connectors.shopify.fields import KINDS
from connectors.shopify.identity import TOPICS

EXAMPLES = Path(__file__).parents[3] / "connectors" / "shopify" / "examples"
ORDERS = {f"orders/{path.name}": "orders/updated" for path in sorted((EXAMPLES / "orders").glob("*.json"))}
DOCUMENTS = ORDERS | yaml.safe_load((EXAMPLES / "topics.yaml").read_text(encoding="utf-8"))


def fits(word, value):
    """Whether a value may stand where the description says `word`."""
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    match word:
        case "any":
            return True
        case "integer":
            return type(value) is int
        case "boolean":
            return isinstance(value, bool)
        case "money" | "number":
            return is_number or (isinstance(value, str) and Decimal(value).is_finite())
        case _:
            return isinstance(value, str)


def misfits(shape, value, place="$"):
    if value is None:
        return
    if isinstance(shape, str):
        if not fits(shape, value):
            yield f"{place} is not {shape}"
    elif isinstance(shape, list):
        for index, one in enumerate(value):
            yield from misfits(shape[0], one, f"{place}[{index}]")
    else:
        for name, one in value.items():
            if name in shape:
                yield from misfits(shape[name], one, f"{place}.{name}")
            else:
                yield f"{place}.{name} is not described"


@pytest.mark.parametrize(("name", "topic"), DOCUMENTS.items())
def test_every_field_of_the_contracts_examples_is_described(name, topic):
    document = msgspec.json.Decoder(float_hook=Decimal).decode((EXAMPLES / name).read_bytes())
    assert [] == list(misfits(KINDS[TOPICS[topic]], document))
