"""`send`: post payload files to a door as the platform would."""

import asyncio
import sys
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import click

from bridge import registry
from bridge.cli import options
from bridge.cli.sending import Delivery, fresh, paced, payload, sending
from bridge.config import Settings, read_file
from bridge.contract import Signs
from bridge.intake.webhook import PATH

_AT_ONCE = 32


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, allow_dash=True))
@options.config
@click.option("--source", help="The source's name in the configuration. Unsaid: the only one that signs.")
@click.option("--topic", default="orders/create", show_default=True)
@click.option("--shop", help="The tenant. Unsaid: the source's first.")
@click.option("--url", help="The door. Unsaid: the configured port on this machine.")
@click.option("--id", "delivery_id", default="", help="The delivery id. Unsaid: a new one for each.")
@click.option("--repeat", default=1, show_default=True, type=click.IntRange(1), help="Post each file so often.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="At most so many a second.")
@click.option("--fresh", "as_new", is_flag=True, help="A new order each time: a new id, times moved to now.")
@click.option("--example", metavar="NAME", help="A document that the source's connector ships, such as test-order.")
@click.option("--settled", metavar="URL", help="Wait until the private port at URL says that each is settled.")
@click.option("--as", "outcome", metavar="TEXT", help="With --settled: the state or reason that each must have then.")
@click.option("--within", default=60.0, show_default=True, help="Seconds to wait with --settled.")
@click.option("--verify", metavar="SIGNATURE", help="Send nothing: say which configured secret made this signature.")
@options.as_json
def send(files: tuple[Path, ...], **asked: object) -> None:
    """Post payload files, signed with the configured secret.

    Exits 1 where not every delivery was answered with 200, or no secret fits the signature.

    Examples: attribution-bridge send order.json --topic orders/paid
    attribution-bridge send --example test-order --settled http://127.0.0.1:9090 --as 'test order'
    attribution-bridge send body.bin --verify 'q0l8...='
    """
    settings = read_file(options.chosen(asked["config"]))  # type: ignore[arg-type]  # click gives a path or None
    name, signer = _signer(settings, asked["source"])
    bodies = [payload(path) for path in files]
    if asked["example"]:
        bodies.append(_example(settings, name, str(asked["example"])))
    if not bodies:
        raise click.UsageError("name a file, or --example")
    if asked["verify"]:
        _verify(signer, bodies, asked)
        return
    signer.sign(b"", topic=str(asked["topic"]), tenant=_shop(asked), delivery_id="")  # says now that a shop is unknown
    url = asked["url"] or f"http://127.0.0.1:{settings.door.port}{PATH}{name}"
    answers, ids = options.wait_for(_post(str(url), signer, bodies, asked))
    ended = options.wait_for(_settled(asked, name, ids)) if asked["settled"] else {}
    if asked["as_json"]:
        options.print_json({"url": url, "answers": dict(answers)})
    else:
        for status, count in sorted(answers.items()):
            click.echo(f"{count} answered {status}" if status else f"{count} got no answer from {url}")
        for delivery, outcome in ended.items():
            click.echo(f"{delivery}: {outcome}")
    as_wanted = not asked["settled"] or _are(ended, asked["outcome"])
    sys.exit(0 if set(answers) == {200} and as_wanted else 1)


def _example(settings: Settings, source: str, name: str) -> bytes:
    """Of the connector that the source is of, its order new."""
    connector = type(settings.sources[source]).__module__.rpartition(".")[2]
    folder = registry.folder(connector) / "examples"
    there = sorted(path.stem for path in folder.glob("*.json"))
    if name not in there:
        raise click.UsageError(f"there is no example {name} of {connector}; there are: {', '.join(there)}")
    return fresh((folder / f"{name}.json").read_bytes(), now=datetime.now(UTC))


def _are(ended: Mapping[str, str], wanted: object) -> bool:
    return bool(ended) and all(wanted in (None, *outcome.split(", ")) for outcome in ended.values())


async def _settled(asked: dict[str, object], source: str, ids: Sequence[str]) -> Mapping[str, str]:
    """What the private port says of each delivery, once nothing of it waits; `waits` where the time ran out."""
    url = f"{str(asked['settled']).rstrip('/')}/status"
    until = time.monotonic() + float(str(asked["within"]))
    ended: dict[str, str] = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        for delivery in ids:
            ended[delivery] = "waits"
            while ended[delivery] == "waits" and time.monotonic() < until:
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(url, params={"source": source, "id": delivery}) as answer:
                        ended[delivery] = _outcome(await answer.json()) if answer.status == HTTPStatus.OK else "waits"
                if ended[delivery] == "waits":
                    await asyncio.sleep(0.2)
    return ended


def _outcome(told: Mapping[str, Any]) -> str:
    """States of facts and reasons of skips, without repetition."""
    found = [fact["state"] for fact in told["facts"]] + [skip["reason"] for skip in told["skipped"]]
    return ", ".join(dict.fromkeys(found)) if found and not told["waiting"] else "waits"


def _signer(settings: Settings, name: object) -> tuple[str, Signs]:
    signing = {found: source for found, source in settings.sources.items() if isinstance(source, Signs)}
    if name is None and len(signing) == 1:
        name = next(iter(signing))
    if name not in signing:
        raise click.UsageError(f"--source must be one of: {', '.join(signing)}")
    return str(name), signing[str(name)]


def _shop(asked: dict[str, object]) -> str | None:
    return None if asked["shop"] is None else str(asked["shop"])


def _verify(signer: Signs, bodies: list[bytes], asked: dict[str, object]) -> None:
    fits = [signer.fitting_secret(body, tenant=_shop(asked), signature=str(asked["verify"])) for body in bodies]
    for found in fits:
        click.echo(found or "no configured secret made this signature over these bytes")
    sys.exit(0 if all(fits) else 1)


async def _post(
    url: str, signer: Signs, bodies: list[bytes], asked: dict[str, object]
) -> tuple[Counter[int], Sequence[str]]:
    """How often each status was answered (0: nobody answered), and the ids of the deliveries."""
    answers: Counter[int] = Counter()
    ids: list[str] = []
    count = int(str(asked["repeat"])) * len(bodies)
    rate = asked["rate"]
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(body: bytes) -> None:
        async with places:
            ids.append(str(asked["delivery_id"] or uuid.uuid4()))
            delivery = Delivery(
                body=fresh(body, now=datetime.now(UTC)) if asked["as_new"] else body,
                topic=str(asked["topic"]),
                tenant=_shop(asked),
                delivery_id=ids[-1],
            )
            try:
                answers[await sender.post(delivery)] += 1
            except (aiohttp.ClientError, TimeoutError):
                answers[0] += 1

    async with sending(url, signer) as sender, asyncio.TaskGroup() as posts:
        async for number in paced(count, None if rate is None else float(str(rate))):
            async with places:  # no more tasks than can be on their way
                pass
            posts.create_task(one(bodies[number % len(bodies)]))
    return answers, list(dict.fromkeys(ids))
