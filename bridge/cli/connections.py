"""Try everything that a configuration connects to: `check --connect`."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import NamedTuple

import click

from bridge import clock, fast_path, journals
from bridge.config import Settings
from bridge.contract import Destination, Response, StreamSource
from bridge.errors import BridgeError
from bridge.intake.kafka import missing_topics
from bridge.jobs.errands import performing
from bridge.jobs.schedule import admins
from bridge.service import client_of

_DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class Tried(NamedTuple):
    """One connection that was tried. cure: what to do, if it is not well."""

    subject: str
    text: str
    cure: str = ""
    is_well: bool = True


async def tried(settings: Settings) -> bool:
    """Try each connection and print a line for it. Returns whether all let us in. Raises JournalError for a journal
    that cannot be opened: nothing works without it."""
    await _journal(settings)
    is_well = True
    async for parts in _others(settings):
        click.echo(f"  {parts.subject} {parts.text}")
        if parts.cure:
            click.echo(f"    -> {parts.cure}")
        is_well = is_well and parts.is_well
    return is_well


async def _journal(settings: Settings) -> None:
    store = journals.store_of(settings.journal)
    if store.is_new():
        click.echo(f"  journal {store.name} is not there yet: `run` makes it")
        return
    weaknesses = await store.weaknesses()
    click.echo(f"  journal {store.name} can be opened" + (", but:" if weaknesses else ""))
    for sentence in weaknesses:
        click.echo(f"    {sentence}")


async def _others(settings: Settings) -> AsyncIterator[Tried]:
    for name, outlet in settings.destinations.items():
        yield await _destination(settings, name, outlet.destination)
    for name, source in settings.sources.items():
        if isinstance(source, StreamSource):
            yield await _stream(name, source)
    async with performing() as performer:
        for name, admin in admins(settings).items():
            kinds = settings.rules.kinds & settings.sources[name].kinds().keys()
            for tenant in admin.tenants():
                for finding in await performer.perform(admin.examine(tenant, kinds=kinds, now=clock.now())):
                    is_well = finding.state != "wrong"
                    text = f"{finding.subject}: {finding.detail}".rstrip(": ")
                    yield Tried(f"shop {tenant} of {name}", text, finding.cure if not is_well else "", is_well=is_well)


async def _destination(settings: Settings, name: str, destination: Destination) -> Tried:
    """Send the harmless read that tells whether the other side answers."""
    delivery = settings.delivery.of(settings.destinations[name].delivery)
    subject = f"destination {name}"
    async with client_of(delivery, await fast_path.wire(wanted=False)) as client:
        answer = await client.send(destination.probe())
    if not isinstance(answer, Response):
        why = f"does not answer: {answer.row.happening} ({answer.detail})"
        return Tried(subject, why, "look at its `url`, the network and its own state", is_well=False)
    if answer.status in _DENIED:
        return Tried(subject, f"does not let us in ({answer.status})", "look at its token", is_well=False)
    if not destination.is_answer(answer):
        cure = "look at its `url`: this is no answer of the API itself, but of a proxy, a firewall or a broken server"
        return Tried(subject, f"answers strangely ({answer.status})", cure, is_well=False)
    return Tried(subject, f"answers ({answer.status})")


async def _stream(name: str, source: StreamSource) -> Tried:
    subscription = source.subscription()
    try:
        missing = await missing_topics(subscription)
    except BridgeError as problem:
        return Tried(f"source {name}", str(problem), "look at `brokers`, `tls` and `sasl`", is_well=False)
    if missing:
        text = f"does not have, or does not show us, {', '.join(missing)}"
        return Tried(f"source {name}", text, "make the topic, or let the user describe and read it", is_well=False)
    return Tried(f"source {name}", f"has {subscription.pattern or ', '.join(subscription.topics)}")
