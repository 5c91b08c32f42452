"""`bench`: what this machine can do, measured with the program's own parts."""

import asyncio
import os
import platform
import signal
import textwrap
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec
import uvloop

from bridge import clock, telemetry
from bridge.cli import options
from bridge.cli.sender import example, fresh
from bridge.config import Settings
from bridge.config.sections import JournalSettings, SqliteSettings
from bridge.contract import Addresses
from bridge.dry_run.deliveries import settings_of

if TYPE_CHECKING:  # loaded only when something is measured
    from bridge.bench import Example, Figures
    from bridge.bench.run import Bench

T = TypeVar("T")

_WIDTH = 80  # columns
_TICK = 0.2  # seconds
_TOPIC = "orders/create"
_SLOW = 0.1
"""Seconds that a request is said to take at an API that is far away."""
_MEANING = {
    "fsync": "4 KiB written to a file and synced, one after the other.",
    "intake": "{at_once} connections post at once. An order is checked, stored with fsync, and answered 200; p50 and "
    "p99 are the time of its answer.",
    "mapping": "The rules are applied to one order after the other.",
    "delivery": "The requests of {sending} orders at once, without a journal; p50 and p99 are the time of all requests "
    "of an order.",
    "chain": "{at_once} orders are under way at once: posted, stored, mapped, sent, and each fact final in the "
    "journal; p50 and p99 are the time of all that.",
}
_LEFT_OUT = (
    "Left out: the network, TLS and a proxy, for all is on this machine. The API answers at once. If it took "
    "{slow:.0f} ms for each request, {concurrency} orders at once (`concurrency`) would be at most {most:,.0f} orders "
    "a second. The journal is empty at first. Load and API ran here too, and took their share of the processors. "
    "Orders a day are the rate of a second times 86,400."
)
_NAMES = {"chain": "whole chain"}
"""How a part is called on the card, if not by its own name."""


@click.command()
@options.config
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False, exists=True),
              help="Where the temporary folder is made. Default: where the configured journal is.")  # fmt: skip
@click.option("--seconds", default=15.0, show_default=True, type=click.FloatRange(2, 300),
              help="How long is measured, in all. Starting the parts takes about 5 s more.")  # fmt: skip
@options.as_json
def bench(config: Path | None, folder: Path | None, seconds: float, as_json: bool) -> None:  # noqa: FBT001  click's flag
    """Measure what this machine can do: its disk, the door, the rules, the requests, and the whole chain.

    The program's own parts are measured, with the rules of the configuration, else the default ones. The journal is a
    SQLite file of its own in a temporary folder, and the API is on this machine: the configured journal is not opened,
    and neither the configured API nor the shop is asked. The folder is removed at the end, also after Ctrl-C.

    It loads processor and disk. A bridge that works on the same machine becomes slower meanwhile.

    \b
    Examples:
      attribution-bridge bench
      attribution-bridge bench --config bridge.yaml --seconds 60 --json
    """
    from bridge.bench.run import SHARES  # noqa: PLC0415  loaded only when something is measured

    if config is None and options.DEFAULT.exists():
        config = options.DEFAULT
    settings = None if config is None else settings_of(config)
    journal = SqliteSettings() if settings is None else settings.journal
    telemetry.set_up(level="error")
    with _bar(seconds, SHARES) as on_part:
        work = _bench(settings, str(config), _folder(journal, folder), seconds, on_part)
        example = work.example()
        card = uvloop.run(_until_signalled(work.measured()))
    is_another = not isinstance(journal, SqliteSettings)
    remarks = [f"The journal of {config} is in Postgres: this card is of SQLite."] if is_another else []
    remarks += card.remarks
    if as_json:
        options.print_json(_plain(work, example, card.figures, remarks))
    else:
        _print(work, example, card.figures, remarks)


def _folder(journal: JournalSettings, given: Path | None) -> Path:
    """The folder that is measured: that of the journal, or the nearest above it that is there."""
    wanted = given or (journal.path.parent if isinstance(journal, SqliteSettings) else Path())
    found = next(each for each in (wanted.absolute(), *wanted.absolute().parents) if each.is_dir())
    if not os.access(found, os.W_OK | os.X_OK):
        raise click.UsageError(f"nothing can be written in {found}: name another folder with --folder")
    return found


