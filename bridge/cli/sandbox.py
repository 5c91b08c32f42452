"""`sandbox`: a connector's faithful local server."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import click

from bridge import registry


@click.command()
@click.argument("connector", default="hellotext")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8089, show_default=True, type=click.IntRange(0, 65535))
def sandbox(connector: str, host: str, port: int) -> None:
    """Answer as the real API would, and keep what was received: GET /received.

    Point a destination's `url` at it. POST /fail makes it fail, see the connector's README.

    Example: attribution-bridge sandbox hellotext --port 8089
    """
    module = registry.sandbox(connector)
    asyncio.run(_serve(module.serving, connector, host, port))


async def _serve(
    serving: Callable[[str, int], AbstractAsyncContextManager[str]], connector: str, host: str, port: int
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(host, port) as url:
        click.echo(f"the {connector} sandbox answers at {url}; what it received: {url}/received")
        await stop.wait()
