"""`send`: post payload files to a door as the platform would."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec

from bridge import clock, registry
from bridge.cli import options
from bridge.cli.demo import from_environment
from bridge.cli.load import Answers, Order, post
from bridge.cli.sender import fresh, payload, sending, unpacked
from bridge.cli.settlement import is_finished, settled
from bridge.config import Settings, read_file
from bridge.contract import Addresses, Payload, Signs
from bridge.intake.webhook import PATH

_TOPIC = "orders/create"


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, allow_dash=True))
@options.config
@click.option("--source", help="The source's name in the configuration. Default: the only one that signs.")
@click.option("--topic", help=f"The topic. Default: with --example, one that brings such a document, else {_TOPIC}.")
@click.option("--shop", help="The shop. Default: the source's first.")
@click.option("--url", help="The address of the door. Default: the configured port on this machine.")
@click.option("--id", "delivery_id", default="", help="The delivery id. Default: a new one for each delivery.")
@click.option("--repeat", default=1, show_default=True, type=click.IntRange(1), help="How often to post each file.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="The most done in a second.")
@click.option("--fresh", "as_new", is_flag=True, help="A new order each time: a new id, times moved to now.")
@click.option("--example", metavar="NAME", help="A document that the source's connector ships, such as test-order.")
@click.option("--settled", metavar="URL", help="Wait until the private port at URL says that each is settled.")
@click.option("--as", "outcome", metavar="TEXT", help="With --settled: the state or reason in which each must end.")
@click.option("--within", default=60.0, show_default=True, help="Seconds to wait with --settled.")
@click.option("--verify", metavar="SIGNATURE", help="Send nothing: say which configured secret made this signature.")
@options.as_json
def send(files: tuple[Path, ...], **asked: object) -> None:
    """Post payload files, signed with the configured secret.

    Exits 1 if a delivery was not answered with 200, if one has not ended as --settled and --as ask, or if no secret
    fits the signature.

    \b
    Examples:
      attribution-bridge send order.json --topic orders/paid
      attribution-bridge send --example test-order --settled http://127.0.0.1:9090 --as 'test order'
      attribution-bridge send body.bin --verify 'q0l8...='
    """
    settings = _settings(asked)
    name, signer = _signer(settings, asked["source"])
    if not files and not asked["example"]:
        raise click.UsageError("name a file, or --example")
    if asked["verify"]:
        _verify(signer, _as_they_are(files, signer, asked), asked)
        return
    payloads = _payloads(files, signer, asked)
    _signed(signer, payloads[0], _shop(asked))  # says now that a shop is unknown
    url = _url("url", asked["url"] or f"http://127.0.0.1:{settings.door.port}{PATH}{name}")
    private = _url("settled", asked["settled"]) if asked["settled"] else None
    answers = options.wait_for(_post(url, signer, _order(payloads, asked)))
    _print(answers, url, as_json=bool(asked["as_json"]))
    if any(status == HTTPStatus.UNAUTHORIZED for status, _ in answers.counts):
        click.echo(_refused(signer, payloads[0], _shop(asked), url), err=True)
    within = float(str(asked["within"]))
    ended = options.wait_for(settled(private, name, _unique(answers.taken), within=within)) if private else {}
    _print_ended(ended, within, as_json=bool(asked["as_json"]))
    is_well = {status for status, _ in answers.counts} == {200} and (private is None or _are(ended, asked["outcome"]))
    sys.exit(0 if is_well else 1)


def _as_they_are(files: Sequence[Path], signer: Signs, asked: dict[str, object]) -> Sequence[bytes]:
    shown = [_example(signer, str(asked["example"]), _shop(asked)).body] if asked["example"] else []
    return [*(payload(path) for path in files), *shown]


def _payloads(files: Sequence[Path], signer: Signs, asked: dict[str, object]) -> Sequence[Payload]:
    """All documents, each with the topic that it is posted with."""
    found: list[Payload] = []
    for path in files:
        documents = unpacked(path, signer)
        if len(documents) > 1:
            said = f"{len(documents)} documents, each posted by itself ({documents[0].place}, ...)"
            click.echo(f"{path}: {said}", err=True)
        for each in documents if asked["as_new"] else ():
            _check_document(path, each.body)
        found += documents
    if asked["example"]:
        found.append(_example(signer, str(asked["example"]), _shop(asked)))
    return [replace(each, topic=str(asked["topic"] or each.topic or _TOPIC)) for each in found]


def _check_document(path: Path, body: bytes) -> None:
    try:
        fresh(body, now=clock.now())
    except (ValueError, TypeError) as problem:  # a time without its zone
        raise click.UsageError(
            f"{path} is no document that --fresh could make new: {problem}; without --fresh it is posted as it is"
        ) from None


def _settings(asked: Mapping[str, object]) -> Settings:
    """Read the settings. A trial without a configuration (`make run`) has those that its three variables stand for."""
    if asked["config"] is None and not options.DEFAULT.exists() and (found := from_environment(os.environ)):
        return found
    return read_file(options.chosen(asked["config"]))  # type: ignore[arg-type]  # click gives a path or None


def _url(option: str, given: object) -> str:
    parts = urlsplit(str(given))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        shown = "http://127.0.0.1:8080/webhooks/shop" if option == "url" else "http://127.0.0.1:9090"
        raise click.UsageError(f"--{option}: {given} is no URL; write it as {shown}")
    return str(given)


def _print(answers: Answers, url: str, *, as_json: bool) -> None:
    if as_json:
        counts = {status: 0 for status, _ in answers.counts}
        for (status, _), count in answers.counts.items():
            counts[status] += count
        reasons = {status: reason for status, reason in answers.counts if reason}
        options.print_json({"url": url, "answers": counts, "reasons": reasons})
    for (status, reason), count in () if as_json else sorted(answers.counts.items()):
        why = f": {reason}" if reason and status != HTTPStatus.OK else ""
        click.echo(f"{count} answered {status}{why}" if status else f"{count} got no answer from {url}")
    if answers.stopped:
        click.echo("the rest was not sent: nobody listens there; is the bridge running, at this port?", err=True)


def _signed(signer: Signs, payload: Payload, shop: str | None) -> Mapping[str, str]:
    """The headers of a delivery that is not sent. Some platforms sign the id and parts of the body too."""
    return signer.sign(payload.body, topic=payload.topic, tenant=shop, delivery_id="tried")


def _refused(signer: Signs, payload: Payload, shop: str | None, url: str) -> str:
    """Advice on an answer of 401."""
    signed = _signed(signer, payload, shop).values()
    found = (signer.fitting_secret(payload.body, tenant=shop, signature=value) for value in signed)
    secret = next(filter(None, found), "the configured secret")
    return (
        f"signed with {secret}: the bridge at {url} has another secret for this shop, or does not know the shop. Give "
        "both the same, and restart it. Which secret made a platform's signature: send FILE --verify SIGNATURE"
    )


def _print_ended(ended: Mapping[str, str], within: float, *, as_json: bool) -> None:
    for delivery, outcome in () if as_json else ended.items():
        click.echo(f"{delivery}: {outcome}")
    if left := [outcome for outcome in ended.values() if not is_finished(outcome)]:
        click.echo(f"{len(left)} of {len(ended)} have not ended after {within:g} s", err=True)


def _example(signer: Signs, name: str, shop: str | None) -> Payload:
    """An example of the source's connector, with its topic. The order is new, and its shop is the one that it is sent
    for."""
    connector = type(signer).__module__.rpartition(".")[2]
    folder = registry.folder(connector) / "examples"
    there = sorted(path.stem for path in folder.glob("*.json"))
    if name not in there:
        raise click.UsageError(f"there is no example {name} of {connector}; there are: {', '.join(there)}")
    body = fresh((folder / f"{name}.json").read_bytes(), now=clock.now())
    topics = msgspec.yaml.decode((folder / "topics.yaml").read_bytes(), type=dict[str, str])
    addressed = signer.addressed(body, tenant=shop) if isinstance(signer, Addresses) else body
    return Payload(body=addressed, topic=topics.get(f"{name}.json", ""))


def _are(ended: Mapping[str, str], wanted: object) -> bool:
    """Whether all have ended as they should."""
    return bool(ended) and all(
        is_finished(outcome) and wanted in (None, *outcome.split(", ")) for outcome in ended.values()
    )


def _unique(ids: Sequence[str]) -> Sequence[str]:
    return list(dict.fromkeys(ids))


def _signer(settings: Settings, name: object) -> tuple[str, Signs]:
    signing = {found: source for found, source in settings.sources.items() if isinstance(source, Signs)}
    if name is None and len(signing) == 1:
        name = next(iter(signing))
    if name not in signing:
        raise click.UsageError(_no_signer(settings, list(signing), name))
    return str(name), signing[str(name)]


def _no_signer(settings: Settings, signing: Sequence[str], name: object) -> str:
    if signing:
        return f"--source must be one of: {', '.join(signing)}"
    there = ", ".join(f"{found} ({connector})" for found, connector in settings.connectors.items())
    of = name if name in settings.sources else next(iter(settings.sources))
    return (
        f"no source of this configuration takes webhooks, and send posts nothing else; there is: {there}. "
        f"To see what rules make of a document: preview FILE --source {of} --topic TOPIC"
    )


def _shop(asked: dict[str, object]) -> str | None:
    return None if asked["shop"] is None else str(asked["shop"])


def _verify(signer: Signs, bodies: Sequence[bytes], asked: dict[str, object]) -> None:
    fits = [signer.fitting_secret(body, tenant=_shop(asked), signature=str(asked["verify"])) for body in bodies]
    for found in fits:
        click.echo(found or "no configured secret made this signature over these bytes")
    sys.exit(0 if all(fits) else 1)


def _order(payloads: Sequence[Payload], asked: dict[str, object]) -> Order:
    return Order(
        payloads=payloads,
        repeat=int(str(asked["repeat"])),
        rate=None if asked["rate"] is None else float(str(asked["rate"])),
        as_new=bool(asked["as_new"]),
        tenant=_shop(asked),
        delivery_id=str(asked["delivery_id"]),
    )


async def _post(url: str, signer: Signs, order: Order) -> Answers:
    async with sending(url, signer) as sender:
        return await post(sender, order)
