"""The documents of an order for `orders show`: as they came, what the rules in force make of them, and as a test."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from bridge.cli import options
from bridge.config import Settings
from bridge.contract import Envelope, StreamSource
from bridge.dry_run import DryRun, cases
from bridge.dry_run.persons import without_persons
from bridge.dry_run.request_text import decoded, lines, written
from bridge.errors import BridgeError
from bridge.journal import Reader, Story


async def of(story: Story, journal: Reader) -> Sequence[Envelope]:
    """The documents of an order, the oldest first. A body that was removed is empty."""
    found = [await journal.document(int(str(row["seq"]))) for row in story.documents]
    return [document for document in found if document is not None]


def print_bodies(documents: Sequence[Envelope]) -> None:
    """Print each document as it came."""
    for document in documents:
        click.echo(_heading(document))
        click.echo(_readable(document) if document.raw else "  its body was removed")


def print_requests(documents: Sequence[Envelope], settings: Settings) -> None:
    """Print what the rules in force make of the documents, one after the other, as if nothing had been sent yet."""
    dry_run = DryRun(settings)
    for document in documents:
        click.echo(_heading(document))
        for line in lines(dry_run.map(document)) if document.raw else ("  its body was removed",):
            click.echo(line)


def write_case(folder: Path, documents: Sequence[Envelope], settings: Settings) -> None:
    """Write a case of `test` into a new folder: the documents with persons replaced, and what is expected of them.

    Raises BridgeError if the folder has something in it, or no document has its body any more.
    """
    kept = [document for document in documents if document.raw]
    if not kept:
        raise BridgeError("no document of this order has its body any more: there is nothing to make a test of")
    if folder.exists() and any(folder.iterdir()):
        raise BridgeError(f"{folder} is not empty: name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    for number, document in enumerate(kept, 1):
        (folder / f"{number}.json").write_text(_without_persons(document), encoding="utf-8")
    (folder / cases.CASE).write_text("".join(_case(kept, settings)), encoding="utf-8")
    case = cases.read(folder, settings)
    case.update(case.outcome(settings))
    click.echo(f"{folder}: {len(kept)} documents and what the rules in force make of them; read it before you keep it: "
               "what names a person under a key of your own is still there")  # fmt: skip
    click.echo(f"run it: {options.typed_as()} test {folder}")


def _case(documents: Sequence[Envelope], settings: Settings) -> Iterator[str]:
    """The text of case.yaml. JSON within it is YAML too."""
    first = documents[0]
    yield f"source: {json.dumps(first.source)}\nreceived_at: {first.received_at.isoformat()}\ndeliveries:\n"
    for number, document in enumerate(documents, 1):
        is_stream = isinstance(settings.sources.get(document.source), StreamSource)
        told = {
            "value" if is_stream else "body": f"{number}.json",
            "source": document.source,
            "topic": document.topic,
            "received_at": document.received_at.isoformat(),
        }
        if not is_stream:
            told |= {"id": str(number), "shop": document.tenant}
        yield f"  - {json.dumps(told)}\n"


def _without_persons(document: Envelope) -> str:
    try:
        return written(without_persons(decoded(document.raw)))
    except (ValueError, RecursionError):
        raise BridgeError(f"{document.topic} of {document.received_at:%Y-%m-%d %H:%M:%S} is no JSON: "
                          "persons in it cannot be replaced, so no test is made of it") from None  # fmt: skip


def _heading(document: Envelope) -> str:
    return f"{document.topic} from {document.source}, {options.when(document.received_at)}"


def _readable(document: Envelope) -> str:
    try:
        return written(decoded(document.raw)).rstrip("\n")
    except (ValueError, RecursionError):
        return document.raw.decode(errors="backslashreplace")
