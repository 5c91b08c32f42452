"""The console in a real browser: every view in light, dark and at the width of a phone, checked with axe-core.

SCREENSHOTS=FOLDER keeps a picture of each.
"""

import asyncio
import base64
import json
import os
from pathlib import Path

import pytest

from bridge.console import acts
from tests.browser import visiting
from tests.console.axe import script
from tests.console.conftest import ACT
from tests.packages import NotToBeHad

A_GROUP = "/repair/group?state=dead&dest=hellotext&rule=placed&reason=refused"
VIEWS = {
    "now": "/",
    "orders": "/orders",
    "search": "/orders?state=dead&since=7d",
    "order": "/orders/2",
    "document": "/orders/1/documents/1",
    "repair": "/repair",
    "group": A_GROUP,
    "rules": "/rules",
    "sign-in": "/sign-in",
    "refusal": "/nowhere",
}
LOOKS = {
    "light": ({"features": [{"name": "prefers-color-scheme", "value": "light"}]}, 1280),
    "dark": ({"features": [{"name": "prefers-color-scheme", "value": "dark"}]}, 1280),
    "phone": ({"features": [{"name": "prefers-color-scheme", "value": "light"}]}, 375),
}
LISTENING = """
window.violations = [];
document.addEventListener('securitypolicyviolation', (each) => window.violations.push(each.violatedDirective));
"""
WRONG = """axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations.map((each) =>
  each.id + ': ' + each.nodes.map((node) => node.html + ' ' + (node.any[0] || node.all[0] || {message: ''}).message)
  .join('; ')))"""


@pytest.fixture
def axe():
    """The script; skipped where it cannot be had, never in CI."""
    try:
        return script()
    except NotToBeHad as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no axe-core: {reason}")


async def _sign_in(visitor):
    await visitor.open("/sign-in")
    await visitor.run(f"document.querySelector('[name=token]').value = {json.dumps(ACT)}")
    await visitor.click("main button", to_a_page=True)
    assert "Sign out" in await visitor.run("document.body.innerText")


async def _keep(visitor, name):
    """Keep a picture of the page, if somebody wants to look at it."""
    if folder := os.environ.get("SCREENSHOTS"):
        shot = await visitor.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        await asyncio.to_thread(_write, Path(folder), f"{name}.png", base64.b64decode(shot["data"]))


def _write(folder, name, picture):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(picture)


@pytest.mark.parametrize("look", LOOKS)
async def test_each_view_is_accessible_and_fits(browser, axe, with_console, in_every_state, look):
    media, width = LOOKS[look]
    async with with_console() as bridge:
        await in_every_state(bridge)
        async with visiting(browser, bridge.console, before=LISTENING) as visitor:
            await visitor.ask("Emulation.setEmulatedMedia", **media)
            await visitor.ask(
                "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
            )
            await _sign_in(visitor)
            for name, path in VIEWS.items():
                await visitor.open(path)
                await _keep(visitor, f"{name}-{look}")
                assert [] == await visitor.run("window.violations"), name
                assert width >= await visitor.run("document.documentElement.scrollWidth"), name
                await visitor.run(f"{axe}; 0")
                assert [] == await visitor.run(WRONG), name
            assert [] == visitor.errors


async def test_a_part_is_fetched_anew_while_it_is_looked_at(browser, with_console, order):
    async with with_console() as bridge, visiting(browser, bridge.console) as visitor:
        await visitor.open("/")
        assert "Documents received 0" in await visitor.run("document.body.innerText")
        name, body = order()
        await bridge.post(body)
        await bridge.settled(name)

        async def is_shown():
            return "Documents received 1" in await visitor.run("document.body.innerText")

        await bridge.until(is_shown)


async def test_dead_facts_are_retried_with_the_keyboard(browser, with_console, in_every_state, monkeypatch):
    monkeypatch.setattr(acts, "CALLED_OFF_WITHIN", 0.2)
    async with with_console() as bridge:
        ids = await in_every_state(bridge)
        async with visiting(browser, bridge.console, before=LISTENING) as visitor:
            await _sign_in(visitor)
            await visitor.open(A_GROUP)
            for _ in range(20):
                await _press(visitor, "Tab")
                if await visitor.run("document.activeElement.value") == "retry":
                    break
            await visitor.leading_to_a_page(_press(visitor, "Enter"))

            async def is_done():
                return "1 delivered" in await visitor.run("document.body.innerText")

            await bridge.until(is_done)
            assert [] == await visitor.run("window.violations")
        assert "delivered" == (await bridge.states(ids.dead))["order.placed"]


async def _press(visitor, key):
    code = {"Tab": 9, "Enter": 13}[key]
    text = {"text": "\r"} if key == "Enter" else {}
    for kind in ("keyDown", "keyUp"):
        await visitor.ask(
            "Input.dispatchKeyEvent",
            type=kind,
            key=key,
            code=key,
            windowsVirtualKeyCode=code,
            **(text if kind == "keyDown" else {}),
        )


async def test_no_page_of_others_frames_the_console(browser, with_console):
    """Clickjacking: a page that lays itself over the console's buttons would have to frame it."""
    async with with_console() as bridge, visiting(browser, bridge.private, before=LISTENING) as visitor:
        await visitor.open("/healthz")
        address = json.dumps(f"{bridge.console}/")
        await visitor.run(f"""new Promise((done) => {{
          const frame = document.createElement('iframe');
          frame.onload = done;
          frame.src = {address};
          document.body.append(frame);
        }}).then(() => 0)""")
        told = await visitor.ask("Page.getFrameTree")
        (child,) = told["frameTree"]["childFrames"]
        assert child["frame"]["url"].startswith("chrome-error:"), child
