"""`demo`: the whole bridge on embedded defaults, with one order shown on its way; or the real shop from environment."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from string import Template
from typing import cast

import aiohttp
import click
import msgspec
import uvloop

from bridge import chance, clock, journals, registry, service, telemetry
from bridge.cli import options
from bridge.cli.sender import Delivery, example, fresh, sending
from bridge.config import Settings, read
from bridge.config.sections import ConsoleSettings
from bridge.contract import Signs
from bridge.errors import BridgeError, ConfigurationError, Problem
from bridge.intake.webhook import PATH
from bridge.setting_types import Secret

_REAL = ("SHOPIFY_SHOP", "SHOPIFY_SECRET", "HELLOTEXT_TOKEN")
_STAND_IN = {"SHOPIFY_SHOP": "example.myshopify.com", "SHOPIFY_SECRET": "demo", "HELLOTEXT_TOKEN": "demo"}
_VARIABLES = {
    "sources.shop.shops": "SHOPIFY_SHOP",
    "destinations.hellotext.url": "HELLOTEXT_URL",
    "destinations.hellotext.mode": "HELLOTEXT_MODE",
}
_ACT_TOKEN = "CONSOLE_ACT_TOKEN"  # noqa: S105  the name of a variable
_API = "https://api.hellotext.com"
_ATTEMPTS = 100  # ports tried, one after the other


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The TCP ports of the demo, all at 127.0.0.1."""

    door: int = 8080
    private: int = 9090
    console: int = 9091
    sandbox: int = 8089


_USUAL = Ports()
_PORT = click.IntRange(1, 65_535)


@click.command()
@click.option("--port", type=_PORT, default=_USUAL.door, show_default=True, help="Port of the door.")
@click.option(
    "--private-port", type=_PORT, default=_USUAL.private, show_default=True, help="Port of metrics and status."
)
@click.option("--console-port", type=_PORT, default=_USUAL.console, show_default=True, help="Port of the console.")
@click.option("--sandbox-port", type=_PORT, default=_USUAL.sandbox, show_default=True, help="Port of the stand-in.")
def demo(port: int, private_port: int, console_port: int, sandbox_port: int) -> None:
    """Serve on embedded defaults, and show one order on its way.

    Without anything in the environment: the journal in ./var, the stand-in of the attribution API on this machine, and
    a sample order posted through the door. With SHOPIFY_SHOP, SHOPIFY_SECRET and HELLOTEXT_TOKEN: that shop and the
    real API (HELLOTEXT_MODE=shadow sends nothing there).

    \b
    Example:
      SHOPIFY_SHOP=name.myshopify.com SHOPIFY_SECRET=... HELLOTEXT_TOKEN=... attribution-bridge demo
      attribution-bridge demo --port 8081
    """
    ports = Ports(door=port, private=private_port, console=console_port, sandbox=sandbox_port)
    ours = {"--port": port, "--private-port": private_port, "--console-port": console_port}
    if (settings := from_environment(os.environ, ports)) is not None:
        _check_free(ours)
        sys.exit(_real(settings, os.environ))
    if given := [name for name in _REAL if os.environ.get(name)]:
        missing = ", ".join(name for name in _REAL if name not in given)
        raise click.UsageError(f"{', '.join(given)} is set, but not {missing}: set all three, or none for the demo")
    _check_free({**ours, "--sandbox-port": sandbox_port})
    _stood_in(ports)


def _check_free(ports: Mapping[str, int]) -> None:
    """Raises BridgeError for a port at which somebody else listens, with the option that chooses another."""
    for option, port in ports.items():
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError as problem:
            reason = os.strerror(problem.errno or 0)
            other = f"{option} {port + 1}"
            raise BridgeError(
                f"cannot listen at 127.0.0.1:{port}: {reason}; is another demo running? "
                f'Choose another port: {options.typed_as()} demo {other}, or make run ARGS="{other}"'
            ) from None


def _settings(environ: Mapping[str, str], ports: Ports, *, url: str) -> Settings:
    template = Template((files(__package__) / "demo.yaml").read_text(encoding="utf-8"))
    values = {
        "shop": environ["SHOPIFY_SHOP"],
        "url": url,
        "mode": environ.get("HELLOTEXT_MODE", "live"),
        "port": ports.door,
        "private_port": ports.private,
        "console_port": ports.console,
    }
    text = template.substitute({name: json.dumps(value) for name, value in values.items()})
    try:
        return read(text, file="the demo's configuration", environ={_ACT_TOKEN: _drawn(), **environ})
    except ConfigurationError as wrong:
        raise ConfigurationError([_as_given(problem) for problem in wrong.problems]) from None


def _drawn() -> str:
    """Draw a token for one run."""
    return chance.octets(12).hex()


def _console_of(settings: Settings) -> str:
    """Say where the console is, and what to type there."""
    console = cast("ConsoleSettings", settings.console)
    token = cast("Secret", console.act_token).reveal()
    return f"http://127.0.0.1:{console.port}/ (to act there, sign in with {token})"


