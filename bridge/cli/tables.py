"""Tables for people: as wide as the terminal, 80 columns elsewhere, coloured at a terminal only."""

from collections.abc import Sequence
from typing import Final, TypeAlias

Cell: TypeAlias = str | tuple[str, str]
"""A text, or a text with its style."""

_BETWEEN: Final = 2  # columns of the terminal


def print_table(rows: Sequence[Sequence[Cell]], *, is_cut: bool = False) -> None:
    """Print rows in columns. If the last column is too wide, it is broken into lines, or cut off; the others are
    not."""
    from rich.console import Console  # noqa: PLC0415  only commands that print tables pay for it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    cells = [[Text(printable(text), style=style) for text, style in map(_styled, row)] for row in rows]
    console = Console(highlight=False)
    table = Table.grid(padding=(0, _BETWEEN, 0, 0))
    left = console.width
    *columns, _ = zip(*cells, strict=True)
    for column in columns:
        table.add_column(no_wrap=True, overflow="fold")
        left -= max(cell.cell_len for cell in column) + _BETWEEN
    table.add_column(no_wrap=is_cut, overflow="ellipsis" if is_cut else "fold", max_width=max(1, left))
    for row in cells:
        table.add_row(*row)
    console.print(table)


def _styled(cell: Cell) -> tuple[str, str]:
    return (cell, "") if isinstance(cell, str) else cell


def printable(text: str) -> str:
    """Replace characters that would act on a terminal: what is printed may come from anybody."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in text)
