"""What the suites of this folder share: connectors found by folder, built from their own examples."""

import importlib
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import connectors
from bridge.contract import Signs, StreamSource, WebhookSource
from bridge.mapping.records import RecordExpressions
from bridge.setting_types import EXPRESSIONS


def folders() -> list[ModuleType]:
    found = [entry.name for entry in pkgutil.iter_modules(connectors.__path__) if entry.ispkg]
    modules = [importlib.import_module(f"connectors.{name}") for name in found]
    return [module for module in modules if hasattr(module, "CONNECTOR")]


def examples_of(module: ModuleType) -> Path:
    return Path(module.__path__[0], "examples")


def built(module: ModuleType):
    """The connector from its sample settings; every secret it names is set, for this one reading."""
    text = (examples_of(module) / "settings.yaml").read_text(encoding="utf-8")
    environ = {name: f"secret-of-{name}" for name in re.findall(r"env:(\w+)", text)}
    return module.CONNECTOR.model_validate(
        yaml.safe_load(text), context={"environ": environ, EXPRESSIONS: RecordExpressions()}
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `source_folder` or `destination_folder` runs once for each that there is."""
    for name, method in (("source_folder", "read"), ("destination_folder", "converse")):
        if name in metafunc.fixturenames:
            found = [module for module in folders() if hasattr(module.CONNECTOR, method)]
            metafunc.parametrize(name, found, ids=[module.__name__ for module in found])


@pytest.fixture
def source(source_folder):
    return built(source_folder)


@pytest.fixture
def webhook(source):
    if not (isinstance(source, WebhookSource) and isinstance(source, Signs)):
        pytest.skip("takes no webhooks")
    return source


@pytest.fixture
def stream(source):
    if not isinstance(source, StreamSource):
        pytest.skip("reads no topics")
    return source


@pytest.fixture
def destination(destination_folder):
    return built(destination_folder)
