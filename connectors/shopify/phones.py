"""Find the numbers under which a person is known: as they were typed, and as they are dialled from abroad."""

from collections.abc import Iterable, Iterator
from functools import lru_cache

import msgspec
import phonenumbers

_LONGEST = 60  # characters
_FROM_ABROAD = ("+", "00")


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A postal address, as far as it helps to find an order again.

    Its phone is free text (docs/contracts/shopify.md 4).
    """

    phone: object = None
    country_code: object = None


def numbers(own: Iterable[object], buyers: Iterable[object], parcels: Iterable[object]) -> Iterator[object]:
    """Each number as it stands; one without a country also as E.164, in each country that the addresses name.

    own      numbers of the order and its customer
    buyers   addresses of whoever buys and pays: their numbers may be sent, so a person is found by them
    parcels  addresses where it goes: a parcel for somebody else is not hers, so their numbers count only where there is
             none before that can be dialled
    """
    theirs = [address for address in buyers if isinstance(address, Address)]
    known = [address for address in parcels if isinstance(address, Address)]
    countries = {each.country_code: None for each in (*known, *theirs) if type(each.country_code) is str}
    is_found = False
    for number in (*own, *(address.phone for address in theirs)):
        if number:
            yield number
            is_found |= _is_from_abroad(number) and _e164(str(number)[:_LONGEST], "ZZ") is not None
            for dialled in _dialled(number, countries):
                is_found |= dialled is not None
                yield dialled
    for address in () if is_found else known:
        yield address.phone
        yield from _dialled(address.phone, countries)


def _is_from_abroad(number: object) -> bool:
    return type(number) is str and number.lstrip().startswith(_FROM_ABROAD)


def _dialled(number: object, countries: Iterable[str]) -> Iterator[str | None]:
    """The number as it is dialled from abroad. None for a country where it is no number."""
    if type(number) is str and number and not _is_from_abroad(number):
        yield from (_e164(number[:_LONGEST], country) for country in countries)


@lru_cache(maxsize=4096)
def _e164(number: str, country: str) -> str | None:
    """The number as the default rules send it. None: it is not valid in that country."""
    try:
        read = phonenumbers.parse(number, country.upper())
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(read):
        return None
    return str(phonenumbers.format_number(read, phonenumbers.PhoneNumberFormat.E164))
