"""Walk through an Avro value before it is read: how deep it is, and how many things it makes of nothing.

The reader goes down in C as deep as the value says, without a bound, and ends the process. An item of an array may have
no bytes (`null`, an empty record), so a block of a few bytes may have 2^61 of them. Only a schema that refers to itself
can be deep, and only one with such items can be long: the values of others are not looked at.

The encoding: https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from bridge.errors import Malformed

Schema: TypeAlias = Any
"""A schema as fastavro has parsed it: a name, a mapping, or a list of those."""

DEEPEST: Final = 64
"""The most levels of a value, as of a document."""

MOST_OF_NOTHING: Final = 100_000
"""The most items of arrays and maps that have no bytes."""

_SIZES: Final = {"null": 0, "boolean": 1, "float": 4, "double": 8}
_VARINTS: Final = ("int", "long", "enum")
_LONGEST_VARINT: Final = 10  # bytes


class Walk:
    """A walk through values of one schema. names: every named type that the schema may refer to."""

    def __init__(self, schema: Schema, names: Mapping[str, Schema]) -> None:
        self._schema = schema
        self._names = names
        self.is_needed = self._is_recursive(schema, [], set()) or any(map(self._is_nothing, self._items(schema, set())))

    def check(self, value: bytes) -> None:
        """Check a value. Raises Malformed if it is too deep, too long, or ends too early."""
        if self.is_needed:
            self._value, self._left = value, MOST_OF_NOTHING
            self._passed(self._schema, 0, 0)

    # -- the schema ----------------------------------------------------------------------------------------------------

    def _meant(self, schema: Schema) -> Schema:
        """The type itself, for a name or for what stands around it."""
        while True:
            if isinstance(schema, str):
                if schema not in self._names:
                    return schema
                schema = self._names[schema]
            elif isinstance(schema, Mapping) and not isinstance(schema["type"], str):
                schema = schema["type"]
            else:
                return schema

    def _parts(self, schema: Schema) -> Iterator[Schema]:
        if isinstance(schema, list):
            yield from schema
        elif isinstance(schema, Mapping):
            yield from (field["type"] for field in schema.get("fields", ()))
            yield from (schema[key] for key in ("items", "values") if key in schema)

    def _is_recursive(self, schema: Schema, above: list[int], done: set[int]) -> bool:
        meant = self._meant(schema)
        if isinstance(meant, str) or id(meant) in done:
            return False
        if id(meant) in above:
            return True
        above.append(id(meant))
        found = any(self._is_recursive(each, above, done) for each in self._parts(meant))
        above.pop()
        done.add(id(meant))
        return found

    def _items(self, schema: Schema, seen: set[int]) -> Iterator[Schema]:
        """The items of arrays. The values of a map have their names, so they are never without bytes."""
        meant = self._meant(schema)
        if id(meant) in seen:
            return
        seen.add(id(meant))
        if isinstance(meant, Mapping) and "items" in meant:
            yield meant["items"]
        for each in self._parts(meant):
            yield from self._items(each, seen)

    def _is_nothing(self, schema: Schema) -> bool:
        """Whether a value of it may have no bytes. Asked where no type holds itself."""
        meant = self._meant(schema)
        match meant if isinstance(meant, str) else meant.get("type") if isinstance(meant, Mapping) else "union":
            case "null":
                return True
            case "fixed":
                return not meant["size"]
            case "record" | "error":
                return all(self._is_nothing(field["type"]) for field in meant["fields"])
            case _:
                return False

    # -- the value -----------------------------------------------------------------------------------------------------

    def _passed(self, schema: Schema, at: int, depth: int) -> int:
        """Find the offset at which the value at `at` ends."""
        if depth > DEEPEST:
            raise Malformed(f"nested deeper than {DEEPEST} levels")
        meant = self._meant(schema)
        if isinstance(meant, list):
            number, at = self._number(at)
            if not 0 <= number < len(meant):
                raise Malformed("not what its Avro schema says (no such branch of a union)")
            return self._passed(meant[number], at, depth + 1)
        kind = meant if isinstance(meant, str) else meant["type"]
        match kind:
            case "record" | "error":
                for field in meant["fields"]:
                    at = self._passed(field["type"], at, depth + 1)
                return at
            case "array" | "map":
                return self._blocks(meant, at, depth + 1)
            case _:
                return self._simple(kind, meant, at)

    def _simple(self, kind: str, meant: Schema, at: int) -> int:
        if kind in _VARINTS:
            return self._number(at)[1]
        if kind in ("bytes", "string"):
            size, at = self._number(at)
        else:
            size = meant["size"] if kind == "fixed" else _SIZES[kind]
        if not 0 <= size <= len(self._value) - at:
            raise Malformed("not what its Avro schema says (it ends too early)")
        return at + int(size)

    def _blocks(self, meant: Mapping[str, Any], at: int, depth: int) -> int:
        while True:
            count, at = self._number(at)
            if count < 0:
                count, (_, at) = -count, self._number(at)
            if not count:
                return at
            for _ in range(count):
                began = at
                if meant["type"] == "map":
                    at = self._simple("string", "string", at)
                at = self._passed(meant.get("items", meant.get("values")), at, depth)
                self._count(at - began)

    def _count(self, size: int) -> None:
        if not size:
            self._left -= 1
            if self._left < 0:
                raise Malformed(f"more than {MOST_OF_NOTHING} items without a byte")

    def _number(self, at: int) -> tuple[int, int]:
        """A number in zigzag, and where it ends."""
        value = 0
        for index, byte in enumerate(self._value[at : at + _LONGEST_VARINT]):
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:  # noqa: PLR2004 - the sign that more comes
                return (value >> 1) ^ -(value & 1), at + index + 1
        raise Malformed("not what its Avro schema says (it ends too early)")
