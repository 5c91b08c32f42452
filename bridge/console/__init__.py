"""The console: a page on which people see how the bridge is, look for orders, and repair.

It has a listener of its own, reads the journal as commands do, and acts by the calls that commands make. It is loaded
only if the configuration has a section `console`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from bridge.config.sections import ConsoleSettings
from bridge.console.access import Access, guarded
from bridge.console.acts import Acts
from bridge.console.pages import Pages
from bridge.console.parts import Parts
from bridge.console.rates import Rates
from bridge.console.rendering import Rendering
from bridge.intake.listener import listen
from bridge.intake.status import only_ours

__all__ = ["Parts", "serving"]

_LARGEST_FORM = 64 * 1024  # bytes


@asynccontextmanager
async def serving(settings: ConsoleSettings, parts: Parts) -> AsyncIterator[int]:
    """The console is open; gives its port. Raises NotListening."""
    access, rates = Access.of(settings), Rates()
    async with Acts(parts) as acts, rates:
        pages = Pages(parts, access=access, acts=acts, rates=rates, rendering=Rendering())
        app = web.Application(
            middlewares=[only_ours(settings.hosts, section="console"), guarded(access, pages)],
            client_max_size=_LARGEST_FORM,
        )
        app.add_routes(pages.routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        port = await listen(runner, host=settings.host, port=settings.port, setting="console: {port: ...}")
        try:
            yield port
        finally:
            await runner.cleanup()
