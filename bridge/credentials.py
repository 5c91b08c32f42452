"""Addresses of APIs, and the usual ways in which requests say whose they are."""

import base64
import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from bridge.setting_types import Secret

TOKEN: Final = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"  # noqa: S105  the grammar of a header's name (RFC 9110, 5.6.2)
_TRAVELS: Final = re.compile(r"[!-~]([ -~]*[!-~])?")


def address_complaint(url: str) -> str:
    """Describe what is wrong with an API's address, and what to write instead. Empty if nothing is."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or parts.scheme not in ("http", "https"):
        return "write the API's address as https://HOST"
    if parts.username or parts.password or parts.query or parts.fragment:
        return "the address takes no password, no ? and no #: there are `authentication:` and `query:`"
    if re.search(r"[{}\s\\\x00-\x1f]", url):
        return "the address has no places, so that no event decides the host: write them in `path:`"
    if parts.scheme == "http" and not _is_loopback(host):
        return f"events would travel in the clear: write https://{host} (http is for this machine only)"
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Credentials(BaseModel):
    """How requests say whose they are, in one way: `bearer`, or `header`, `basic` or `query` with `secret`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    bearer: Secret | None = None
    """Token that is sent as `Authorization: Bearer ...`."""
    header: str | None = Field(default=None, pattern=TOKEN)
    """Header in which `secret` is sent, such as `X-Api-Key`."""
    prefix: str = Field(default="", max_length=100, pattern=r"^[\x20-\x7e]*$")
    """Text before the secret in that header, such as `Token ` with its space."""
    basic: str | None = Field(default=None, pattern=r"^[^:\x00-\x1f\x7f]*$")
    """User name that is sent with `secret` as its password, as HTTP Basic."""
    query: str | None = Field(default=None, min_length=1)
    """Parameter of the query in which `secret` is sent. It shows in no log of the bridge, but other programs on the way
    may log it: prefer a header where the API takes one."""
    secret: Secret | None = None
    """Secret for `header`, `basic` or `query`."""

    @model_validator(mode="after")
    def _is_one_way(self) -> "Credentials":
        with_secret = [way for way in (self.header, self.basic, self.query) if way is not None]
        ways = len(with_secret) + (self.bearer is not None)
        if not self._is_enough(ways):
            raise ValueError(f"say how requests authenticate in one way: {self._ways()}")
        if (self.secret is None) == bool(with_secret):
            raise ValueError("`secret:` is missing" if with_secret else
                             "`secret:` belongs to `header:`, `basic:` and `query:`: take `secret:` away")  # fmt: skip
        if self.prefix and self.header is None:
            raise ValueError("`prefix:` belongs to `header:` only")
        return self

    def _is_enough(self, ways: int) -> bool:
        """Whether it is one way, of which so many are said here."""
        return ways == 1

    def _ways(self) -> str:
        return "`bearer:`, `header:`, `basic:` or `query:`"

    @model_validator(mode="after")
    def _can_travel(self) -> "Credentials":
        in_header = self.bearer or (self.secret if self.header is not None else None)
        if in_header is not None and not _TRAVELS.fullmatch(in_header.reveal()):
            raise PydanticCustomError("secret", "the secret holds a character that no header can carry")
        return self

    def headers(self) -> Mapping[str, str]:
        """The header that it adds. Empty: it adds none."""
        if self.bearer is not None:
            return {"Authorization": f"Bearer {self.bearer.reveal()}"}
        if self.header is not None:
            return {self.header: f"{self.prefix}{self._revealed}"}
        if self.basic is not None:
            pair = base64.b64encode(f"{self.basic}:{self._revealed}".encode()).decode("ascii")
            return {"Authorization": f"Basic {pair}"}
        return {}

    def parameters(self) -> Mapping[str, str]:
        """The parameter of the query that it adds. Empty: it adds none."""
        return {} if self.query is None else {self.query: self._revealed}

    @property
    def _revealed(self) -> str:
        return "" if self.secret is None else self.secret.reveal()
