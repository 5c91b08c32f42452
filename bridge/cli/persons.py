"""`erase` and `disclose`: what is kept about a person, handed out or taken away."""

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import msgspec

from bridge.cli import options
from bridge.cli import tenants as tenants_of
from bridge.config import read_file
from bridge.contract import Envelope, known_as
from bridge.jobs.compliance import REQUESTS, Compliance, instruction_of
from bridge.jobs.compliance import erase as erase_all
from bridge.journal import Erasure, LaneNumber, Reader, Story
from bridge.journal.rows import lane_of
from bridge.surrogates import decoded

_EVERY = 100_000  # orders of one call: all that there are
_SHAPES = (
    ("email", re.compile(r"\s*\S+@\S+\s*").fullmatch, "ada@example.com"),
    ("phone", re.compile(r"\d").search, "+441632960001"),
)
_FROM_ABROAD = re.compile(r"\s*(\+|00)[\d\s().\-/]+$")
_SHOWN = 5  # names shown


def _whom(command: options.F) -> options.F:
    """The options that say who is meant."""
    for name, meaning in (
        ("order", "An order, by the id that its shop gives it."),
        ("phone", "A phone number, as orders have it: +441632960001."),
        ("email", "An e-mail address."),
        ("customer", "A customer, by the id that its shop gives it."),
    ):
        command = click.option(f"--{name}", multiple=True, help=meaning)(command)
    return options.journal(click.option("--shop", default="", help="In one shop only.")(command))


def _erasures(asked: dict[str, Any], tenants: Sequence[str]) -> list[Erasure]:
    for name, is_one, shown in _SHAPES:
        if wrong := [given for given in asked[name] if not is_one(given)]:
            raise click.UsageError(f"--{name} {wrong[0]!r} is not valid; write it as {shown}")
    aliases = (
        *(f"customer:{one.strip()}" for one in asked["customer"]),
        *(f"email:{one.strip().lower()}" for one in asked["email"]),
        *(f"phone:{one.strip()}" for one in asked["phone"]),
    )
    if not aliases and not asked["order"]:
        raise click.UsageError("say who: --customer, --email, --phone or --order, each as often as you like")
    names = tenants_of.names_of(asked["config"], asked["shop"]) if asked["shop"] else tenants
    if asked["shop"] and not {*names} & {*tenants}:
        raise click.UsageError(f"the journal knows no shop {asked['shop']}; there are: {', '.join(tenants) or 'none'}")
    if (asked["order"] or asked["customer"]) and not asked["shop"] and len(tenants) > 1:
        # These are numbers: another shop's order or customer may have the same.
        raise click.UsageError(f"say whose order or customer it is by --shop: {', '.join(tenants)}")
    return [Erasure(tenant=shop, aliases=aliases, orders=tuple(asked["order"])) for shop in names]


