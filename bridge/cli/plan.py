"""`plan`: what other rules would make of the orders that the journal holds, without sending."""

import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import click
import msgspec

from bridge import clock
from bridge.cli import options
from bridge.config import Settings
from bridge.contract import Envelope, Payload, WebhookSource
from bridge.dry_run.deliveries import Posted, documents, settings_of
from bridge.dry_run.plan import SORTS, Plan, Planner
from bridge.errors import Problem, Refusal
from bridge.fact_names import naming, united_names
from bridge.journal import Reader
from bridge.journal.sqlite import opened

_PAGE = 64  # orders read at a time
_MEANING = {
    "added": "given now, and not before",
    "removed": "given before, and not now",
    "changed": "given with other content",
    "sent": "would be sent when their orders come again: no key holds them",
    "failing": "cannot be made: the rule fails",
}


@click.command()
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False, exists=True), required=True,
              help="The new configuration.")  # fmt: skip
@click.option("--against", type=click.Path(path_type=Path, dir_okay=False, exists=True),
              help="The configuration to compare with. Default: ./bridge.yaml, if the new one is another file; "
              "else the keys in the journal.")  # fmt: skip
@click.option("--journal", "path", type=click.Path(path_type=Path, dir_okay=False),
              help="The file of a SQLite journal. Default: what the new configuration says.")  # fmt: skip
@click.option("--since", help="Only what came from then on: 7d, 12h, or an instant with its zone.")
@click.option("--until", help="Only what came before then.")
@click.option(
    "--envelopes",
    type=click.File("rb"),
    help="Instead of a journal: envelopes (JSON Lines), or orders as files of Shopify's API.",
)
@options.as_json
def plan(**asked: Any) -> None:  # noqa: ANN401  click's parameters
    """Apply new rules to what the journal holds, and say which facts would differ. Sends and writes nothing.

    Facts are counted once, by rule and key, with samples. Reads beside a running bridge. Exits 1 where `run` would
    refuse the rules because of what this journal has keys of: a fact that seems to be renamed.

    \b
    Example:
      attribution-bridge plan --config new.yaml --since 7d
    """
    config: Path = asked["config"]
    against = asked["against"] or (options.DEFAULT if _is_another(config) else None)
    settings = settings_of(config)
    old = None if against is None else settings_of(against)
    found, refused = options.wait_for(_planned(settings, old, asked))
    if asked["as_json"]:
        options.print_json({**_plain(found), "refused": [str(problem) for problem in refused]})
    else:
        _print(found, against)
        for problem in refused:
            click.echo(f"`run` would refuse this: {problem}")
    sys.exit(1 if refused else 0)


def _is_another(config: Path) -> bool:
    return options.DEFAULT.exists() and not options.DEFAULT.samefile(config)


async def _planned(settings: Settings, old: Settings | None, asked: dict[str, Any]) -> tuple[Plan, list[Problem]]:
    now = clock.now()
    span = {name: options.moment(name, asked[name], now) if asked[name] else None for name in ("since", "until")}
    async with _journal(asked, settings) as journal:
        united = await united_names(journal)
        planner = Planner(
            settings.rules, list(settings.destinations), None if old is None else old.rules, united=united
        )
        total = (await journal.stats()).envelopes
        with options.progress("documents", total) as bar:
            after = 0
            while page := await journal.orders(after=after, limit=_PAGE, **span):
                for kept in page:
                    planner.add(kept)
                bar.update(sum(len(kept.documents) for kept in page))
                after = page[-1].lane
        return planner.plan, (await naming(journal, settings)).renamed()


@asynccontextmanager
async def _journal(asked: dict[str, Any], settings: Settings) -> AsyncIterator[Reader]:
    if asked["envelopes"] is None:
        async with options.to_read(asked["config"], asked["path"]) as journal:
            yield journal
        return
    with TemporaryDirectory(prefix="plan-") as folder:
        # Name some destination, although nobody serves it: a document that is no destination's work is not taken in.
        async with opened(Path(folder) / "journal.db", destinations=("plan",)) as own:
            # Envelopes of one order need not stand together: this gathers them, within a bound of memory.
            for envelope in _envelopes(asked["envelopes"], settings):
                await own.append(envelope)
            yield own


def _envelopes(file: IO[bytes], settings: Settings) -> Iterator[Envelope]:
    """Read the envelopes in a file, one a line. The file may also hold documents, as if each had just come: one a line,
    or one in the whole file."""
    decode = msgspec.json.Decoder(Envelope).decode
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            yield decode(line)
        except msgspec.DecodeError as problem:
            found = _documents(line, settings) or (_documents(line + file.read(), settings) if number == 1 else ())
            if not found:
                raise click.UsageError(f"--envelopes: line {number}: {problem}") from None
            for at, payload in enumerate(found):
                yield _arrived(payload, f"{number}-{at}", settings)


def _documents(body: bytes, settings: Settings) -> Sequence[Payload]:
    """The documents in a file, where the only source knows them by their shape."""
    source = next(iter(settings.sources.values())) if len(settings.sources) == 1 else None
    found = documents(source, body)
    return found if isinstance(source, WebhookSource) and all(each.topic for each in found) else ()


def _arrived(payload: Payload, delivery_id: str, settings: Settings) -> Envelope:
    (name, source), now = next(iter(settings.sources.items())), clock.now()
    posted = Posted(source=name, body=payload.body, received_at=now, topic=payload.topic, id=delivery_id)
    arrival = posted.arrival(settings)
    assert isinstance(source, WebhookSource)  # noqa: S101 - _documents gives none of another
    try:
        return source.read(arrival, source.verify(arrival))
    except Refusal as refusal:
        raise click.UsageError(f"--envelopes: {payload.place or 'the file'}: {refusal}") from None


def _print(found: Plan, against: Path | None) -> None:
    compared = f"compared with {against}" if against else "compared with the keys that are held (content is not kept)"
    click.echo(f"{found.documents} documents, {compared}")
    if found.without_body:
        click.echo(f"{found.without_body} of them have no body any more, and were left out")
    for sort in SORTS:
        if found.total(sort):
            click.echo(f"{sort:<8} {found.total(sort):>8}  {_MEANING[sort]}")
            for place, counts in sorted(found.counts.items()):
                if sort in counts:
                    _print_one(found, sort, place, counts[sort])
    if not found.counts:
        click.echo("nothing differs, and nothing would be sent")


def _print_one(found: Plan, sort: Any, place: tuple[str, str, str], count: int) -> None:  # noqa: ANN401  one of SORTS
    dest, rule, fact = place
    click.echo(f"  {count:>14}  {dest}: {rule or 'no rule'} -> {fact}")
    for sample in found.samples[(*place, sort)]:
        once = f" {sample.once}" if sample.once else ""
        click.echo(f"                    order {sample.order}{once}: {sample.detail}")


def _plain(found: Plan) -> dict[str, object]:
    return {
        "documents": found.documents,
        "without_body": found.without_body,
        "facts": [
            {
                "destination": dest,
                "rule": rule,
                "fact": fact,
                **counts,
                "samples": {
                    sort: [asdict(each) for each in found.samples.get((dest, rule, fact, sort), ())]
                    for sort in SORTS
                    if sort in counts
                },
            }
            for (dest, rule, fact), counts in sorted(found.counts.items())
        ],
    }
