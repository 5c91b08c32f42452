"""How requests say whose they are: a token, a header, a user's password, a parameter of the query, or a signature."""

import base64
import re
from collections.abc import Collection, Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from bridge.setting_types import Secret
from connectors.http.oauth2 import OAuth2
from connectors.http.signing import Signing
from connectors.http.template import TOKEN

_WAYS: Final = "`bearer:`, `header:`, `basic:`, `query:`, `oauth2:` or `sign:`"
_TRAVELS: Final = re.compile(r"[!-~]([ -~]*[!-~])?")


class Authentication(BaseModel):
    """How requests say whose they are, in one way: `bearer`, `oauth2`, or `header`, `basic` or `query` with `secret`.
    `sign` may stand alone or beside it."""

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
    oauth2: OAuth2 | None = None
    """Client credentials of OAuth2, by which a token is asked for."""
    sign: Signing | None = None
    """Signature of each request."""

    @model_validator(mode="after")
    def _is_one_way(self) -> "Authentication":
        with_secret = [way for way in (self.header, self.basic, self.query) if way is not None]
        ways = len(with_secret) + (self.bearer is not None) + (self.oauth2 is not None)
        if ways > 1 or (not ways and self.sign is None):
            raise ValueError(f"say how requests authenticate in one way: {_WAYS}")
        if (self.secret is None) == bool(with_secret):
            raise ValueError("`secret:` is missing" if with_secret else
                             "`secret:` belongs to `header:`, `basic:` and `query:`: take `secret:` away")  # fmt: skip
        if self.prefix and self.header is None:
            raise ValueError("`prefix:` belongs to `header:` only")
        return self

    @model_validator(mode="after")
    def _can_travel(self) -> "Authentication":
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

    def names(self) -> Collection[str]:
        """The names of all headers that it adds, now or when a request is sent."""
        by_token = ["Authorization"] if self.oauth2 is not None else []
        return [*self.headers(), *by_token, *([] if self.sign is None else self.sign.names())]

    def parameters(self) -> Mapping[str, str]:
        """The parameter of the query that it adds. Empty: it adds none."""
        return {} if self.query is None else {self.query: self._revealed}

    @property
    def _revealed(self) -> str:
        return "" if self.secret is None else self.secret.reveal()
