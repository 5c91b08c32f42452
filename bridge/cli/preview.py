"""`preview`: what each rule says of a payload, and the exact requests, without sending."""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from bridge import clock
from bridge.cli import options
from bridge.cli.sender import unpacked
from bridge.config import Settings
from bridge.contract import Payload, Reason, Source, StreamSource
from bridge.dry_run import DryRun, Verdict
from bridge.dry_run.deliveries import Posted, Streamed, only_source, settings_of
from bridge.dry_run.request_text import as_json as verdict_as_json
from bridge.dry_run.request_text import lines, written
from bridge.errors import Refusal

_BAD = (Reason.RULE_FAILED, Reason.REFUSED, Reason.CONNECTOR_FAILED)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, allow_dash=True))
@options.config
@click.option("--source", help="The source's name in the configuration. Default: the only source.")
@click.option("--topic", help="The topic. Default: one that brings a document of this shape, else the source's first.")
@click.option("--shop", help="The shop. Default: the source's first.")
@click.option("--at", help="When it came: 2026-11-21T12:00:00Z, or 7d or 12h ago. Default: now.")
@options.as_json
def preview(paths: tuple[Path, ...], **asked: object) -> None:
    """Say what each rule makes of a payload (a file, the files of a folder, - for standard input). Nothing is sent.

    No secret is needed. The API's answers are the stand-ins of shadow mode. Each document is looked at by itself, also
    of an answer of Shopify's REST API, such as {"orders": [...]}. Exits 1 where a rule fails or a file is refused.

    \b
    Examples:
      attribution-bridge preview order.json
      attribution-bridge preview payloads/ --topic orders/updated --at 2026-11-21T12:00:00Z
    """
    settings = settings_of(options.chosen(asked["config"]))  # type: ignore[arg-type]  # click gives a path or None
    is_well = True
    source = str(asked["source"] or only_source(settings))
    for path in list(_files(paths)):
        for each in unpacked(path, settings.sources.get(source)):
            try:
                verdicts = _verdicts(settings, source, each, asked)
            except Refusal as refusal:
                why = f"{refusal}{_hint(settings, source, each, asked)}"
                verdicts = [Verdict(destination="", rule="", word="refused at the door", why=why)]
                is_well = False
            is_well = is_well and not any(verdict.word in _BAD for verdict in verdicts)
            _print(path, each.place, verdicts, as_json=bool(asked["as_json"]))
    sys.exit(0 if is_well else 1)


def _hint(settings: Settings, source: str, payload: Payload, asked: dict[str, object]) -> str:
    """The hint for a refused document whose topic was only supposed."""
    if asked["topic"] or payload.topic:
        return ""
    topic = _topic(settings.sources.get(source), None)
    return f"; without --topic it is taken for one of {topic}: say with --topic which topic brings it"


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            found = sorted(each for each in path.iterdir() if each.suffix == ".json")
            if not found:
                raise click.UsageError(f"{path} holds no .json file: there is nothing to look at")
            yield from found
        else:
            yield path


def _verdicts(settings: Settings, source: str, payload: Payload, asked: dict[str, object]) -> Sequence[Verdict]:
    now = clock.now()
    received_at = options.moment("at", str(asked["at"]), now) if asked["at"] is not None else now
    topic, body = _topic(settings.sources.get(source), asked["topic"] or payload.topic), payload.body
    delivery: Posted | Streamed
    if isinstance(settings.sources.get(source), StreamSource):
        delivery = Streamed(source=source, topic=topic, value=body, received_at=received_at, offset=0)
    else:
        shop = None if asked["shop"] is None else str(asked["shop"])
        delivery = Posted(source=source, topic=topic, body=body, received_at=received_at, shop=shop, id="preview")
    return delivery.walk(DryRun(settings), settings)


def _topic(source: Source | None, given: object) -> str:
    """The topic that is meant. A topic that a stream source does not read is an error of the person who asks."""
    known = [] if source is None else list(source.topics())
    topic = str(given or next(iter(known), ""))
    if isinstance(source, StreamSource) and topic not in known:
        pattern = source.subscription().pattern
        if pattern is None or re.fullmatch(pattern, topic) is None:
            raise click.UsageError(f"--topic: the source does not read {topic or 'a topic without a name'}; "
                                   f"it reads {', '.join(known) or pattern}")  # fmt: skip
    return topic


def _print(path: Path, place: str, verdicts: Sequence[Verdict], *, as_json: bool) -> None:
    if as_json:
        named = {"file": str(path), **({"document": place} if place else {})}
        click.echo(written({**named, "verdicts": [verdict_as_json(verdict) for verdict in verdicts]}), nl=False)
        return
    click.echo(f"{path}: {place}" if place else str(path))
    for line in lines(verdicts):
        click.echo(line)
