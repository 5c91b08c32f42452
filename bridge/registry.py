"""Find a connector by its name: the folders of `connectors/`, and packages with the entry point group.

Only this module uses importlib. A connector's package has an attribute CONNECTOR, the pydantic class of its settings.
"""

import importlib
import importlib.util
import pkgutil
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from bridge.errors import BridgeError

GROUP = "bridge.connectors"
_FOLDER = "connectors"


class NoSuchConnector(BridgeError):
    """The name is neither a folder of connectors/ nor an installed package."""


def names() -> Mapping[str, str]:
    """Every connector's name, with the module that it is imported from. A folder goes before an installed package."""
    found = {point.name: point.value for point in entry_points(group=GROUP)}
    folder = importlib.import_module(_FOLDER)
    found |= {module.name: f"{_FOLDER}.{module.name}" for module in pkgutil.iter_modules(folder.__path__)}
    return found


def connector(name: str) -> type[BaseModel]:
    """The connector's class. Raises NoSuchConnector with the names that there are."""
    package = _package(name)
    found: Any = getattr(package, "CONNECTOR", None)
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        raise NoSuchConnector(f"{package.__name__} has no CONNECTOR that is a pydantic class")
    return found


def folder(name: str) -> Path:
    """The folder of the connector's rules, examples and README."""
    package = _package(name)
    if package.__file__ is None:
        raise NoSuchConnector(f"{package.__name__} is no regular package")
    return Path(package.__file__).parent


def sandbox(name: str) -> ModuleType:
    """The connector's faithful local server. Raises NoSuchConnector if it has none."""
    module = f"{_package(name).__name__}.sandbox"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name != module:
            raise
        raise NoSuchConnector(f"connector {name} has no sandbox") from None


def admin_of(name: str) -> Any:  # noqa: ANN401  what makes a bridge.errand.Admin
    """The function that makes the connector's errands. None: it has none. Loads what they need."""
    return importlib.import_module(f"{_package(name).__name__}.admin").ADMIN if has_admin(name) else None


def has_admin(name: str) -> bool:
    """Whether the connector has an admin module. The module is not loaded: a blocking package comes with it."""
    package = _package(name)
    return hasattr(package, "__path__") and importlib.util.find_spec(f"{package.__name__}.admin") is not None


def _package(name: str) -> ModuleType:
    known = names()
    if name not in known:
        raise NoSuchConnector(f"there is no connector {name!r}; there are: {', '.join(sorted(known))}")
    return importlib.import_module(known[name])
