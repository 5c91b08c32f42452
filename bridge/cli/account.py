"""`orders account`: shop, journal and API compared, to the order and the cent."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import click

from bridge import clock, journals
from bridge.cli import options, tenants
from bridge.config import read_file
from bridge.fact_names import united_names
from bridge.jobs.account import Account, Accountant, by_day
from bridge.jobs.errands import performing

_MOST = 20  # differences shown


@click.command()
@click.option("--since", required=True, help="Orders that changed from then on: 7d, 12h, or an instant with its zone.")
@click.option("--until", help="Orders that changed up to then. Default: now.")
@options.config
@tenants.source
@tenants.shop
@click.option("--each", is_flag=True, help="Name every difference, not only the first ones.")
@options.as_json
def account(**asked: Any) -> None:  # noqa: ANN401  click's parameters
    """Compare the shop with the journal by day: orders, facts, and the amounts that were accepted. Ask the API which of
    the accepted orders it lists. It says nothing of amounts that could be compared.

    Reads only. Exits 1 where something differs for good; what is still on its way is told, and is no difference.

    \b
    Example:
      attribution-bridge orders account --since 7d
    """
    found = options.wait_for(_accounts(asked))
    if asked["as_json"]:
        options.print_json([_plain(source, tenant, one) for (source, tenant), one in found.items()])
    else:
        for (_, tenant), one in found.items():
            _print(tenant, one, most=None if asked["each"] else _MOST)
    if not all(one.is_even() for one in found.values()):
        sys.exit(1)


async def _accounts(asked: Mapping[str, Any]) -> dict[tuple[str, str], Account]:
    settings = read_file(options.chosen(asked["config"]))
    now = clock.now()
    since, until = tenants.span(asked, now)
    meant = tenants.meant(settings, asked)
    found: dict[tuple[str, str], Account] = {}
    async with performing(on_note=tenants.say) as performer, journals.store_of(settings.journal).reading() as journal:
        united = await united_names(journal)
        for source, tenant, admin in meant:
            work = Accountant(
                journal=journal,
                rules=settings.rules,
                outlets=settings.destinations,
                source=source,
                tenant=tenant,
                united=united,
            )
            found[source, tenant] = await work.made(admin, performer, since=since, until=until, now=now)
    return found


def _print(tenant: str, account: Account, *, most: int | None) -> None:
    click.echo(f"{tenant}: {account.orders} orders changed then, at the shop")
    for reason, count in sorted(account.skipped.items()):
        click.echo(f"  {count} of them are not sent: {reason}")
    rows: list[Sequence[object]] = [("  day", "destination", "fact", "due", "accepted", "amount due", "accepted", "")]
    for (day, dest, fact), line in by_day(account):
        mark = "" if line.agrees() else "differs"
        rows.append((f"  {day}", dest, fact, line.expected, line.accepted, _sums(line.due), _sums(line.taken), mark))
    options.table(rows)
    for dest, (asked, there) in account.listed.items():
        click.echo(f"  {dest} lists {there} of the {asked} orders that it accepted")
    if account.unreadable:
        click.echo(f"  {account.unreadable} of its deliveries could not be read: see `dead list --reason unreadable`")
    _print_differences(account, most)


def _print_differences(account: Account, most: int | None) -> None:
    if not account.differences:
        click.echo("  shop, journal and API agree")
    for one in account.differences[:most]:
        once = "" if one.once == "[]" else f" {one.once}"
        click.echo(f"  {one.sort}: order {one.order}: {one.dest}: {one.fact}{once}: {one.detail}")
    if most is not None and len(account.differences) > most:
        click.echo(f"  ... and {len(account.differences) - most} more (--each)")


def _sums(sums: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{amount} {currency}" for currency, amount in sorted(sums.items())) or "-"


def _plain(source: str, tenant: str, account: Account) -> dict[str, object]:
    return {
        "source": source,
        "shop": tenant,
        "orders": account.orders,
        "skipped": dict(account.skipped),
        "even": account.is_even(),
        "lines": [
            {"day": day.isoformat(), "destination": dest, "fact": fact, **asdict(line)}
            for (day, dest, fact), line in by_day(account)
        ],
        "unreadable": account.unreadable,
        "listed": {dest: {"asked": asked, "listed": there} for dest, (asked, there) in account.listed.items()},
        "differences": [asdict(one) for one in account.differences],
    }
