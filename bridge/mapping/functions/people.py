"""Functions on what tells people apart: addresses, phone numbers, sessions."""

import hashlib
import re
from functools import lru_cache
from typing import Final

import phonenumbers

from bridge.mapping.functions.registry import function
from bridge.mapping.values import Value

_EMAIL: Final = re.compile(r"[^@\s,;<>]+@[^@\s.,;<>]+(\.[^@\s.,;<>]+)+")
_LONGEST_EMAIL: Final = 254  # characters
_LONGEST_PHONE: Final = 60  # characters
_LONGEST_COUNTRY: Final = 3
"""Longer ones name no country, and would be remembered with the number."""
_SESSION: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}")
_NO_SESSION: Final = frozenset(("undefined", "null"))


@lru_cache(maxsize=8192)
def _e164(written: str, country: str | None) -> str | None:
    try:
        number = phonenumbers.parse(written, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    formatted: str = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return formatted


@function("phone(x: any, country?: text) -> text", cost=500)
def _phone(x: Value, country: Value = None) -> Value:
    """The number as E.164 (`+441632960001`); empty if it is not a valid one. The country is where it is dialled."""
    if x.__class__ is int:
        x = str(x)
    if x.__class__ is not str or not x or len(x) > _LONGEST_PHONE:
        return None
    return _e164(x, country.upper() if country and len(country) <= _LONGEST_COUNTRY else None)


@function("email(x: any) -> text")
def _email(x: Value) -> Value:
    """The address without blanks around it, in lower case; empty if it cannot be one."""
    if x.__class__ is not str or len(x) > _LONGEST_EMAIL:
        return None
    address = x.strip().lower()
    return address if _EMAIL.fullmatch(address) else None


@function("session(x: any) -> text")
def _session(x: Value) -> Value:
    """A browser session's id; empty for what a broken script leaves there: "", "undefined", "null", other signs."""
    if x.__class__ is not str:
        return None
    found = x.strip()
    return found if _SESSION.fullmatch(found) and found.lower() not in _NO_SESSION else None


@function("sha256(x: text) -> text")
def _sha256(x: Value) -> Value:
    """The hexadecimal digest of the UTF-8 text."""
    return None if x is None else hashlib.sha256(x.encode()).hexdigest()
