"""`send`: post payload files to a door as the platform would."""

import asyncio
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import click

from bridge.cli import options
from bridge.cli.sending import Delivery, fresh, paced, payload, sending
from bridge.config import Settings, read_file
from bridge.contract import Signs
from bridge.intake.webhook import PATH

_AT_ONCE = 32


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, allow_dash=True))
@options.config
@click.option("--source", help="The source's name in the configuration. Unsaid: the only one that signs.")
@click.option("--topic", default="orders/create", show_default=True)
@click.option("--shop", help="The tenant. Unsaid: the source's first.")
@click.option("--url", help="The door. Unsaid: the configured port on this machine.")
@click.option("--id", "delivery_id", default="", help="The delivery id. Unsaid: a new one for each.")
@click.option("--repeat", default=1, show_default=True, type=click.IntRange(1), help="Post each file so often.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="At most so many a second.")
@click.option("--fresh", "as_new", is_flag=True, help="A new order each time: a new id, times moved to now.")
@click.option("--verify", metavar="SIGNATURE", help="Send nothing: say which configured secret made this signature.")
@options.as_json
def send(files: tuple[Path, ...], **asked: object) -> None:
    """Post payload files, signed with the configured secret.

    Exits 1 where not every delivery was answered with 200, or no secret fits the signature.

    Examples: attribution-bridge send order.json --topic orders/paid
    attribution-bridge send body.bin --verify 'q0l8...='
    """
    settings = read_file(options.chosen(asked["config"]))  # type: ignore[arg-type]  # click gives a path or None
    name, signer = _signer(settings, asked["source"])
    bodies = [payload(path) for path in files]
    if asked["verify"]:
        _verify(signer, bodies, asked)
        return
    signer.sign(b"", topic=str(asked["topic"]), tenant=_shop(asked), delivery_id="")  # says now that a shop is unknown
    url = asked["url"] or f"http://127.0.0.1:{settings.door.port}{PATH}{name}"
    answers = options.wait_for(_post(str(url), signer, bodies, asked))
    if asked["as_json"]:
        options.print_json({"url": url, "answers": dict(answers)})
    else:
        for status, count in sorted(answers.items()):
            click.echo(f"{count} answered {status}" if status else f"{count} got no answer from {url}")
    sys.exit(0 if set(answers) == {200} else 1)


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


async def _post(url: str, signer: Signs, bodies: list[bytes], asked: dict[str, object]) -> Counter[int]:
    answers: Counter[int] = Counter()
    count = int(str(asked["repeat"])) * len(bodies)
    rate = asked["rate"]
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(body: bytes) -> None:
        async with places:
            delivery = Delivery(
                body=fresh(body, now=datetime.now(UTC)) if asked["as_new"] else body,
                topic=str(asked["topic"]),
                tenant=_shop(asked),
                delivery_id=str(asked["delivery_id"]),
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
    return answers
