"""Listening at a port, with an error that says what to do."""

import os

from aiohttp import web

from bridge.errors import BridgeError


class NotListening(BridgeError):
    """The port could not be had."""


async def listen(runner: web.BaseRunner, *, host: str, port: int, setting: str) -> int:
    """Set up the runner and listen; gives the port. Raises NotListening with the setting that chooses it."""
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024, reuse_address=True).start()
    except OSError as problem:
        await runner.cleanup()
        reason = os.strerror(problem.errno) if problem.errno else type(problem).__name__
        raise NotListening(
            f"cannot listen at {host}:{port}: {reason}; end what is there, or choose another with `{setting}`"
        ) from None
    bound: int = runner.addresses[0][1]
    return bound
