"""A browser for all tests of this folder, and shops to walk through."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.browser import PATIENCE, visiting
from tests.theme.storefront import open_for_business

HASTE = """
const [real, later] = [window.setInterval, window.setTimeout];
window.turns = 0;
window.pauses = [];
window.setInterval = (call, every) => real(() => { call(); window.turns += 1; }, every / 50);
window.setTimeout = (call, after) => { window.pauses.push(after); later(call, after / 50); };
"""
REST = """new Promise((done) => {
  const last = window.turns + 3;
  (function look() { window.turns >= last ? done(fetch('/thanks')) : requestIdleCallback(look); })();
}).then(() => true)"""


class Walk:
    """A visitor of a shop, whose hours go fifty times faster."""

    def __init__(self, shop, visitor):
        self.shop, self.visitor = shop, visitor
        self.open, self.run, self.click, self.back = visitor.open, visitor.run, visitor.click, visitor.back

    async def session(self):
        """What the library keeps."""
        return await self.run("(/hello_session=([^;]*)/.exec(document.cookie) || [])[1]")

    async def until(self, condition):
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.01)

    async def carried(self, session=None):
        """Waits until the cart has the session, and no request is on its way any more; gives the session."""
        session = session or await self.session()
        await self.until(lambda: self.shop.held == session)
        await self.rest()
        return session

    async def rest(self):
        """Time enough for three looks of the snippet."""
        await self.run(REST)

    async def add_in_drawer(self):
        """As themes do it that open no new page."""
        await self.run("drawer().then(() => true)")


@pytest.fixture
async def walk(browser):
    """Opens a shop and sends somebody in: `await walk(library="late")`. No page may fail while they walk."""
    async with AsyncExitStack() as stack:
        walks = []

        async def start(*, before=HASTE, **how):
            shop = await stack.enter_async_context(open_for_business(**how))
            visitor = await stack.enter_async_context(visiting(browser, shop.url, before=before))
            walks.append(visitor)
            return Walk(shop, visitor)

        yield start
        assert [] == [error for visitor in walks for error in visitor.errors]
