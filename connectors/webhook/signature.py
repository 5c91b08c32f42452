"""HMAC signatures, whatever header, encoding, key and signed text a platform uses. Compared in constant time."""

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bridge.contract import HttpArrival
from bridge.errors import NotAuthentic
from bridge.setting_types import Duration
from bridge.signatures import matching_secret
from bridge.signed_text import BODY, RECEIVED, Incomplete, KeyForm, Sources, Template, key_of

_MOST_CANDIDATES: Final = 10
"""The most signatures of one delivery that are tried."""
_LONGEST: Final = 4096  # characters of the header
_LONGEST_STAMP: Final = 16  # digits

Encoding: TypeAlias = Literal["base64", "hex", "any"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class Timestamp(_Section):
    """The time at which a delivery was signed: a header, or a part of one, that holds digits only."""

    header: str = Field(default="", pattern=r"^[A-Za-z0-9-]*$")
    """Header that holds it. Default: the header of the signature."""
    separator: str = ""
    """Text between the parts of the header. Default: the header is one part."""
    prefix: str = ""
    """Beginning of the part that holds it, such as `t=`."""
    unit: Literal["s", "ms"] = "s"
    """Unit: seconds or milliseconds since 1970."""
    tolerance: Duration = timedelta(seconds=300)
    """Longest time between it and the arrival, in both directions. `0s`: it is not checked."""


class Signature(_Section):
    """How deliveries are signed by HMAC."""

    header: str = Field(pattern=r"^[A-Za-z0-9-]+$")
    """Header that holds the signature. If there are several of this name, all are tried."""
    algorithm: Literal["sha256", "sha512", "sha1"] = "sha256"
    """Hash."""
    encoding: Encoding = "base64"
    """Form in which the signature is written. `any` takes both."""
    separator: str = ""
    """Text between several signatures in one header, such as `,` or a blank. Default: the header holds one."""
    prefix: str = ""
    """Beginning of a signature, such as `sha256=` or `v1,`. Parts of the header with another beginning are passed
    over."""
    signed: str = BODY
    """Text that is signed: a template of `{body}`, `{ts}`, `{url}`, `{header:NAME}`, `{query:NAME}` and
    `{json:/POINTER}`. `|lower` behind a name makes small letters; `[...]` is left out if a value in it is missing."""
    key: KeyForm = "text"
    """How the secret's text becomes the key."""
    key_prefix: str = ""
    """Beginning of the secret that is no part of the key, such as `whsec_`."""
    timestamp: Timestamp | None = None
    """Time that is signed, as `{ts}`."""
    url: str = ""
    """Public address for `{url}`, exactly as the platform was told it. Headers never say it."""

    @model_validator(mode="after")
    def _is_whole(self) -> "Signature":
        template = self._template
        if template.has_time and self.timestamp is None:
            raise ValueError("`signed` has {ts}: say with `timestamp:` where it stands")
        if self.timestamp is not None and not template.has_time:
            raise ValueError(
                "`signed` has no {ts}: nobody signed the time, so it proves nothing; take `timestamp` away"
            )
        if template.has_url and not self.url:
            raise ValueError("`signed` has {url}: say the public address with `url:`")
        return self

    @cached_property
    def _template(self) -> Template:
        return Template(self.signed, RECEIVED)

    def key_of(self, secret: str) -> bytes:
        """The key that a secret stands for. Raises ValueError if it is not written in that form."""
        return key_of(secret, self.key, self.key_prefix)

    @property
    def signs_body(self) -> bool:
        """Whether the whole body is signed."""
        return self._template.has_body

    def check_header(self, headers: Mapping[str, str]) -> None:
        if not headers.get(self.header):
            raise NotAuthentic(f"no {self.header} header: did a proxy remove it?")

    def matching(self, keys: Sequence[bytes], arrival: HttpArrival) -> int | None:
        """The index of the key that signed a delivery, or None. Raises NotAuthentic if nothing can have signed it."""
        if self._is_plain:
            claimed = arrival.headers.get(self.header) or ""
            return matching_secret(keys, arrival.body, claimed) if claimed and not self._is_several(arrival) else None
        candidates = [found for text in self._candidates(arrival) if (found := self._digest(text))]
        text = self._text(arrival, self._stamp(arrival))
        matched: int | None = None
        for index, key in enumerate(keys):
            digest = hmac.digest(key, text, self.algorithm)
            for candidate in candidates:
                if hmac.compare_digest(digest, candidate) and matched is None:
                    matched = index
        return matched

    def _text(self, arrival: HttpArrival, stamp: str) -> bytes:
        sources = Sources(body=arrival.body, headers=arrival.headers, query=arrival.query, stamp=stamp, url=self.url)
        try:
            return self._template.made(sources)
        except Incomplete:
            raise NotAuthentic("a part of what is signed is not in the delivery") from None

    @cached_property
    def _is_plain(self) -> bool:
        """Whether it is the most usual one, for which there is a faster way."""
        usual = (self.algorithm, self.encoding, self.separator, self.prefix) == ("sha256", "base64", "", "")
        return usual and self._template.is_body

    def _is_several(self, arrival: HttpArrival) -> bool:
        return len(_all(arrival.headers, self.header)) > 1

    def _candidates(self, arrival: HttpArrival) -> Sequence[str]:
        self.check_header(arrival.headers)
        texts = _all(arrival.headers, self.header)
        if sum(map(len, texts)) > _LONGEST:
            raise NotAuthentic(f"the {self.header} header is longer than {_LONGEST} characters")
        parts = _parts(texts, self.separator, self.prefix)
        if len(parts) > _MOST_CANDIDATES:
            raise NotAuthentic(f"more than {_MOST_CANDIDATES} signatures in the {self.header} header")
        return parts

    def _digest(self, text: str) -> bytes:
        """The bytes that a signature is written for. Empty: it is none."""
        for encoding, read in (("hex", bytes.fromhex), ("base64", _of_base64)):
            if self.encoding in (encoding, "any") and (found := _read(read, text, self._size)):
                return found
        return b""

    @cached_property
    def _size(self) -> int:
        return len(hmac.digest(b"k", b"", self.algorithm))

    def _stamp(self, arrival: HttpArrival) -> str:
        """The digits of the time. Raises NotAuthentic if it is not there exactly once, or too far from the arrival."""
        at = self.timestamp
        if at is None:
            return ""
        found = _parts(_all(arrival.headers, at.header or self.header), at.separator, at.prefix)
        if len(found) != 1 or not (found[0].isascii() and found[0].isdigit() and len(found[0]) <= _LONGEST_STAMP):
            raise NotAuthentic(f"the {at.header or self.header} header does not hold one time")
        seconds = int(found[0]) / (1000 if at.unit == "ms" else 1)
        away = abs(seconds - arrival.received_at.timestamp())
        if at.tolerance and away > at.tolerance.total_seconds():
            raise NotAuthentic(
                f"it was signed {away:.0f} s away from now, and `tolerance` is {at.tolerance.total_seconds():.0f} s: "
                "is the clock of this machine right?"
            )
        return found[0]

    # -- signing -------------------------------------------------------------------------------------------------------

    def headers_of(self, key: bytes, body: bytes, given: Mapping[str, str], at: datetime) -> Mapping[str, str]:
        """The headers of a delivery that is signed with this key. given: its other headers."""
        headers = dict(given)
        stamp = ""
        if self.timestamp is not None:
            stamp = str(int(at.timestamp() * (1000 if self.timestamp.unit == "ms" else 1)))
        arrival = HttpArrival(source="", headers={**headers}, body=body, received_at=at)
        digest = hmac.digest(key, self._text(arrival, stamp), self.algorithm)
        written = digest.hex() if self.encoding == "hex" else base64.b64encode(digest).decode()
        value = self.prefix + written
        if self.timestamp is not None and (where := self.timestamp.header) and where.lower() != self.header.lower():
            headers[where] = self.timestamp.prefix + stamp
        elif self.timestamp is not None:
            value = f"{self.timestamp.prefix}{stamp}{self.timestamp.separator}{value}"
        return {**headers, self.header: value}

    def fits(self, key: bytes, body: bytes, claimed: str) -> bool:
        """Whether a key made this signature of a body. False, if more than the body is signed."""
        if not self._template.is_body:
            return False
        digest = self._digest(claimed.removeprefix(self.prefix))
        return hmac.compare_digest(hmac.digest(key, body, self.algorithm), digest)


def _all(headers: Mapping[str, str], name: str) -> Sequence[str]:
    """All headers of a name. A mapping that holds one of each has no more."""
    many = getattr(headers, "getall", None)
    if many is not None:
        return list(many(name, ()))
    found = headers.get(name)
    return [] if found is None else [found]


def _parts(texts: Sequence[str], separator: str, prefix: str) -> Sequence[str]:
    parts = [part.strip() for text in texts for part in (text.split(separator) if separator else [text])]
    return [part.removeprefix(prefix) for part in parts if part.startswith(prefix)]


def _of_base64(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii"), validate=True)


def _read(read: object, text: str, size: int) -> bytes:
    try:
        found: bytes = read(text)  # type: ignore[operator]  # one of two functions
    except (ValueError, binascii.Error):
        return b""
    return found if len(found) == size else b""
