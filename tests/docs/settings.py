"""docs/settings.md from the JSON Schema of the configuration: a table for each section, a row for each key."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from bridge.config.json_schema import schema

Node: TypeAlias = Mapping[str, Any]

_MIB = 1024 * 1024
_HEAD = "| Key | What it is | Type | Default | Bounds |\n| --- | --- | --- | --- | --- |"
_SENTENCE_END = re.compile(r"(?<=[.!?]) +(?=[A-Z`])")
_FORMS = {r"^(env|file):.+$": "secret", "^=": "expression", r"^\d+(\.\d+)?/[smh]$": "rate"}
_TOP = """# Settings

`make docs` makes this page and [bridge.schema.json](bridge.schema.json) from the program.
`attribution-bridge check` says every problem of a configuration at once, and refuses keys that are not on this page.

| Type | How you write it |
| --- | --- |
| duration | a number and a unit: `500ms`, `10s`, `5m`, `2h`, `30d` |
| rate | requests for each second, minute or hour: `20/s`, `600/m`, `5000/h` |
| secret | `env:NAME` for an environment variable, `file:PATH` for a file; never the secret itself |
| expression | a text that begins with `=`: [mapping.md](mapping.md) |
| path | a file; a path that is not absolute begins at the current directory of the process |
| mapping of ... | keys of your choice, each with such a value |

`NAME` in a heading stands for a name of your choice.
*required* means that the key may not be left out."""


def keys(node: Node, above: str = "", definitions: Node | None = None) -> Iterator[tuple[str, Node]]:
    """Every key of the configuration by its path, `*` for names of one's own, with what is said of it."""
    known = node.get("$defs", {}) if definitions is None else definitions
    for part in _parts(node, known):
        for name, inner in part.get("properties", {}).items():
            yield f"{above}{name}", inner
            yield from keys(inner, f"{above}{name}.", known)
        if isinstance(part.get("additionalProperties"), dict):
            yield from keys(part["additionalProperties"], f"{above}*.", known)


def _parts(node: Node, definitions: Node) -> Iterator[Node]:
    """A node and all that may stand in its place."""
    if "$ref" in node:
        yield from _parts(definitions[node["$ref"].rpartition("/")[2]], definitions)
    yield node
    for one in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        yield from _parts(one, definitions)


def page() -> str:
    whole = schema()
    made = _Page(whole["$defs"])
    made.section("## The file", {**whole, "description": ""})
    for name, inner in whole["properties"].items():
        for path, node, label in _top(name, inner, whole["$defs"]):
            made.tree(path, node, label=label)
    return f"{_TOP}\n{made.text}"


def _top(name: str, node: Node, definitions: Node) -> Iterator[tuple[str, Node, str]]:
    """The sections under a key of the file: their path, what they hold, and what tells them apart."""
    if name == "rules":
        yield "rules.NAME", definitions["Rule"], ""
    elif name in ("sources", "destinations"):
        for one in node["additionalProperties"]["oneOf"]:
            yield f"{name}.NAME", one, f", connector `{one['properties']['connector']['const']}`"
    else:
        for part in _parts(node, definitions):
            if "properties" in part:
                kind = part["properties"].get("kind", {}).get("const")
                yield name, part, f", kind `{kind}`" if kind else ""


class _Page:
    """Sections that were written, and under which heading: what is the same is written once."""

    def __init__(self, definitions: Node) -> None:
        self._definitions = definitions
        self._written: dict[str, str] = {}
        self.text = ""

    def tree(self, path: str, node: Node, *, label: str, also: str = "") -> None:
        """A section, and below it those of its keys that are sections themselves."""
        self.section(f"{'##' if path.count('.') < 2 else '###'} `{path}`{label}", node, also)
        for name, inner in node["properties"].items():
            if path.startswith("destinations") and name == "delivery":
                continue
            for below, part in self._sections(f"{path}.{name}", inner):
                if (content := repr(part["properties"])) not in self._written:
                    self._written[content] = below
                    same = [
                        f", `{other}`"
                        for key, value in node["properties"].items()
                        for other, found in self._sections(f"{path}.{key}", value)
                        if other != below and repr(found["properties"]) == content
                    ]
                    self.tree(below, part, label="".join(same))

    def _sections(self, path: str, node: Node) -> Iterator[tuple[str, Node]]:
        for part in _parts(node, self._definitions):
            if part.get("properties"):
                yield path, part
            elif isinstance(part.get("additionalProperties"), dict):
                yield from self._sections(f"{path}.NAME", part["additionalProperties"])

    def section(self, heading: str, node: Node, also: str = "") -> None:
        rows = [self._row(name, inner, node) for name, inner in node["properties"].items()]
        said = "\n".join(line for line in (*_SENTENCE_END.split(node.get("description", "")), also) if line)
        self.text += "\n".join([f"\n{heading}\n", *([f"{said}\n"] if said else []), _HEAD, *rows, ""])

    def _row(self, name: str, node: Node, section: Node) -> str:
        default = _default(node, required=name in section.get("required", ()))
        kind = _any(node, self._definitions)
        cells = (f"`{name}`", node.get("description", ""), kind, default, self._bounds(node))
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    def _bounds(self, node: Node) -> str:
        for part in _parts(node, self._definitions):
            least = part.get("minimum", part.get("x-minimum"))
            most = part.get("maximum", part.get("x-maximum"))
            if least is not None:
                return f"{_shown(least)} or more" if most is None else f"{_shown(least)} to {_shown(most)}"
        return ""


def _default(node: Node, *, required: bool) -> str:
    if required:
        return "*required*"
    value = node.get("default", node.get("const"))
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "" if value in (None, "", [], {}) else _shown(value)


def _shown(value: object) -> str:
    if isinstance(value, int) and value >= _MIB and value % _MIB == 0:
        return f"`{value}` ({value // _MIB} MiB)"
    return f"`{value}`"


def _types(node: Node, definitions: Node) -> Iterator[str]:
    """How the value is written; several where there is a choice."""
    if "$ref" in node:
        yield from _types(definitions[node["$ref"].rpartition("/")[2]], definitions)
    elif choices := (*node.get("anyOf", ()), *node.get("oneOf", ())):
        for one in choices:
            yield from _types(one, definitions)
    elif "enum" in node or "const" in node:
        values: Sequence[object] = node.get("enum", [node.get("const")])
        yield ", ".join(f"`{str(value).lower() if isinstance(value, bool) else value}`" for value in values)
    else:
        kinds = node["type"] if isinstance(node["type"], list) else [node["type"]]
        yield from (_kind(kind, node, definitions) for kind in kinds if kind != "null")


def _kind(kind: str, node: Node, definitions: Node) -> str:
    match kind:
        case "string":
            form = "duration" if "ms|s|m" in node.get("pattern", "") else _FORMS.get(node.get("pattern", ""), "text")
            return {"path": "path", "date-time": "time"}.get(node.get("format", ""), form)
        case "boolean":
            return "`true`, `false`"
        case "array" if node.get("items"):
            return f"list of {_any(node['items'], definitions)}"
        case "object" if "properties" in node:
            return "section"
        case "object" if isinstance(node.get("additionalProperties"), dict):
            return f"mapping of {_any(node['additionalProperties'], definitions)}"
        case _:
            return {"object": "mapping", "array": "`[]`" if node.get("maxItems") == 0 else "list"}.get(kind, kind)


def _any(node: Node, definitions: Node) -> str:
    return " or ".join(dict.fromkeys(_types(node, definitions)))
