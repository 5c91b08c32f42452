"""Pages that are made from the program: settings with their JSON Schema, log events, metrics, files, aiohttp.

Usage: python -m tests.docs.generated  writes them; tests say which of them is out of date.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from bridge.config.json_schema import schema
from tests.docs import aiohttp, files, log_events, metrics, settings

DOCS = Path(__file__).parents[2] / "docs"


def json_schema() -> str:
    """As `attribution-bridge schema` prints it."""
    return msgspec.json.format(msgspec.json.encode(schema(), enc_hook=str), indent=2).decode() + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "bridge.schema.json": json_schema,
    "settings.md": settings.page,
    "files.md": files.page,
    "log-events.md": log_events.page,
    "metrics.md": metrics.page,
    "aiohttp.md": aiohttp.page,
}
"""What writes each file in docs/ that nobody writes by hand."""


def main() -> None:
    for name, written in PAGES.items():
        (DOCS / name).write_text(written(), encoding="utf-8")


if __name__ == "__main__":
    main()
