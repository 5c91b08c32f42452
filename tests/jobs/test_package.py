"""The ShopifyAPI package as it is fenced off: a test for each thing that it does unasked."""

import asyncio
import contextlib
import logging
import threading
import time
from datetime import timedelta

import pytest
import shopify

from bridge.errors import ErrandFailed, NoAnswer
from connectors.shopify import admin
from tests.jobs.shop import Fault, serving

TOKEN = "shpat_lasting"


def _url(shop, rest="orders.json?status=any", version="2026-10"):
    return f"{shop.url}/admin/api/{version}/{rest}"


async def _got(shop, *rest, **more):
    return await asyncio.to_thread(admin.get, _url(shop, *rest, **more), TOKEN)


async def test_the_bytes_of_the_orders_come_as_shopify_sent_them(fake, put):
    put(1)
    response = await _got(fake)
    assert 200 == response.status
    assert response.body.startswith(b'{"orders": [{"id": 6042000000001')
    assert "1/40" == response.headers["x-shopify-shop-api-call-limit"]


async def test_the_host_is_the_one_that_is_configured(fake):
    """A session of the package's own would go to 127.myshopify.com."""
    assert "127.myshopify.com" == shopify.Session(fake.url, "2026-10", TOKEN).url
    await _got(fake)
    assert 1 == len(fake.asked)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409, 422, 423, 429])
async def test_a_refusal_is_an_answer_with_its_headers(fake, status):
    fake.faults = [Fault(status=status, headers={"Retry-After": "2.0"})]
    response = await _got(fake)
    assert (status, "2.0") == (response.status, response.headers["retry-after"])


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_failure_of_theirs_is_an_answer_too(fake, status):
    fake.faults = [Fault(status=status)]
    assert status == (await _got(fake)).status


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_with_the_token(fake, status):
    async with serving() as elsewhere:
        fake.faults = [Fault(status=status, headers={"Location": _url(elsewhere)})]
        assert status == (await _got(fake)).status
        assert [] == elsewhere.asked


async def test_silence_ends_in_time(fake, monkeypatch):
    monkeypatch.setattr(admin, "TIMEOUT", timedelta(seconds=0.2))
    fake.faults = [Fault(delay=3)]
    with pytest.raises(NoAnswer):
        await _got(fake)


async def test_an_answer_that_drips_ends_in_time(fake, monkeypatch):
    monkeypatch.setattr(admin, "WHOLE", timedelta(seconds=0.3))
    fake.faults = [Fault(drip=5)]
    with pytest.raises(NoAnswer, match="did not end in time"):
        await _got(fake)


async def test_a_connection_that_breaks_is_no_answer(fake):
    fake.faults = [Fault(reset=True)]
    with pytest.raises(NoAnswer):
        await _got(fake)


async def test_an_answer_that_breaks_off_is_no_answer():
    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"orders": []}')
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/admin/api/2026-10/orders.json"
        with pytest.raises(NoAnswer, match="broke off"):
            await asyncio.to_thread(admin.get, url, TOKEN)


async def test_nobody_there_is_no_answer():
    with pytest.raises(NoAnswer, match=r"^http://127\.0\.0\.1:1: it cannot be reached: the connection is refused$"):
        await asyncio.to_thread(admin.get, "http://127.0.0.1:1/admin/api/2026-10/orders.json", TOKEN)


async def test_a_shop_whose_name_does_not_resolve_is_named():
    with pytest.raises(NoAnswer, match=r"^https://no-such\.invalid: it cannot be reached: the name does not resolve"):
        await asyncio.to_thread(admin.get, "https://no-such.invalid/admin/api/2026-10/orders.json", TOKEN)


async def test_a_body_that_is_no_json_is_given_as_it_is(fake):
    fake.faults = [Fault(body=b"<html>a proxy</html>")]
    assert b"<html>a proxy</html>" == (await _got(fake)).body


async def test_an_unknown_version_is_said(fake):
    with pytest.raises(ErrandFailed, match="there is no API version 'soon'"):
        await _got(fake, version="soon")


async def test_no_session_stays_behind_also_not_after_a_failure(fake):
    fake.faults = [Fault(reset=True)]

    def both():
        with contextlib.suppress(NoAnswer):
            admin.get(_url(fake), TOKEN)
        return shopify.ShopifyResource.site, shopify.ShopifyResource.headers.get("X-Shopify-Access-Token")

    assert (None, None) == await asyncio.to_thread(both)


async def test_sessions_of_two_threads_do_not_meet(fake):
    async with serving() as other:
        other.tokens = {"shpat_other"}
        fake.faults = [Fault(delay=0.3)]
        first = asyncio.create_task(asyncio.to_thread(admin.get, _url(fake), TOKEN))
        await asyncio.sleep(0.1)
        assert 200 == (await asyncio.to_thread(admin.get, _url(other), "shpat_other")).status
        await first
        assert {"/admin/api/2026-10/orders.json?status=any"} == {path for _, path, _ in fake.asked + other.asked}


async def test_no_token_is_ever_logged_or_printed(fake, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    fake.faults = [Fault(status=500, body=b"secret of the body")]
    await _got(fake)
    await _got(fake)
    out, err = capfd.readouterr()
    for text in (caplog.text, out, err):
        assert TOKEN not in text
        assert "secret of the body" not in text


async def test_it_is_one_thread_that_is_asked(fake, errands, do, put):
    put(3)
    fake.page = 1
    names = set()
    mine = errands()
    get = mine._get
    mine._get = lambda url, token: names.add(threading.current_thread().name) or get(url, token)
    await do(_all(mine))
    assert 1 == len(names)
    assert names != {threading.main_thread().name}


async def test_a_call_that_hangs_is_given_up_and_the_next_one_works(fake, do):
    from bridge.contract import Response  # noqa: PLC0415
    from bridge.errand import Blocking  # noqa: PLC0415

    hanging = threading.Event()

    def errand():
        with contextlib.suppress(NoAnswer):
            yield Blocking(call=lambda: hanging.wait(20), within=timedelta(seconds=0.1))
        return (yield Blocking(call=lambda: Response(status=200)))

    began = time.monotonic()
    assert 200 == (await do(errand())).status
    hanging.set()
    assert time.monotonic() - began < 15


def _all(errands):
    from tests.jobs.conftest import NOW  # noqa: PLC0415

    return errands.documents("example.myshopify.com", since=NOW - timedelta(days=1), until=NOW, now=NOW)
