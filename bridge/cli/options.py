"""What commands share: where the configuration and the journal are, and how results are printed."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from bridge import journals
from bridge.config import journal_of, private_of, source_names
from bridge.config.sections import PostgresSettings, SqliteSettings
from bridge.errors import ConfigurationError
from bridge.journal import Intake, Operator, Parked, Reader
from bridge.journal.store import Store
from bridge.views.moments import moment_of

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

DEFAULT = Path("bridge.yaml")
_NAME = "attribution-bridge"
_PAGE = 100  # facts of one call

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
config = click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="BRIDGE_CONFIG",
    help="The configuration. Default: BRIDGE_CONFIG, else ./bridge.yaml.",
)
_journal = click.option(
    "--journal",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file of a SQLite journal. Default: what the configuration says, else ./var/journal.db.",
)


def journal(command: F) -> F:
    """The two options by which a command finds the journal."""
    return config(_journal(command))


def chosen(config: Path | None) -> Path:
    """The configuration that is meant."""
    return config if config is not None else DEFAULT


def typed_as() -> str:
    """The words that start this program again, as a person would type them: its name only if that is on the PATH."""
    started, on_path = Path(sys.argv[0]), shutil.which(_NAME)
    if started.name == "__main__.py":
        return "python -m bridge"
    is_there = on_path is not None and started.exists() and Path(on_path).samefile(started)
    return _NAME if is_there or started.name != _NAME else str(started)


def journal_settings(config: Path | None, path: Path | None) -> SqliteSettings | PostgresSettings:
    """The journal that is meant. A configuration that was named must be there; the default need not."""
    if path is not None:
        return SqliteSettings(path=path)
    if config is None and not DEFAULT.exists():
        return journal_of(None)
    found = chosen(config)
    if not found.exists():
        raise click.UsageError(f"there is no configuration {found}")
    return journal_of(found)


def private_url(config: Path | None) -> str:
    """The address at which the private port of the bridge that is meant answers on this machine."""
    private = private_of(config if config is not None or not DEFAULT.exists() else DEFAULT)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(private.host, private.host)  # noqa: S104  asked, not bound
    return f"http://[{host}]:{private.port}" if ":" in host else f"http://{host}:{private.port}"


def sources(config: Path | None) -> Sequence[str]:
    """Names of the sources that are meant; without a configuration that of `make run`."""
    if config is not None:
        return source_names(config)
    with suppress(ConfigurationError):  # nobody asked for it
        return source_names(DEFAULT) if DEFAULT.exists() else ("shop",)
    return ()


def wait_for(work: Awaitable[T]) -> T:
    """Run a command's work to its end."""

    async def main() -> T:
        return await work

    return asyncio.run(main())


def store(config: Path | None, path: Path | None) -> Store:
    """The journal that a command means."""
    return journals.store_of(journal_settings(config, path))


@asynccontextmanager
async def to_read(config: Path | None, path: Path | None) -> AsyncIterator[Reader]:
    """Open the journal to read it, beside the process that owns it."""
    async with store(config, path).reading() as found:
        yield found


@asynccontextmanager
async def to_act(config: Path | None, path: Path | None) -> AsyncIterator[Operator]:
    """Open the journal by its owner, or the journal itself while nobody owns it."""
    async with store(config, path).acting() as found:
        yield found


@asynccontextmanager
async def to_feed(config: Path | None, path: Path | None) -> AsyncIterator[Intake]:
    """Open the journal as `to_act` does; documents may be added too. No destination is named, so nothing is added that
    waits for one."""
    async with store(config, path).feeding(destinations=()) as found:
        yield found


def print_json(value: object) -> None:
    """Print a value as one line of JSON."""
    click.echo(msgspec.json.encode(value, enc_hook=str).decode())


def when(moment: object) -> str:
    """Write a time as people read it: UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if isinstance(moment, datetime) else str(moment or "-")


def moment(name: str, given: str, now: datetime) -> datetime:
    """Read a time that a person gives, as the value of --`name`."""
    try:
        return moment_of(given, now)
    except ValueError as problem:
        raise click.UsageError(f"--{name} takes {problem}") from None


def table(rows: Sequence[Sequence[object]]) -> None:
    """Print rows as a table whose columns are as wide as they must be."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in texts) for column in range(len(texts[0]))] if texts else []
    for row in texts:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def progress(label: str, length: int) -> AbstractContextManager[Any]:
    """A progress bar for a person who looks on. A file or a pipe gets nothing."""
    return click.progressbar(length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())


async def in_pages(
    facts: Sequence[Parked], act: Callable[[Sequence[str]], Awaitable[int]], *, rate: float, label: str
) -> int:
    """Act on many facts, at most `rate` a second, with a progress bar. Returns how many were acted on."""
    done = 0
    page = max(1, min(_PAGE, int(rate)))
    with progress(label, len(facts)) as bar:
        for start in range(0, len(facts), page):
            refs = [fact.ref for fact in facts[start : start + page]]
            done += await act(refs)
            bar.update(len(refs))
            if start + page < len(facts):
                await asyncio.sleep(page / rate)
    return done
