"""A platform's own commands, for every connector that can do errands: `attribution-bridge shopify subscribe`."""

import copy
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import click

from bridge import clock, journals
from bridge.cli import options, tenants
from bridge.config import Settings, read_file
from bridge.errand import Admin, Finding
from bridge.jobs.compliance import paused_mark
from bridge.jobs.errands import ErrandRunner, performing
from bridge.jobs.reconciliation import Reconciliation, Tally

_MARKS = {"well": "ok", "mended": "mended", "would": "would", "wrong": "WRONG", "other": "-"}
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")


def platform_of(name: str) -> click.Group:
    """The commands of one connector, with examples that name it."""
    group = click.Group(name, help=f"Ask {name} itself: subscriptions, a check-up, and what never came.")
    for command in (subscribe, doctor, reconcile):
        own = copy.copy(command)
        own.help = (command.help or "").replace("attribution-bridge shopify", f"attribution-bridge {name}")
        group.add_command(own)
    return group


@click.command()
@options.config
@tenants.source
@tenants.shop
@_dry_run
@options.as_json
@click.pass_context
def subscribe(ctx: click.Context, /, **asked: Any) -> None:  # noqa: ANN401  click's parameters
    """Make, correct and list the webhook subscriptions that the rules need, and no more. As often as you like.

    Exits 1 where something is wrong that it cannot mend, and with --dry-run where something would be done.

    \b
    Example:
      attribution-bridge shopify subscribe --dry-run
    """
    dry_run: bool = asked["dry_run"]
    _findings(
        ctx,
        asked,
        lambda admin, tenant, kinds: admin.subscribe(tenant, kinds=kinds, dry_run=dry_run),
    )
    if not dry_run:
        options.wait_for(_go_on(ctx, asked))


@click.command()
@options.config
@tenants.source
@tenants.shop
@options.as_json
@click.pass_context
def doctor(ctx: click.Context, /, **asked: Any) -> None:  # noqa: ANN401  click's parameters
    """Look at all that must be right for orders to come: access, address, subscriptions, secret, clock.

    Changes nothing. Exits 1 where something is wrong; each line says how to mend it.

    \b
    Example:
      attribution-bridge shopify doctor
    """
    _findings(ctx, asked, lambda admin, tenant, kinds: admin.examine(tenant, kinds=kinds, now=clock.now()))


@click.command()
@click.option("--since", required=True, help="What changed from then on: 7d, 12h, or an instant with its zone.")
@click.option("--until", help="Only what changed up to then. Default: now.")
@options.config
@tenants.source
@tenants.shop
@_dry_run
@click.option("--restart", is_flag=True, help="Begin anew, where the last one with this --since was broken off.")
@options.as_json
@click.pass_context
def reconcile(ctx: click.Context, /, **asked: Any) -> None:  # noqa: ANN401  click's parameters
    """Ask the shop for its orders, and take in what never came. What is settled is not sent again.

    Works beside a running bridge, which sends what was found; without one it is sent at the next start. Broken off, it
    goes on where it was when it is asked for the same --since again.

    \b
    Example:
      attribution-bridge shopify reconcile --since 7d --dry-run
    """
    tallies = options.wait_for(_reconciled(ctx, asked))
    if asked["as_json"]:
        options.print_json([{"source": s, "shop": t, **_plain(tally)} for (s, t), tally in tallies.items()])
        return
    for (_, tenant), tally in tallies.items():
        _print_tally(tenant, tally, dry_run=asked["dry_run"])


# -- what they share ---------------------------------------------------------------------------------------------------


def _meant(ctx: click.Context, settings: Settings, asked: Mapping[str, Any]) -> Sequence[tuple[str, str, Admin]]:
    """Select what a person means, among the shops of the connector whose command this is."""
    connector = ctx.parent.info_name if ctx.parent is not None else None
    return tenants.meant(settings, asked, connector=connector or "")


def _findings(ctx: click.Context, asked: Mapping[str, Any], errand: Callable[[Admin, str, Any], Any]) -> None:
    found = options.wait_for(_found(ctx, asked, errand))
    if asked["as_json"]:
        options.print_json([{"source": s, "shop": t, **asdict(finding)} for s, t, finding in found])
    else:
        _print_findings(found)
    if any(finding.state in ("wrong", "would") for _, _, finding in found):
        sys.exit(1)


