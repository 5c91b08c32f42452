"""Functions on times: aware instants, whole seconds and milliseconds."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bridge.mapping import arithmetic, values
from bridge.mapping.functions.registry import function
from bridge.mapping.functions.shapes import DateShape, date_shape
from bridge.mapping.values import Failed, Value, named_kind

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_MILLISECOND: Final = timedelta(milliseconds=1)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Failed("is given an unknown time zone: write one such as 'Europe/Berlin'") from None


def _zoned(written: str) -> DateShape:
    found = date_shape(written)
    if not found.has_zone:
        raise Failed("takes a shape with the zone in it (Z): else write local_time(x, 'Europe/Berlin', shape)")
    return found


def _dated(x: Value) -> str:
    """What is read in a shape: text, or the digits of a number such as 20261120."""
    if type(x) is int:
        return values.canonical(arithmetic.bounded(x))
    if type(x) is not str:
        raise Failed(f"is given {named_kind(x)} where text is needed")
    return x


@function("time(x: any, shape?: text) -> time", checks={1: _zoned}, fixed=1)
def _time(x: Value, shape: Value = None) -> Value:
    """A time from ISO 8601 text with a zone, or from text in a shape that has one."""
    if x is None or shape is None or type(x) is datetime:
        return values.as_time(x)
    return _zoned(shape).read(_dated(x))


@function("epoch(x: time) -> integer")
def _epoch(x: Value) -> Value:
    """Whole seconds since 1970."""
    return None if x is None else (x - _EPOCH) // _SECOND


@function("epoch_ms(x: time) -> integer")
def _epoch_ms(x: Value) -> Value:
    """Whole milliseconds since 1970."""
    return None if x is None else (x - _EPOCH) // _MILLISECOND


def _since_epoch(x: Value, unit: int) -> Value:
    if x is None:
        return None
    try:
        microseconds = values.as_integer(arithmetic.multiply(values.as_number(x), unit))
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        raise Failed("is given a time outside the years 1 to 9999") from None


@function("from_epoch(x: any) -> time")
def _from_epoch(x: Value) -> Value:
    """A time from seconds since 1970."""
    return _since_epoch(x, 1_000_000)


@function("from_epoch_ms(x: any) -> time")
def _from_epoch_ms(x: Value) -> Value:
    """A time from milliseconds since 1970."""
    return _since_epoch(x, 1_000)


@function("local_time(x: any, zone: text, shape?: text) -> time", checks={1: _zone, 2: date_shape}, fixed=2)
def _local_time(x: Value, zone: Value, shape: Value = None) -> Value:
    """A time from text without a zone, as clocks showed it there; of two that are the same, the first."""
    if x is None or zone is None:
        return None
    moment = _iso(x) if shape is None else date_shape(shape).read(_dated(x))
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=_zone(zone))


def _iso(x: Value) -> datetime:
    if type(x) is not str:
        raise Failed(f"is given {named_kind(x)} where text is needed")
    try:
        return datetime.fromisoformat(x.strip())
    except ValueError:
        raise Failed("is given text that is not an ISO 8601 time") from None


@function("time_text(x: time, shape: text, zone?: text) -> text", makes=True, checks={1: date_shape, 2: _zone}, fixed=1)
def _time_text(x: Value, shape: Value, zone: Value = "UTC") -> Value:
    """A time in a shape, as clocks show it in a zone."""
    if x is None or shape is None or zone is None:
        return None
    try:
        return date_shape(shape).written(x.astimezone(_zone(zone)))
    except OverflowError:
        raise Failed("is given a time outside the years 1 to 9999") from None
