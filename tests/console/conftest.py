"""A bridge with a console, orders in every state, and ways to walk through its pages."""

import html
import json
import re
from contextlib import asynccontextmanager
from types import SimpleNamespace

import aiohttp
import pytest

from bridge.config import read
from bridge.errors import ConfigurationError
from tests.conftest import CONFIG

READ, ACT = "a-token-for-those-who-look", "a-token-for-those-who-act"
OPEN_TO_LOOK = "console: {port: 0, act_token: env:ACT}\n"


@pytest.fixture
def with_console(running, settings_for, sandbox, environ):
    """Opens a whole bridge with a console."""
    environ |= {"READ": READ, "ACT": ACT}

    @asynccontextmanager
    async def opened(console=OPEN_TO_LOOK, more="", **options):
        async with running(settings_for(sandbox, more=console + more, **options)) as bridge:
            yield bridge

    return opened


class Browsing:
    """A visitor who follows links and sends forms, with cookies, and without script."""

    def __init__(self, url, session):
        self.url, self._session = url, session
        self.text, self.status, self.headers, self.path = "", 0, {}, ""

    async def open(self, path, **headers):
        return await self._take(self._session.get(self.url + path, headers=headers))

    async def _take(self, asking):
        async with asking as answer:
            self.status, self.text, self.headers = answer.status, await answer.text(), answer.headers
            self.path = answer.url.path_qs
        return self

    @property
    def words(self):
        """The text of the page, as it is read."""
        return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", self.text)))

    def link(self, words):
        """The address of the link with these words."""
        found = re.search(rf'<a [^>]*href="([^"]*)"[^>]*>{re.escape(words)}</a>', self.text)
        assert found, f"no link {words!r} in {self.words}"
        return html.unescape(found[1])

    def form(self, button):
        """Where the form with this button goes, and what it sends."""
        for action, inside in re.findall(
            r'<form method="post" action="([^"]*)"[^>]*>(.*?)</form>', self.text, re.DOTALL
        ):
            pressed = re.search(rf"<button([^>]*)>{re.escape(button)}</button>", inside)
            if pressed:
                hidden = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', inside))
                hidden |= dict(re.findall(r'name="([^"]*)" value="([^"]*)"', pressed[1]))
                return action, {name: html.unescape(value) for name, value in hidden.items()}
        raise AssertionError(f"no button {button!r} in {self.words}")

    async def press(self, button, **headers):
        action, fields = self.form(button)
        return await self.send(action, fields, **headers)

    async def send(self, action, fields, **headers):
        return await self._take(self._session.post(self.url + action, data=fields, headers=headers))

    async def sign_in(self, token=ACT):
        return await self.send("/sign-in", {"token": token})


@pytest.fixture
async def visit():
    """Opens the pages of a bridge's console as a visitor with cookies of their own."""
    sessions = []

    def begin(bridge):
        sessions.append(aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)))
        return Browsing(bridge.console, sessions[-1])

    yield begin
    for session in sessions:
        await session.close()


@pytest.fixture
def in_every_state(order):
    """Brings orders into the states delivered, dead, waiting and skipped; gives their ids by state."""

    async def bring(bridge):
        ids = {}
        ids["delivered"], body = order()
        assert (await bridge.post(body))[0] == 200
        await bridge.settled(ids["delivered"])
        await bridge.fail(status=422, body=json.dumps({"error": "amount is <b>odd</b>"}))
        ids["dead"], body = order()
        assert (await bridge.post(body))[0] == 200
        await bridge.settled(ids["dead"])
        await bridge.recover()
        ids["skipped"], body = order(test=True)
        assert (await bridge.post(body))[0] == 200
        await bridge.settled(ids["skipped"])
        return SimpleNamespace(**ids)

    return bring


@pytest.fixture
def problems(environ):
    """The problems of a configuration with this section."""

    def said(section):
        text = CONFIG.format(url="http://127.0.0.1:1", mode="live", path="x.db") + section
        with pytest.raises(ConfigurationError) as wrong:
            read(text, environ=environ | {"READ": READ, "ACT": ACT, "SHORT": "short"})
        return [str(problem) for problem in wrong.value.problems]

    return said
