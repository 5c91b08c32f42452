"""Tables for people: as wide as the terminal, 80 columns elsewhere, coloured at a terminal only."""

from collections.abc import Sequence
from typing import TypeAlias

Cell: TypeAlias = str | tuple[str, str]
"""A text, or a text with its style."""


def print_table(rows: Sequence[Sequence[Cell]]) -> None:
    """Print rows in columns. The last column is broken into lines where it is too wide; the others are never."""
    from rich.console import Console  # noqa: PLC0415  only commands that print tables pay for it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table.grid(padding=(0, 2, 0, 0))
    for column in range(len(rows[0]) if rows else 0):
        is_last = column == len(rows[0]) - 1
        table.add_column(no_wrap=not is_last, overflow="fold")
    for row in rows:
        cells = [(cell, "") if isinstance(cell, str) else cell for cell in row]
        table.add_row(*(Text(_printable(text), style=style) for text, style in cells))
    Console(highlight=False).print(table)


def _printable(text: str) -> str:
    """Replace characters that would act on a terminal: what is printed may come from anybody."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in text)