@click.command()
@click.argument("ref", default="")
@_whom
@click.option("--allow", is_flag=True, help="Take in again what comes of them; not of orders that were erased.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(ref: str, **asked: Any) -> None:  # noqa: ANN401  click's parameters
    """Erase what is kept about a person, or of an order: bodies, names and history go; keys stay, so that nothing is
    sent again. What comes of them later is kept without its body, and skipped as erased.

    With REF it does what a platform asked for, where the bridge waits for your word: the very same request was carried
    out before (`request.repeated` in the log).

    Works beside a running bridge and on a stopped one. The attribution API and earlier backups are not touched.

    \b
    Examples:
      attribution-bridge erase --email ada@example.com --shop example.myshopify.com
      attribution-bridge erase 17-9a3e11f0
    """
    options.wait_for(_erase_requested(ref, asked) if ref else _erase(asked))


async def _erase_requested(ref: str, asked: dict[str, Any]) -> None:
    sources = read_file(options.chosen(asked["config"])).sources
    if not asked["yes"]:
        click.confirm("erase what this request asks for? This cannot be undone", abort=True, err=True)
    async with options.to_feed(asked["config"], asked["path"]) as journal:
        erased = await Compliance(journal=journal, sources=sources).carry_out_again(ref)
    if erased is None:
        raise click.UsageError(f"{ref} is no request to erase that waits")
    click.echo(f"erased: {erased.bodies} documents of {erased.orders} orders; the request is carried out")


async def _erase(asked: dict[str, Any]) -> None:
    async with options.to_feed(asked["config"], asked["path"]) as journal:
        erasures = _erasures(asked, await journal.tenants())
        if asked["allow"]:
            allowed = sum([await journal.allow(one) for one in erasures])
            click.echo(f"{allowed} names are no longer blocked")
            return
        await _recognisable(journal, asked, [one.tenant for one in erasures])
        waiting = await _waiting_requests(journal)
        erasures = [replace(one, left=waiting) for one in erasures]
        total = sum([len(await journal.lanes(one, limit=_EVERY)) for one in erasures])
        if not asked["yes"]:
            click.confirm(_question(total), abort=True, err=True)
        orders = bodies = 0
        is_lasting = True
        with options.progress("erasing", total) as bar:
            for one in erasures:
                erased = await erase_all(journal, one, came_to=bar.update)
                orders, bodies = orders + erased.orders, bodies + erased.bodies
                is_lasting = is_lasting and erased.is_lasting
        if waiting:
            click.echo(f"left: {len(waiting)} requests of platforms, until they have been carried out", err=True)
    if total:
        click.echo(f"erased: {bodies} documents of {orders} orders; their keys stay, and what comes later is skipped")
    else:
        click.echo("nothing is kept under these names, so nothing was erased; what comes later under them is skipped")
    if not is_lasting:
        click.echo("a reader keeps an older picture: its pages leave the journal's log when it is done", err=True)


async def _recognisable(journal: Reader, asked: dict[str, Any], tenants: Sequence[str]) -> None:
    """Refuse what was typed if the journal does not recognise the person by it. Otherwise you would believe that the
    person was dealt with."""
    for phone in asked["phone"]:
        if not _FROM_ABROAD.match(phone) and not await _kept(journal, tenants, aliases=(f"phone:{phone.strip()}",)):
            raise click.UsageError(
                f"nothing is kept under --phone {phone!r}, and without the code of its country later orders would "
                "not be recognised by it; write it as +441632960001"
            )
    for order in asked["order"]:
        if not await _kept(journal, tenants, orders=(order,)) and (
            names := await _orders_of_name(journal, tenants, order)
        ):
            raise click.UsageError(
                f"--order {order!r} is no order's id; it names {', '.join(names[:_SHOWN])}: write that"
            )


async def _orders_of_name(journal: Reader, tenants: Sequence[str], text: str) -> Sequence[str]:
    """Orders that go by it, by their ids."""
    lanes = [lane for tenant in tenants for lane in await journal.find(text, tenant=tenant)]
    return [story.order for lane in lanes if (story := await journal.story(lane)) is not None]


async def _kept(journal: Reader, tenants: Sequence[str], **whom: Any) -> bool:  # noqa: ANN401  parts of an erasure
    """Whether anything is kept of them."""
    return any([await journal.lanes(Erasure(tenant=tenant, **whom), limit=1) for tenant in tenants])


def _question(total: int) -> str:
    if not total:
        return "nothing is kept about them; skip what comes of them later?"
    return f"erase {total} orders and other documents? This cannot be undone"


async def _waiting_requests(journal: Reader) -> tuple[LaneNumber, ...]:
    """Lanes of requests of a platform that are still to be carried out: if they were erased with the rest, they would
    be forgotten."""
    return tuple([parked.lane async for parked in journal.parked(REQUESTS)])


@click.command()
@click.argument("ref", default="")
@_whom
@click.option("--done", is_flag=True, help="Say that the request REF has been answered, and end it.")
def disclose(ref: str, **asked: Any) -> None:  # noqa: ANN401  click's parameters
    """Print as JSON all that is kept about a person: for a platform's request (REF, from `dead list --each --reason
    'not carried out yet'`), or by name. It is personal data.

    Exits 1 where nothing is kept.

    \b
    Examples:
      attribution-bridge disclose 17-9a3e11f0 > for-the-customer.json
      attribution-bridge disclose 17-9a3e11f0 --done
    """
    if asked["done"]:
        _conclude(ref, asked)
        return
    found = options.wait_for(_disclosed(ref, asked))
    click.echo(msgspec.json.format(msgspec.json.encode(found, enc_hook=str), indent=2).decode())
    if not found:
        click.echo("nothing is kept about them", err=True)
        sys.exit(1)


def _conclude(ref: str, asked: dict[str, Any]) -> None:
    async def concluded() -> int:
        async with options.to_act(asked["config"], asked["path"]) as journal:
            return await journal.conclude(ref)

    if not options.wait_for(concluded()):
        raise click.UsageError(f"{ref or 'nothing'} is no request of a platform that waits")
    click.echo("carried out")


async def _disclosed(ref: str, asked: dict[str, Any]) -> list[dict[str, object]]:
    async with options.to_read(asked["config"], asked["path"]) as journal:
        erasures = await _requested(journal, ref, asked["config"]) if ref else _erasures(asked, await journal.tenants())
        lanes = {lane for one in erasures for lane in await journal.lanes(one, limit=_EVERY)}
        return [await _of_order(journal, lane) for lane in sorted(lanes)]


async def _requested(journal: Reader, ref: str, config: Path | None) -> list[Erasure]:
    """Find the persons that the request is about."""
    lane = lane_of(ref)
    story = await journal.story(lane) if lane is not None else None
    sources = read_file(options.chosen(config)).sources
    for found in story.documents if story is not None else ():
        document = await journal.document(int(str(found["seq"])))
        told = instruction_of(sources, document)
        if document is not None and told is not None and told.task == "disclose":
            names = known_as(sources.values(), document.tenant)
            return [Erasure(tenant=name, aliases=told.aliases, orders=told.orders) for name in names]
    raise click.UsageError(f"{ref} is no request to disclose what is kept about a person")


async def _of_order(journal: Reader, lane: LaneNumber) -> dict[str, object]:
    story = await journal.story(lane)
    if story is None:
        return {}
    documents = [await journal.document(int(str(found["seq"]))) for found in story.documents]
    return {
        "shop": story.tenant,
        "order": story.order,
        "documents": [
            {**found, "body": _body(document)} for found, document in zip(story.documents, documents, strict=True)
        ],
        "sent": _without_ids(story),
    }


def _without_ids(story: Story) -> list[dict[str, object]]:
    names = ("dest", "fact", "once", "state", "occurred", "settled", "amount")
    return [{name: fact[name] for name in names if name in fact} for fact in story.facts]


def _body(document: Envelope | None) -> object:
    if document is None or not document.raw:
        return None
    try:
        return decoded(msgspec.json.decode, document.raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return document.raw.decode(errors="replace")
