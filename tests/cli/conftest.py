"""What the tests of commands share."""

import asyncio
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from bridge.cli import command

CONFIG = """
sources:
  shop: {connector: shopify, shops: {example.myshopify.com: {secrets: [env:SHOPIFY_SECRET]}}}
destinations:
  hellotext: {connector: hellotext, token: env:HELLOTEXT_TOKEN}
include: [shopify/default]
"""


@pytest.fixture
def typed(monkeypatch, environ, tmp_path):
    """Runs a command in a folder of its own; its result."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def invoke(*words, **options):
        return CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False, **options)

    return invoke


@pytest.fixture
def typed_beside(typed):
    """As `typed`, beside what runs in the event loop."""

    async def invoke(*words):
        return await asyncio.to_thread(typed, *words)

    return invoke


@pytest.fixture
def configured(typed, tmp_path):
    """As `typed`, with the usual configuration, and no secret at hand."""
    (tmp_path / "bridge.yaml").write_text(CONFIG)
    return typed


@pytest.fixture
def utc_now():
    return datetime.now(UTC)