async def _found(
    ctx: click.Context, asked: Mapping[str, Any], errand: Callable[[Admin, str, Any], Any]
) -> Sequence[tuple[str, str, Finding]]:
    settings = read_file(options.chosen(asked["config"]))
    found: list[tuple[str, str, Finding]] = []
    async with performing(on_note=tenants.say) as performer:
        for source, tenant, admin in _meant(ctx, settings, asked):
            kinds = settings.rules.kinds & settings.sources[source].kinds().keys()
            findings = await performer.perform(errand(admin, tenant, kinds))
            found += [(source, tenant, finding) for finding in findings]
    return found


def _print_findings(found: Sequence[tuple[str, str, Finding]]) -> None:
    shop = ""
    for _, tenant, finding in found:
        if tenant != shop:
            click.echo(tenant)
            shop = tenant
        click.echo(f"  {_MARKS[finding.state]:<6}  {finding.subject}: {finding.detail}".rstrip(": "))
        if finding.cure:
            click.echo(f"          -> {finding.cure}")


async def _go_on(ctx: click.Context, asked: Mapping[str, Any]) -> None:
    """Let errands go on that were paused when the app was uninstalled: a person who subscribes has the app in the shop
    again."""
    settings = read_file(options.chosen(asked["config"]))
    store = journals.store_of(settings.journal)
    if store.is_new():
        return
    marks = [paused_mark(source, tenant) for source, tenant, _ in _meant(ctx, settings, asked)]
    async with store.reading() as journal:
        paused = [mark for mark in marks if await journal.recall(mark)]
    if paused:
        async with store.feeding(destinations=list(settings.destinations)) as feeding:
            for mark in paused:
                await feeding.remember(mark, "")


# -- reconcile ---------------------------------------------------------------------------------------------------------


async def _reconciled(ctx: click.Context, asked: Mapping[str, Any]) -> dict[tuple[str, str], Tally]:
    settings = read_file(options.chosen(asked["config"]))
    now = clock.now()
    since, until = tenants.span(asked, now)
    tallies: dict[tuple[str, str], Tally] = {}
    chosen = _meant(ctx, settings, asked)
    feeding = journals.store_of(settings.journal).feeding(destinations=list(settings.destinations))
    async with performing(on_note=tenants.say) as performer, feeding as journal:
        for source, tenant, admin in chosen:
            work = Reconciliation(journal=journal, source=source, tenant=tenant, dry_run=asked["dry_run"])
            tallies[source, tenant] = await _with_progress(work, admin, performer, asked, (since, until))
    return tallies


async def _with_progress(
    work: Reconciliation,
    admin: Admin,
    performer: ErrandRunner,
    asked: Mapping[str, Any],
    span: tuple[datetime, datetime],
) -> Tally:
    """Reconcile with a progress bar, from where the last run was broken off."""
    since, until = span
    work.mark = f"reconciling:{work.source}:{work.tenant}:{asked['since']}"
    began = None if asked["restart"] else await work.journal.recall(work.mark)
    if began:
        tenants.say(f"{work.tenant}: going on at {began}, where the last one was broken off (--restart begins anew)")
        since = max(since, datetime.fromisoformat(began) - admin.schedule.overlap)
    length = max(1, int((until - since).total_seconds()))
    with options.progress(work.tenant, length) as bar:

        def came_to(upto: datetime, tally: Tally) -> None:
            bar.label = f"{work.tenant}: {tally.found} orders"
            bar.update(int((upto - since) / timedelta(seconds=1)) - bar.pos)

        work.came_to = came_to
        tally = await work.made(admin, performer, since=since, until=until, now=clock.now())
    if not work.dry_run:
        await work.journal.remember(work.mark, "")
    return tally


def _plain(tally: Tally) -> dict[str, object]:
    return {**asdict(tally), "healed": tally.healed, "skipped": dict(tally.skipped)}


def _print_tally(tenant: str, tally: Tally, *, dry_run: bool) -> None:
    click.echo(tenant)
    healed = "would be taken in" if dry_run else "taken in"
    rows = [
        ("found", tally.found, "orders that changed then, at the shop"),
        ("already", tally.already, "are in the journal as new as that"),
        ("missing", tally.missing, f"were not known: {healed}"),
        ("newer", tally.newer, f"have changed since: {healed}"),
        *(("skipped", count, reason) for reason, count in sorted(tally.skipped.items())),
    ]
    for name, count, meaning in rows:
        click.echo(f"  {name:<8} {count:>8}  {meaning}")