def _bench(
    settings: Settings | None, file: str, folder: Path, seconds: float, on_part: Callable[[str], None]
) -> "Bench":
    from bridge.bench.plan import DEFAULT, source_of  # noqa: PLC0415  loaded only when something is measured
    from bridge.bench.run import Bench  # noqa: PLC0415  ditto

    body = msgspec.json.format(example("shopify", "order.json"), indent=-1)  # a shop writes no spaces for people
    body, sections, source = fresh(body, now=clock.now()), DEFAULT, "shop"
    if settings is not None:
        sections, source = settings.sections, source_of(settings, file)
        signer = settings.sources[source]
        body = signer.addressed(body, tenant=None) if isinstance(signer, Addresses) else body
    return Bench(
        sections=sections,
        file="the default rules" if settings is None else file,
        source=source,
        body=body,
        topic=_TOPIC,
        folder=folder,
        seconds=seconds,
        on_part=on_part,
    )


async def _until_signalled(work: Awaitable[T]) -> T:
    """Wait for the work. A signal cancels it once: what it has made is removed then, and the command is aborted."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop() -> None:
        for number in signals:
            loop.add_signal_handler(number, lambda: None)
        task.cancel()

    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        return await task
    except asyncio.CancelledError:
        raise click.Abort from None


@contextmanager
def _bar(seconds: float, shares: Mapping[str, float]) -> Iterator[Callable[[str], None]]:
    """A progress bar at a terminal, which is moved on while each part takes its time."""
    with options.progress("measuring", int(seconds / _TICK)) as bar:
        moving: set[asyncio.Task[None]] = set()

        async def move(ticks: int) -> None:
            for _ in range(ticks):
                await asyncio.sleep(_TICK)
                bar.update(1)

        def on_part(part: str) -> None:
            bar.label = f"{_NAMES.get(part, part):<11}"
            moving.add(asyncio.get_running_loop().create_task(move(int(seconds * shares[part] / _TICK))))

        yield on_part


def _plain(bench: "Bench", example: "Example", figures: "Mapping[str, Figures]", remarks: list[str]) -> dict[str, Any]:
    return {
        "at": clock.now(),
        "attribution-bridge": version("attribution-bridge"),
        "python": platform.python_version(),
        "processors": _processors(),
        "folder": str(bench.folder),
        "journal": "sqlite",
        "rules": bench.file,
        "order": {"bytes": len(example.body), "facts": example.facts, "requests": example.requests},
        "parts": {
            part: {
                "count": each.count,
                "seconds": round(each.seconds, 3),
                "p50_ms": round(each.p50, 4),
                "p99_ms": round(each.p99, 4),
                "per_second": round(each.rate, 1),
                "orders_per_day": None if part == "fsync" else each.in_a_day,
            }
            for part, each in figures.items()
        },
        "remarks": remarks,
    }


def _print(bench: "Bench", example: "Example", figures: "Mapping[str, Figures]", remarks: list[str]) -> None:
    from bridge.bench import AT_ONCE  # noqa: PLC0415  loaded only when something is measured

    click.echo(f"attribution-bridge {version('attribution-bridge')}, Python {platform.python_version()}, "
               f"{_processors()} processors")  # fmt: skip
    click.echo(f"a SQLite journal in {bench.folder}")
    click.echo(f"rules: {bench.file}")
    click.echo(
        f"an order: {len(example.body):,} bytes, {example.facts} facts, {example.requests} requests to the API\n"
    )
    click.echo(f"{'':<11}{'p50':>13}{'p99':>13}{'a second':>13}{'orders a day':>19}")
    for part, each in figures.items():
        day = "" if part == "fsync" else f"{each.in_a_day:,}"
        click.echo(
            f"{_NAMES.get(part, part):<11}{_milliseconds(each.p50):>13}{_milliseconds(each.p99):>13}"
            f"{each.rate:>13,.0f}{day:>19}".rstrip()
        )
    click.echo()
    for part, meaning in _MEANING.items():
        _say(
            meaning.format(at_once=AT_ONCE, sending=min(AT_ONCE, example.concurrency)),
            first=f"{_NAMES.get(part, part):<13}",
            then=" " * 13,
        )
    most = example.concurrency / (example.requests * _SLOW)
    click.echo()
    _say(_LEFT_OUT.format(slow=_SLOW * 1000, concurrency=example.concurrency, most=most))
    for remark in remarks:
        _say(remark, first="- ", then="  ")


def _processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _say(text: str, *, first: str = "", then: str = "") -> None:
    click.echo(textwrap.fill(text, _WIDTH, initial_indent=first, subsequent_indent=then, break_long_words=False))


def _milliseconds(value: float) -> str:
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.1f} ms" if value >= 1 else f"{value:.3f} ms"  # noqa: PLR2004
