"""Who may look and who may act, and what pages of others try."""

import pytest

from tests.console.conftest import ACT, READ

TWO_RIGHTS = "console: {port: 0, read_token: env:READ, act_token: env:ACT}\n"
A_GROUP = "/repair/group?state=dead&dest=hellotext&rule=placed&reason=refused"


async def test_without_a_section_there_is_no_console(running):
    async with running() as bridge:
        assert bridge.house.ports.console is None


def test_beyond_this_machine_a_token_is_asked_for(problems):
    (said,) = problems('console: {host: "0.0.0.0"}\n')
    assert "console.read_token: is missing: at 0.0.0.0 others than this machine reach the console" in said


def test_a_token_for_both_rights_or_a_short_one_is_refused(problems):
    (same,) = problems("console: {read_token: env:ACT, act_token: env:ACT}\n")
    assert "console.act_token: is the same as `read_token`" in same
    (short,) = problems("console: {act_token: env:SHORT}\n")
    assert "env:SHORT is too short: 16 characters at least" in short


async def test_who_has_no_token_sees_nothing(with_console, visit, in_every_state):
    async with with_console(TWO_RIGHTS) as bridge:
        ids = await in_every_state(bridge)
        page = visit(bridge)
        for path in ("/", "/orders", "/orders/1", "/orders/1/documents/1", "/repair", A_GROUP, "/rules", "/nowhere"):
            await page.open(path)
            assert (401, False) == (page.status, ids.dead in page.text)
        assert 403 == (await page.sign_in("wrong")).status
        assert "That is no token of this console" in page.words
        await page.sign_in(READ)
        assert 200 == (await page.open("/orders")).status
        await page.open("/")
        await page.press("Sign out")
        assert 401 == (await page.open("/orders")).status


async def test_who_may_only_look_cannot_act(with_console, visit, in_every_state):
    async with with_console(TWO_RIGHTS) as bridge:
        ids = await in_every_state(bridge)
        acting, looking = visit(bridge), visit(bridge)
        await acting.sign_in(ACT)
        await acting.open(A_GROUP)
        action, fields = acting.form("Drop")
        await looking.sign_in(READ)
        assert "<button name=" not in (await looking.open(A_GROUP)).text
        assert 403 == (await looking.send(action, fields)).status
        assert "dead" == (await bridge.states(ids.dead))["order.placed"]


async def test_a_cookie_that_was_changed_is_nobodys(with_console, visit):
    async with with_console(TWO_RIGHTS) as bridge:
        page = visit(bridge)
        await page.sign_in(READ)
        (cookie,) = page._session.cookie_jar
        assert (True, "Strict") == (cookie["httponly"], cookie["samesite"])
        other = visit(bridge)
        assert 200 == (await other.open("/", Cookie=f"{cookie.key}={cookie.value}")).status
        for value in ("2" + cookie.value[1:], cookie.value[:-1], "", ".", "2.9999999999.x.", cookie.value + "é"):
            assert 401 == (await other.open("/", Cookie=f"{cookie.key}={value}")).status


async def test_a_form_of_another_page_does_nothing(with_console, visit, in_every_state, log):
    """Cross-site request forgery: the visitor's cookie may come along, the token of the form does not."""
    async with with_console() as bridge:
        ids = await in_every_state(bridge)
        page = visit(bridge)
        await page.sign_in()
        await page.open(A_GROUP)
        action, fields = page.form("Drop")
        for forged in ({}, {"form": ""}, {"form": "x"}):
            await page.send(action, {**{name: value for name, value in fields.items() if name != "form"}, **forged})
            assert (403, True) == (page.status, "not one of this console" in page.words)
        for header in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            assert 403 == (await page.send(action, fields, **header)).status
            assert 403 == (await page.send("/sign-in", {"token": ACT}, **header)).status
        assert "dead" == (await bridge.states(ids.dead))["order.placed"]
        assert 200 == (await page.send(action, fields, Origin=bridge.console)).status
        assert {line["event"] for line in log() if line["level"] == "warning"} >= {"console.refused"}


async def test_a_visitor_of_another_console_has_no_form_of_this_one(with_console, visit, in_every_state):
    async with with_console() as bridge:
        await in_every_state(bridge)
        one, other = visit(bridge), visit(bridge)
        await one.sign_in()
        await other.sign_in()
        await one.open(A_GROUP)
        assert 403 == (await other.send(*one.form("Drop"))).status


async def test_a_name_that_a_stranger_owns_is_not_answered(with_console, visit):
    """DNS rebinding: the page of a stranger lets its own name lead to 127.0.0.1."""
    async with with_console() as bridge:
        page = visit(bridge)
        for path in ("/", "/orders", "/sign-in", "/static/console.css"):
            await page.open(path, Host="evil.example")
            assert (421, True) == (page.status, "console: {hosts: [...]}" in page.text)


async def test_no_page_is_framed_kept_or_run_with_script_from_elsewhere(with_console, visit):
    async with with_console() as bridge:
        page = visit(bridge)
        for path in ("/", "/orders", "/sign-in", "/nowhere", "/static/console.js"):
            await page.open(path)
            assert "DENY" == page.headers["X-Frame-Options"]
            policy = page.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert "no-store" == page.headers["Cache-Control"]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "'\"><img src=x onerror=alert(1)>", "{{ 7*7 }}"])
async def test_what_an_order_says_is_text(with_console, visit, order, name):
    async with with_console() as bridge:
        await bridge.fail(status=422, body=f'{{"error": "{name.replace(chr(34), "")}"}}')
        known, body = order(name=name, note=name, tags=name)
        await bridge.post(body)
        await bridge.settled(known)
        page = visit(bridge)
        for path in ("/", "/orders", "/repair", A_GROUP, "/orders/1", "/orders/1/documents/1"):
            await page.open(path)
            assert 200 == page.status
            assert "<script>alert" not in page.text
            assert "<img" not in page.text
