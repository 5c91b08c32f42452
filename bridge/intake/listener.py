"""Listening at a port, with an error that says what to do."""

import errno
import os
import socket
from collections.abc import Iterator

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


def refusals(host: str, port: int) -> Iterator[str]:
    """Say why this process could never listen there. A port that somebody else has is no refusal: `check` runs beside
    the bridge."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        yield f"cannot listen at {host}:{port}: this machine knows no such name or address"
        return
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(address)
            except OSError as problem:
                if problem.errno in _NEVER:
                    yield f"cannot listen at {host}:{port}: {os.strerror(problem.errno)}"


_NEVER = frozenset({errno.EACCES, errno.EPERM, errno.EADDRNOTAVAIL})
"""Errors of `bind` that do not pass by themselves."""
