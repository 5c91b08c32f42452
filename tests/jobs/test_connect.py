"""`check --connect` asks the shop what its doctor asks."""

from bridge.cli.connections import tried
from tests.jobs.conftest import ENVIRON


async def test_a_shop_that_lets_us_in_and_one_that_does_not(fake, settings_of, capsys):
    assert not await tried(settings_of())
    said = capsys.readouterr().out
    assert "shop example.myshopify.com of shop token: it is of example.myshopify.com\n" in said
    assert "destination hellotext does not answer" in said
    assert "    -> attribution-bridge shopify subscribe\n" in said
    assert not await tried(settings_of(environ=ENVIRON | {"SHOPIFY_TOKEN": "wrong"}))
    assert "of shop token: it is of" not in capsys.readouterr().out
