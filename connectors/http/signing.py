"""Sign requests by HMAC. The words are those by which webhooks are checked (connectors/webhook/signature.py)."""

import base64
import hmac
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Final, Literal
from urllib.parse import urlsplit

from multidict import CIMultiDict
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from bridge.contract import Request
from bridge.setting_types import MadeUp, Secret
from bridge.signed_text import BODY, MADE, Incomplete, KeyForm, Sources, Template, key_of
from connectors.http.template import Unfilled

_NAME: Final = r"^[A-Za-z0-9-]+$"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class Stamp(_Section):
    """The time at which a request is signed, as digits."""

    header: str = Field(default="", pattern=r"^[A-Za-z0-9-]*$")
    """Header that holds it. Default: it stands before the signature, in its header."""
    separator: str = ","
    """Text between it and the signature, if they share a header."""
    prefix: str = ""
    """Text before it, such as `t=`."""
    unit: Literal["s", "ms"] = "s"
    """Unit: seconds or milliseconds since 1970."""


class Signing(_Section):
    """A signature of each request, made by HMAC."""

    header: str = Field(pattern=_NAME)
    """Header that holds the signature, such as `X-Signature`."""
    secret: Secret
    """Secret that signs."""
    algorithm: Literal["sha256", "sha512", "sha1"] = "sha256"
    """Hash."""
    encoding: Literal["base64", "hex"] = "base64"
    """Form in which the signature is written."""
    prefix: str = Field(default="", max_length=100, pattern=r"^[\x20-\x7e]*$")
    """Text before the signature, such as `sha256=` or `v1,`."""
    signed: str = BODY
    """Text that is signed: a template of `{body}`, `{ts}`, `{method}`, `{url}`, `{path}`, `{header:NAME}`,
    `{query:NAME}` and `{json:/POINTER}`. `|lower` behind a name makes small letters; `[...]` is left out if a value in
    it is missing."""
    key: KeyForm = "text"
    """Form of the secret: its text is the key, or the key is written in base64 or hex."""
    key_prefix: str = ""
    """Beginning of the secret that is no part of the key, such as `whsec_`."""
    timestamp: Stamp | None = None
    """Time that is signed, as `{ts}`."""

    @model_validator(mode="after")
    def _is_whole(self, info: ValidationInfo) -> "Signing":
        if self._template.has_time != (self.timestamp is not None):
            raise ValueError(
                "`signed` has {ts}: say with `timestamp:` where it is sent"
                if self.timestamp is None
                else "`signed` has no {ts}: a time that nobody signs proves nothing; take `timestamp` away"
            )
        if not isinstance((info.context or {}).get("environ"), MadeUp):
            try:
                key_of(self.secret.reveal(), self.key, self.key_prefix)
            except ValueError:
                raise PydanticCustomError("key", "the secret is no {form}, as `key: {form}` wants",
                                          {"form": self.key}) from None  # fmt: skip
        return self

    @cached_property
    def _template(self) -> Template:
        return Template(self.signed, MADE)

    @cached_property
    def _key(self) -> bytes:
        return key_of(self.secret.reveal(), self.key, self.key_prefix)

    def names(self) -> list[str]:
        """The names of the headers that it adds."""
        return [self.header, *filter(None, [self.timestamp.header if self.timestamp is not None else ""])]

    def headers_for(self, request: Request, now: datetime) -> Mapping[str, str]:
        """The headers that sign a request. Raises Unfilled if the request lacks a part of what is signed."""
        stamp = self.timestamp
        digits = "" if stamp is None else str(int(now.timestamp() * (1000 if stamp.unit == "ms" else 1)))
        parts = urlsplit(request.url)
        sources = Sources(
            body=request.body or b"",
            headers=CIMultiDict(request.headers),
            query=parts.query,
            stamp=digits,
            url=request.url,
            method=request.method,
            path=parts.path,
        )
        try:
            text = self._template.made(sources)
        except Incomplete:
            raise Unfilled("authentication.sign: a part of what is signed is not in the request") from None
        digest = hmac.digest(self._key, text, self.algorithm)
        written = self.prefix + (digest.hex() if self.encoding == "hex" else base64.b64encode(digest).decode("ascii"))
        if stamp is None:
            return {self.header: written}
        if stamp.header:
            return {stamp.header: stamp.prefix + digits, self.header: written}
        return {self.header: f"{stamp.prefix}{digits}{stamp.separator}{written}"}
