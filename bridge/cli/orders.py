"""`orders`: what became of an order."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from bridge.cli import documents, options, tenants
from bridge.cli.account import account
from bridge.cli.listing import list_
from bridge.contract import Envelope, Reason
from bridge.delivery.outage import outage_of
from bridge.dry_run.deliveries import settings_of
from bridge.journal import LaneNumber, Reader, Story

_BY_HAND = frozenset({Reason.RETRIED_BY_HAND, Reason.SENT_BY_HAND})


@click.group()
def orders() -> None:
    """Ask what became of an order."""


@orders.command()
@click.argument("text")
@options.journal
@click.option("--shop", default="", help="Look in one shop only.")
@click.option("--requests", is_flag=True, help="What the rules in force make of its documents. It is personal data.")
@click.option("--body", is_flag=True, help="Its documents as they came. They are personal data.")
@click.option(
    "--as-case", "case", type=click.Path(path_type=Path, file_okay=False), help="Make a test of it: a folder."
)
@options.as_json
def show(text: str, config: Path | None, path: Path | None, shop: str, **asked: Any) -> None:  # noqa: ANN401  click's
    """Tell everything that is known of an order: by its id, name (#1042), e-mail, phone, customer or checkout, or by
    the id of one of its deliveries (a webhook's; of a Kafka record topic/partition/offset).

    --as-case writes its documents, with persons replaced, and what the rules in force make of them, for `test`.
    Works beside a running bridge and on a stopped one. Exits 1 where nothing is known.

    \b
    Examples:
      attribution-bridge orders show '#1042'
      attribution-bridge orders show '#1042' --as-case tests/a-strange-order
    """
    _check(text, asked)
    found, looked_in = options.wait_for(_stories(config, path, text, shop))
    if not found:
        click.echo(f"nothing is known of {text}: {looked_in}{_advice(text)}", err=True)
        sys.exit(1)
    if asked["case"] and len(found) > 1:
        raise click.UsageError(f"{len(found)} orders go by {text}: name one by its id")
    if asked["as_json"]:
        options.print_json([asdict(story) for story, _ in found])
    for story, known in found:
        if not asked["as_json"]:
            _print(story)
        _print_documents(known, config, asked)


def _check(text: str, asked: Mapping[str, Any]) -> None:
    """Raises UsageError for what makes no sense."""
    if not text.strip():
        raise click.UsageError("name the order: by its id, name (#1042), e-mail, phone, customer, checkout or delivery")
    if asked["as_json"] and (asked["body"] or asked["requests"]):
        raise click.UsageError("--json has the story alone: leave --body and --requests away, or --json")


def _print_documents(known: Sequence[Envelope], config: Path | None, asked: Mapping[str, Any]) -> None:
    if asked["body"]:
        documents.print_bodies(known)
    if asked["requests"]:
        documents.print_requests(known, settings_of(options.chosen(config)))
    if asked["case"]:
        documents.write_case(asked["case"], known, settings_of(options.chosen(config)))


def _advice(text: str) -> str:
    """Advice on numbers. They are known as they were typed and, if the order has the country, with its code."""
    if not re.fullmatch(r"(?=0|.*[\s().\-/])[\d\s().\-/]{6,}", text):
        return ""
    return "; if it is a phone number, write it with the code of its country: +44 20 ..."


async def _stories(
    config: Path | None, path: Path | None, text: str, shop: str
) -> tuple[Sequence[tuple[Story, Sequence[Envelope]]], str]:
    """The stories with their documents; where there is none, also what was looked through."""
    shops = tenants.names_of(config, shop) if shop else ("",)
    async with options.to_read(config, path) as journal:
        found = [lane for one in shops for lane in await journal.find(text, tenant=one)]
        lanes = dict.fromkeys(found or await _delivered(journal, text, config))
        stories = [story for lane in lanes if (story := await journal.story(lane)) is not None]
        found_here = [
            (await _explained(journal, story), await documents.of(story, journal))
            for story in stories
            if not shop or story.tenant in shops
        ]
        return found_here, "" if found_here else await _looked_in(journal, config, path)


async def _looked_in(journal: Reader, config: Path | None, path: Path | None) -> str:
    count = (await journal.stats()).lanes
    name = options.store(config, path).name
    orders = "1 order" if count == 1 else f"{count} orders"
    return f"no order or delivery goes by it in the journal {name}, which has {orders}"


async def _delivered(journal: Reader, text: str, config: Path | None) -> Sequence[LaneNumber]:
    """Lanes with a delivery of this id."""
    sources = options.sources(config)
    return [lane for source in sources for lane in await journal.find_delivery(source, text.strip())]


async def _explained(journal: Reader, story: Story) -> Story:
    """Add to the story the trouble of each destination that it waits for."""
    troubles = {dest: await outage_of(journal, dest) for dest in {str(row["dest"]) for row in story.waiting}}
    return replace(story, waiting=[{**row, "trouble": troubles[str(row["dest"])]} for row in story.waiting])


def _print(story: Story) -> None:
    click.echo(f"order {story.order} of {story.tenant}")
    click.echo(" received")
    options.table(
        [
            ("  ", options.when(d["received"]), d["seq"], d["topic"], d["id"], f"{d['size']} bytes")
            for d in story.documents
        ]
    )
    if story.facts:
        click.echo(" facts")
        options.table(
            [
                (
                    "  ",
                    options.when(f["settled"]),
                    f["dest"] or "-",
                    f["fact"],
                    f["once"],
                    f["state"],
                    f["amount"],
                    _why(f),
                )
                for f in story.facts
            ]
        )
    if story.waiting:
        click.echo(" waiting")
        options.table(
            [("  ", options.when(w["due"]), w["dest"], f"document {w['seq']}", _because(w)) for w in story.waiting]
        )
    if story.attempts:
        click.echo(" attempts that came to nothing")
        options.table([("  ", options.when(a["at"]), a["dest"], a["fact"], _why(a)) for a in story.attempts])
    for heading, is_meant in ((" by hand", True), (" nothing to send", False)):
        skips = [v for v in story.skips if (v["reason"] in _BY_HAND) == is_meant]
        if skips:
            click.echo(heading)
            options.table([("  ", options.when(v["at"]), v["dest"] or "-", v["rule"] or "-", _why(v)) for v in skips])


def _why(row: Mapping[str, object]) -> str:
    return " ".join(str(row[name]) for name in ("reason", "detail") if row[name])


def _because(row: Mapping[str, object]) -> str:
    state = f"rule {row['held']} is held" if row["held"] else f"tried {row['attempt']} times"
    return f"{state}; {row['dest']} {row['trouble']}" if row["trouble"] else state


orders.add_command(account)
orders.add_command(list_)
