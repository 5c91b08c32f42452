"""Connections to the door are served in both ways: the fast one, and the one on aiohttp's public interface."""

from dataclasses import replace

import pytest

from bridge.intake import connections, plain_connections

KINDS = {"fast": connections, "plain": plain_connections}


@pytest.fixture(params=KINDS)
def kind(request):
    """Which way."""
    return request.param


@pytest.fixture
def served(kind):
    """The module that serves connections."""
    return KINDS[kind]


@pytest.fixture
def settings_for(settings_for, kind):
    def make(*given, **options):
        settings = settings_for(*given, **options)
        return replace(settings, door=settings.door.model_copy(update={"fast": kind == "fast"}))

    return make
