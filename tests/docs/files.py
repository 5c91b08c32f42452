"""docs/files.md from the first sentence of each module: every file of bridge/ and connectors/ in one line."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_OTHERS = {
    r"queries\.sql": "The statements, by name.",
    r"schema\.sql": "The tables in the newest version.",
    r"upgrade_(\d+)\.sql": r"Makes version \1 of the tables of the version before.",
    r"rules/\w+\.yaml": "Rules to include.",
    r"README\.md": "What a person who uses it must know.",
    r".*\.liquid": "The snippet for the shop's theme.",
    r".*\.yaml": "A configuration that a command carries.",
}
"""What files are that hold no Python, by the end of their path."""
_KINDS = frozenset({".py", ".sql", ".yaml", ".md", ".liquid"})
_TOP = """# Every file

`make docs` makes this page from the first sentence of each module.
How the parts work together: [architecture.md](architecture.md).
`examples/` of a connector hold documents, conversations and whole-path cases, which are tests.
"""


def page() -> str:
    folders: dict[str, list[str]] = {}
    for path in files():
        if said := sentence(path):
            folders.setdefault(str(path.parent), []).append(f"| `{path.name}` | {said} |")
    sections = [
        f"## {folder}\n\n| File | What it is |\n| --- | --- |\n" + "\n".join(rows) for folder, rows in folders.items()
    ]
    return f"{_TOP}\n" + "\n\n".join(sections) + "\n"


def files() -> Iterator[Path]:
    """The files of both folders, from the root of the project; the examples of connectors are left out."""
    found = {
        path for folder in ("bridge", "connectors") for path in (ROOT / folder).rglob("*") if path.suffix in _KINDS
    }
    for path in sorted((path.relative_to(ROOT) for path in found), key=lambda path: (str(path.parent), path.name)):
        if "examples" not in path.parts:
            yield path


def sentence(path: Path) -> str:
    """The first sentence about a file; empty for a file that is empty."""
    if path.suffix != ".py":
        pattern, said = next((each for each in _OTHERS.items() if re.search(f"(^|/){each[0]}$", str(path))), ("", ""))
        found = re.search(f"(^|/){pattern}$", str(path)) if pattern else None
        return said.replace(r"\1", found[2]) if found and r"\1" in said else said
    text = (ROOT / path).read_text(encoding="utf-8")
    first = " ".join((ast.get_docstring(ast.parse(text)) or "").partition("\n\n")[0].split())
    return re.split(r"(?<=[.!?]) (?=[A-Z`])", first)[0].removesuffix(":").replace("|", r"\|")
