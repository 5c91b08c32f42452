"""`sandbox`: a connector's faithful local server."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import click

from bridge import registry
from bridge.errors import BridgeError


@click.command()
@click.argument("connector", default="hellotext")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8089, show_default=True, type=click.IntRange(0, 65535))
def sandbox(connector: str, host: str, port: int) -> None:
    """Answer as the real API does, and keep what was received: GET /received.

    Point a destination's `url` at it. POST /fail makes it fail, see the connector's README.

    \b
    Example:
      attribution-bridge sandbox hellotext --port 8089
    """
    module = registry.sandbox(connector)
    asyncio.run(_serve(module.serving, connector, host, port))


async def _serve(
    serving: Callable[[str, int], AbstractAsyncContextManager[str]], connector: str, host: str, port: int
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        try:
            url = await stack.enter_async_context(serving(host, port))
        except OSError as problem:
            cure = "end what is there, or choose another with --port"
            raise BridgeError(f"cannot listen at {host}:{port}: {_reason(problem)}; {cure}") from None
        click.echo(f"the {connector} sandbox answers at {url}; what it received: {url}/received")
        await stop.wait()


def _reason(problem: OSError) -> str:
    """The reason of a failure, without the addresses that the event loop adds."""
    return os.strerror(problem.errno) if problem.errno and problem.errno > 0 else str(problem.strerror or problem)
