"""`check --connect`: what the configuration connects to is asked whether it lets us in."""

import pytest
from aiohttp import web

from tests.conftest import CONFIG


@pytest.fixture
def connect(typed_beside, tmp_path, monkeypatch, environ):
    """Types `check --connect` for a bridge with this API."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    async def typed(url, text=CONFIG):
        config = tmp_path / "bridge.yaml"
        config.write_text(text.format(url=url, mode="live", path=tmp_path / "journal.db"))
        return await typed_beside("check", "--connect", "--config", config)

    return typed


@pytest.fixture
async def answering():
    """Serves an API that always gives this answer, and gives its address."""
    runners = []

    async def serve(status, **headers):
        async def answer(_request):
            return web.json_response({}, status=status, headers=headers)

        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", answer)
        runners.append(web.AppRunner(app))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runners[-1].addresses[0][1]}"

    yield serve
    for runner in runners:
        await runner.cleanup()


async def test_an_api_that_answers_is_named(connect, sandbox):
    told = await connect(sandbox)
    assert 0 == told.exit_code, told.output
    assert "journal" in told.output
    assert "destination hellotext answers (200)" in told.output


async def test_an_api_that_does_not_let_us_in_is_named_with_a_cure(connect, answering):
    told = await connect(await answering(401))
    assert 1 == told.exit_code
    assert "destination hellotext does not let us in (401)\n    -> look at its token" in told.output


async def test_an_api_that_is_broken_or_not_there_is_named(connect, answering):
    told = await connect(await answering(502))
    assert (1, True) == (told.exit_code, "destination hellotext answers strangely (502)" in told.output)
    told = await connect("http://127.0.0.1:9")
    assert (1, True) == (told.exit_code, "destination hellotext does not answer: " in told.output)
