"""Documents without the persons in them, to be kept as tests: what names somebody is replaced, and all else stays."""

import re
from collections.abc import Mapping
from typing import Final

import phonenumbers

from bridge.contract import Json

_MAIL: Final = re.compile(r"[^@\s\"'<>,;]+@[^@\s\"'<>,;]+\.[^@\s\"'<>,;.]+")
_PHONE: Final = re.compile(r"\+?[\d\s()./-]{7,24}")
_ADDRESS: Final = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}|[0-9a-fA-F:]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]+")
_LEAST_DIGITS: Final = 7  # digits of a phone number

_OF_PERSONS: Final[Mapping[str, Json]] = {
    "first_name": "Ada",
    "firstname": "Ada",
    "last_name": "Sample",
    "lastname": "Sample",
    "company": "Example",
    "address1": "Sample Street 1",
    "address_1": "Sample Street 1",
    "address2": "",
    "address_2": "",
    "street": "Sample Street 1",
    "zip": "10115",
    "postcode": "10115",
    "postal_code": "10115",
    "city": "Sampleton",
    "latitude": 0,
    "longitude": 0,
    "note": "",
    "customer_note": "",
    "user_agent": "Sample",
    "customer_user_agent": "Sample",
}
"""Keys whose value is somebody's, and what stands there instead."""

_PERSONS: Final = frozenset(
    {"customer", "buyer", "billing", "shipping", "billing_address", "shipping_address", "default_address", "recipient",
     "destination", "origin_address"}
)  # fmt: skip
"""Keys of objects that are about a person: their `name` is that person's, and so is their `id`."""

_PHONES: Final = ("phone", "tel", "mobile", "fax")


def without_persons(document: Json) -> Json:
    """The document with persons replaced. The same person is replaced by the same one throughout.

    E-mail addresses, phone numbers and network addresses are found wherever they stand; names, streets, places and
    notes by their usual keys. A key of a shop's own that names somebody is not known: read the case before you keep it.
    """
    return _Replacing().value(document, key="", is_person=False)


class _Replacing:
    """What was replaced so far."""

    def __init__(self) -> None:
        self._mails: dict[str, str] = {}
        self._ids: dict[str, int] = {}

    def value(self, value: Json, *, key: str, is_person: bool) -> Json:
        if isinstance(value, dict):
            is_one = key.lower() in _PERSONS
            return {name: self.value(each, key=name, is_person=is_one) for name, each in value.items()}
        if isinstance(value, list):
            return [self.value(each, key=key, is_person=is_person) for each in value]
        if value is None or isinstance(value, bool):
            return value
        return self._scalar(value, key.lower(), is_person=is_person)

    def _scalar(self, value: Json, key: str, *, is_person: bool) -> Json:
        if value in ("", 0):
            return value
        if key in _OF_PERSONS:
            return _OF_PERSONS[key]
        if is_person and key == "name":
            return "Ada Sample"
        if key == "customer_id" or (is_person and key in ("id", "number")):
            made = self._ids.setdefault(str(value), 1001 + len(self._ids))
            return str(made) if isinstance(value, str) else made
        return self._text(value, is_phone=any(word in key for word in _PHONES)) if isinstance(value, str) else value

    def _text(self, text: str, *, is_phone: bool) -> str:
        if is_phone and _PHONE.fullmatch(text) and sum(char.isdigit() for char in text) >= _LEAST_DIGITS:
            return _phone_like(text)
        if text.startswith("+") and _PHONE.fullmatch(text):
            return _phone_like(text)
        if _ADDRESS.fullmatch(text):
            return "192.0.2.1"
        return _MAIL.sub(lambda found: self._mail(found[0]), text)

    def _mail(self, mail: str) -> str:
        return self._mails.setdefault(mail.lower(), f"person-{1 + len(self._mails)}@example.com")


def _phone_like(text: str) -> str:
    """A number that nobody has, of the same country and in the same form."""
    try:
        region = phonenumbers.region_code_for_number(phonenumbers.parse(text, None))
    except phonenumbers.NumberParseException:
        region = None
    if region is None:
        return re.sub(r"\d", "5", text)
    example = phonenumbers.example_number(region)
    if example is None:
        return re.sub(r"\d", "5", text)
    return str(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164))
