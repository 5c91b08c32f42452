"""Dates in a named shape, such as `YYYYMMDD` or `DD.MM.YYYY HH:mm`: read from text, and written."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

from bridge.mapping.values import Failed

_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_MONTH: Final = {name[:3].lower(): at for at, name in enumerate(_MONTHS, 1)}
_NAMED: Final = "|".join(_MONTHS)
_SHORT: Final = "|".join(name[:3] for name in _MONTHS)
_TOKENS: Final[Mapping[str, tuple[str, str]]] = {
    "YYYY": ("year", "[0-9]{4}"),
    "YY": ("year", "[0-9]{2}"),
    "MMMM": ("month", _NAMED),
    "MMM": ("month", _SHORT),
    "MM": ("month", "[0-9]{2}"),
    "M": ("month", "[0-9]{1,2}"),
    "DD": ("day", "[0-9]{2}"),
    "D": ("day", "[0-9]{1,2}"),
    "HH": ("hour", "[0-9]{2}"),
    "H": ("hour", "[0-9]{1,2}"),
    "hh": ("half", "[0-9]{2}"),
    "h": ("half", "[0-9]{1,2}"),
    "mm": ("minute", "[0-9]{2}"),
    "ss": ("second", "[0-9]{2}"),
    "A": ("noon", "AM|PM"),
    "Z": ("zone", "Z|[-+][0-9]{2}:?[0-9]{2}"),
}
"""What stands in a shape, with the part of a time that it is, and how it looks."""

_PARTS: Final = re.compile(
    r"\[(?P<quoted>[^\[\]]*)\]|(?P<fraction>S{1,9})|YYYY|YY|M{1,4}|DD?|HH?|hh?|mm|ss|A|Z|T|[^A-Za-z\[\]]"
)
_LONGEST: Final = 100  # characters of a pattern
_CENTURY: Final = 2000  # added to a year of two digits
_NOON: Final = 12  # hours
_DIGITS: Final = 6  # of a fraction of a second


@dataclass(frozen=True, slots=True)
class DateShape:
    """A shape that was taken apart: how a text in it looks, and what it is made of, each part by its letters."""

    pattern: re.Pattern[str]
    parts: tuple[tuple[str, str], ...]
    """Name of a part (`year`, empty: text that stands there) and its letters or text."""

    @property
    def has_zone(self) -> bool:
        return any(name == "zone" for name, _ in self.parts)

    def read(self, text: str) -> datetime:
        """The time that a text in this shape says; with its zone if the shape has one. Raises Failed."""
        match = self.pattern.fullmatch(text.strip())
        if match is None:
            raise Failed("is given text that is not a date in this shape")
        try:
            return _moment(match.groupdict())
        except ValueError:
            raise Failed("is given a date that is in no calendar") from None

    def written(self, moment: datetime) -> str:
        """The time in this shape, as the clock of its zone shows it."""
        return "".join(text if not name else _said(moment, name, text) for name, text in self.parts)


def _moment(found: Mapping[str, str | None]) -> datetime:
    year, month = found["year"] or "", found["month"] or ""
    hour = int(found.get("hour") or 0)
    if half := found.get("half"):
        hour = _of_half(int(half), (found["noon"] or "").upper())
    return datetime(
        int(year) if len(year) > 2 else _CENTURY + int(year),  # noqa: PLR2004 - the letters YY
        _MONTH[month[:3].lower()] if month.isalpha() else int(month),
        int(found["day"] or ""),
        hour,
        int(found.get("minute") or 0),
        int(found.get("second") or 0),
        int((found.get("fraction") or "").ljust(_DIGITS, "0")[:_DIGITS]),
        tzinfo=_offset(found.get("zone")),
    )


def _of_half(half: int, noon: str) -> int:
    if not 1 <= half <= _NOON:
        raise ValueError(half)
    return half % _NOON + (_NOON if noon == "PM" else 0)


def _offset(written: str | None) -> timezone | None:
    if not written:
        return None
    digits = written.lstrip("-+Zz").replace(":", "") or "0000"
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if written[0] == "-" else offset)


def _said(moment: datetime, name: str, letters: str) -> str:
    if name == "month" and len(letters) > 2:  # noqa: PLR2004 - the letters MM
        word = _MONTHS[moment.month - 1]
        return word if letters == "MMMM" else word[:3]
    if name == "fraction":
        return f"{moment.microsecond:06}".ljust(len(letters), "0")[: len(letters)]
    if name == "noon":
        return "AM" if moment.hour < _NOON else "PM"
    if name == "zone":
        written = moment.strftime("%z")
        return "Z" if written == "+0000" else f"{written[:3]}:{written[3:5]}"
    number = (moment.hour - 1) % _NOON + 1 if name == "half" else getattr(moment, name)
    return f"{number:0{len(letters)}}"[-len(letters) if letters == "YY" else 0 :]


@lru_cache(maxsize=64)
def date_shape(written: str) -> DateShape:
    """Take a shape apart, or raise Failed with what may stand in one."""
    if len(written) > _LONGEST:
        raise Failed(f"takes a shape of at most {_LONGEST} characters")
    parts: list[tuple[str, str]] = []
    at = 0
    while at < len(written):
        match = _PARTS.match(written, at)
        if match is None:
            raise Failed(f"takes a shape of {', '.join(_TOKENS)} and S (fractions), such as YYYY-MM-DD HH:mm:ss; "
                         "other letters stand in brackets: [at]")  # fmt: skip
        parts.append(_part(match))
        at = match.end()
    _check(parts)
    pattern = "".join(_pattern(name, text) for name, text in parts)
    return DateShape(re.compile(pattern, re.IGNORECASE | re.ASCII), tuple(parts))


def _part(match: re.Match[str]) -> tuple[str, str]:
    if match["quoted"] is not None:
        return "", match["quoted"]
    if match["fraction"]:
        return "fraction", match[0]
    return _TOKENS.get(match[0], ("", ""))[0], match[0]


def _pattern(name: str, text: str) -> str:
    if not name:
        return re.escape(text)
    return f"(?P<{name}>{_TOKENS[text][1] if name != 'fraction' else f'[0-9]{{{len(text)}}}'})"


def _check(parts: list[tuple[str, str]]) -> None:
    names = [name for name, _ in parts if name]
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice:
        raise Failed(f"takes a shape that says the {twice} once")
    lacking = next((name for name in ("year", "month", "day") if name not in names), "")
    if lacking:
        raise Failed(f"takes a shape with year, month and day, and this one has no {lacking}")
    if ("half" in names) != ("noon" in names) or {"half", "hour"} <= {*names}:
        raise Failed("takes HH for hours of the whole day, or hh together with A (AM, PM)")
