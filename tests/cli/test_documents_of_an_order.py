"""`orders show` with the documents of an order, and a test made of it."""

import json

import pytest

from bridge.errors import BridgeError
from tests.conftest import CONFIG


@pytest.fixture
def brought(running, order, tmp_path, settings_for, environ, monkeypatch):
    """An order in a journal, with the configuration beside it; gives its id."""

    async def bring():
        number, body = order()
        async with running() as bridge:
            await bridge.post(body)
            await bridge.settled(number)
            text = CONFIG.format(url=bridge.api, mode="live", path=tmp_path / "journal.db")
        (tmp_path / "bridge.yaml").write_text(text)
        monkeypatch.chdir(tmp_path)
        return number

    return bring


async def test_bodies_and_requests_are_shown_when_they_are_asked_for(brought, typed_beside):
    number = await brought()
    story = (await typed_beside("orders", "show", number)).output
    assert "ada.sample@example.com" not in story
    told = (await typed_beside("orders", "show", number, "--body")).output
    assert '"email": "ada.sample@example.com"' in told
    told = (await typed_beside("orders", "show", number, "--requests")).output
    assert "placed order.placed: would be sent" in told
    assert '"action": "order.placed"' in told
    assert "token-of-the-tests" not in told


async def test_a_case_is_made_of_an_order_without_its_persons_and_passes(brought, typed_beside, tmp_path):
    number = await brought()
    made = await typed_beside("orders", "show", number, "--as-case", "tests/strange")
    assert 0 == made.exit_code, made.output
    text = "".join(path.read_text() for path in sorted((tmp_path / "tests/strange").iterdir()))
    for person in ("ada.sample", "Exampleton", "4915112345678"):
        assert person not in text
    assert "person-1@example.com" in text
    expected = json.loads((tmp_path / "tests/strange/expected.json").read_text())
    assert "sent" in {verdict["verdict"] for verdict in expected[0]["verdicts"]}
    assert "1 cases, 0 not as expected" in (await typed_beside("test", "tests")).output
    with pytest.raises(BridgeError, match="is not empty: name a new folder"):
        await typed_beside("orders", "show", number, "--as-case", "tests/strange")


async def test_json_is_the_story_alone(brought, typed_beside):
    number = await brought()
    told = await typed_beside("orders", "show", number, "--json", "--body")
    assert 2 == told.exit_code
    assert "--json has the story alone" in told.output