def _as_given(problem: Problem) -> Problem:
    """Name the place of a problem by the variable that a person wrote, not by a place in a file that nobody wrote."""
    section = next((path for path in _VARIABLES if problem.path.startswith(path)), None)
    return problem if section is None else Problem(path=_VARIABLES[section], message=problem.message)


def from_environment(environ: Mapping[str, str], ports: Ports = _USUAL) -> Settings | None:
    """The configuration that three variables stand for; None: not all of them are set."""
    if not all(environ.get(name) for name in _REAL):
        return None
    return _settings(environ, ports, url=environ.get("HELLOTEXT_URL", _API))


def _real(settings: Settings, environ: Mapping[str, str]) -> int:
    shadow = settings.destinations["hellotext"].shadow
    door = f"http://127.0.0.1:{settings.door.port}{PATH}shop"
    click.echo(
        f"serving the real shop {environ['SHOPIFY_SHOP']} at {door}: a tunnel or a proxy on this machine leads there"
    )
    click.echo("watching only: nothing is written to the API (shadow)" if shadow else "sending to the real API")
    click.echo(f"look at it: {_console_of(settings)}")
    telemetry.set_up()
    return service.run(settings)


def _stood_in(ports: Ports) -> None:
    telemetry.set_up(level="error")  # that the journal is new is no news here
    sys.setswitchinterval(service.SWITCH_INTERVAL)
    uvloop.run(_run_and_show(ports))


async def _run_and_show(ports: Ports) -> None:
    ending = service.Shutdown()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.signal)
    opened: asyncio.Future[service.Running] = asyncio.get_running_loop().create_future()
    async with AsyncExitStack() as stack:
        serving = registry.sandbox("hellotext").serving
        url = await stack.enter_async_context(serving("127.0.0.1", ports.sandbox))
        settings = _settings({**_STAND_IN, "HELLOTEXT_MODE": "live"}, ports, url=url)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        tasks.create_task(service.serve(settings, ending, opened_as=opened.set_result))
        showing = tasks.create_task(_show(settings, opened, url))
        await ending.stop.wait()
        showing.cancel()


async def _show(settings: Settings, opened: asyncio.Future[service.Running], api: str) -> None:
    """One order through the real door, and what became of it, as anybody could ask."""
    running = await opened
    ports = running.ports
    door, private = f"http://127.0.0.1:{ports.door}{PATH}shop", f"http://127.0.0.1:{ports.private}"
    click.echo(f"the bridge is open at {door}, the stand-in of the attribution API at {api}, "
               f"the journal is {journals.store_of(settings.journal).name}")  # fmt: skip
    body = fresh(example("shopify", "order.json"), now=clock.now())
    order = msgspec.json.decode(body)
    delivery = Delivery(body=body, topic="orders/create", delivery_id=f"demo-{order['id']}")
    async with sending(door, cast("Signs", settings.sources["shop"])) as sender, aiohttp.ClientSession() as session:
        status, _ = await sender.post(delivery)
        click.echo(f"posted order {order['id']} ({len(body)} bytes, signed): answered {status}, so the journal has it")
        for fact in await _settled(session, private, delivery.delivery_id):
            click.echo(f"  {fact['fact']}: {fact['state']} at {str(fact['settled'])[11:23]}")
        await _print_received(session, api, str(order["id"]))
    click.echo(f"look at it: {_console_of(settings)}")
    click.echo(f"ask: {options.typed_as()} orders show {order['id']}    stop: Ctrl-C")
    telemetry.set_up()


async def _settled(session: aiohttp.ClientSession, private: str, delivery: str) -> list[dict[str, object]]:
    for _ in range(_ATTEMPTS):
        async with session.get(f"{private}/status", params={"source": "shop", "id": delivery}) as answer:
            told = await answer.json()
        if answer.status == HTTPStatus.OK and told["facts"] and not told["waiting"]:
            facts: list[dict[str, object]] = told["facts"]
            return facts
        await asyncio.sleep(0.05)
    raise click.ClickException(f"the order is not settled yet; see {private}/status?source=shop&id={delivery}")


class _Received(msgspec.Struct):
    """A line of the sandbox's GET /received."""

    method: str
    path: str
    status: int | None
    body: msgspec.Raw


async def _print_received(session: aiohttp.ClientSession, api: str, order: str) -> None:
    async with session.get(f"{api}/received") as answer:
        lines = [msgspec.json.decode(line, type=_Received) for line in (await answer.read()).splitlines()]
    for line in lines:
        click.echo(f"the API received {line.method} {line.path} (answered {line.status}):")
        click.echo(msgspec.json.format(bytes(line.body), indent=2))
    if not any(order.encode() in bytes(line.body) for line in lines):
        raise click.ClickException("the API did not receive the order")
