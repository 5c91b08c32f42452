"""`orders`: what became of an order."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import click

from bridge.cli import options, tenants
from bridge.cli.account import account
from bridge.cli.listing import list_
from bridge.contract import Reason
from bridge.delivery.outage import outage_of
from bridge.journal import LaneNumber, Reader, Story

_BY_HAND = frozenset({Reason.RETRIED_BY_HAND, Reason.SENT_BY_HAND})


@click.group()
def orders() -> None:
    """Ask what became of an order."""


@orders.command()
@click.argument("text")
@options.journal
@click.option("--shop", default="", help="Look in one shop only.")
@options.as_json
def show(text: str, config: Path | None, path: Path | None, shop: str, as_json: bool) -> None:  # noqa: FBT001
    """Tell everything that is known of an order: by its id, name (#1042), e-mail, phone, customer or checkout, or by
    the id of one of its deliveries (a webhook's; of a Kafka record topic/partition/offset).

    Works beside a running bridge and on a stopped one. Exits 1 where nothing is known.

    \b
    Example:
      attribution-bridge orders show '#1042'
    """
    if not text.strip():
        raise click.UsageError("name the order: by its id, name (#1042), e-mail, phone, customer, checkout or delivery")
    stories, looked_in = options.wait_for(_stories(config, path, text, shop))
    if as_json:
        options.print_json([asdict(story) for story in stories])
    for story in () if as_json else stories:
        _print(story)
    if not stories:
        click.echo(f"nothing is known of {text}: {looked_in}{_advice(text)}", err=True)
        sys.exit(1)


def _advice(text: str) -> str:
    """Advice on numbers. They are known as they were typed and, if the order has the country, with its code."""
    if not re.fullmatch(r"(?=0|.*[\s().\-/])[\d\s().\-/]{6,}", text):
        return ""
    return "; if it is a phone number, write it with the code of its country: +44 20 ..."


async def _stories(config: Path | None, path: Path | None, text: str, shop: str) -> tuple[Sequence[Story], str]:
    """The stories; where there is none, also what was looked through."""
    shops = tenants.names_of(config, shop) if shop else ("",)
    async with options.to_read(config, path) as journal:
        found = [lane for one in shops for lane in await journal.find(text, tenant=one)]
        lanes = dict.fromkeys(found or await _delivered(journal, text, config))
        stories = [story for lane in lanes if (story := await journal.story(lane)) is not None]
        found_here = [await _explained(journal, story) for story in stories if not shop or story.tenant in shops]
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
