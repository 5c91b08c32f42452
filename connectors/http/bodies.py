"""Read the body of an answer as JSON, with exact numbers."""

from decimal import Decimal
from typing import Final

import msgspec

from bridge.contract import Json, Response
from bridge.surrogates import decoded

_DIGITS: Final = 40
"""The most digits, on either side of the point, of a number with a fraction that is read as one."""


def document(response: Response) -> Json:
    """The body as JSON. None: it is not whole, or no JSON."""
    if not response.is_whole:
        return None
    try:
        return decoded(_decode, response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def at(document: Json, name: str) -> Json:
    """The value that stands under a name with dots. None: there is none."""
    for step in name.split("."):
        document = document.get(step) if isinstance(document, dict) else None
    return document


def _exact(written: str) -> Decimal | str:
    """A number with a fraction. Its text, where calculating with it could take long."""
    number = Decimal(written)
    return number if len(written) <= 2 * _DIGITS and abs(number.adjusted()) <= _DIGITS else written


_decode: Final = msgspec.json.Decoder(float_hook=_exact).decode
