"""What a rule may call. A function's signature says what it takes and gives; calls are checked against it at load.

An empty first argument gives empty, unless the function says otherwise. No function reads a clock, a file or the net.
"""

from typing import Final

from bridge.mapping.functions import lists, money, people, texts, times
from bridge.mapping.functions.registry import FUNCTIONS, NEEDS, Function

__all__ = ["FUNCTIONS", "NEEDS", "OVER_WALKS", "SPECIAL", "Function", "lists", "money", "people", "texts", "times"]

OVER_WALKS: Final = frozenset(("any", "all", "sum", "first", "list", "count", "join", "min", "max", "flat"))
"""The functions that take `... for ... in ...`."""

SPECIAL: Final = {"has": "has(x: any) -> boolean", "default": "default(x: any, y: any, ...) -> any"}
"""Functions that calls.py compiles by itself, since their arguments are looked at one by one."""
