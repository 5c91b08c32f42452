"""Pages out of templates. What is put into them is escaped."""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape


class Rendering:
    """The templates of the console, read once."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=PackageLoader("bridge.console"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._templates.filters["when"] = _when
        self._templates.filters["number"] = _number
        self._templates.filters["code"] = _code

    def page(self, name: str, values: Mapping[str, object], *, status: int = HTTPStatus.OK) -> web.Response:
        """The page that a template makes of these values."""
        text = self._templates.get_template(f"{name}.html").render(values)
        return web.Response(text=text, status=status, content_type="text/html")


def _when(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if moment is not None else "-"


def _code(text: str) -> Markup:
    """Set what stands in backticks as code, and escape everything."""
    parts = [escape(part) for part in text.split("`")]
    is_paired = len(parts) % 2 == 1
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if is_paired and number % 2 else part
        for number, part in enumerate(parts)
    )


def _number(count: int) -> str:
    return f"{count:,}"
