"""The schema registry says which schema a record was written with. Schemas never change under their id, so each is
asked for once. What the registry cannot say now is asked again later."""

import base64
from collections.abc import Generator, Mapping
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

import fastavro
import msgspec
from fastavro.schema import SchemaParseException, UnknownType
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from bridge.contract import Request, Response, Share
from bridge.errors import Malformed, NotNow
from bridge.setting_types import Secret
from connectors.kafka.avro_limits import Schema, Walk

FilePath = Annotated[Path, BeforeValidator(lambda given: Path(given) if isinstance(given, str) else given)]


class Parsed(NamedTuple):
    """A schema as fastavro has parsed it, and the walk that looks at a value before it is read."""

    schema: Schema
    walk: Walk


_MAGIC: Final = b"\x00"
_FRAME: Final = 5  # bytes before the value
_NO_SUCH_SCHEMA: Final = 40403  # error code of the registry
_MOST_SCHEMAS: Final = 1000  # schemas
_DEEPEST: Final = 16  # references in references
_HERE: Final = ("localhost", "127.0.0.1", "::1")


class _Reference(msgspec.Struct):
    name: str
    subject: str
    version: int


class _Told(msgspec.Struct):
    """The answer of a registry for a schema."""

    schema: str
    schemaType: str = "AVRO"  # noqa: N815 - its own name
    references: list[_Reference] = []


class _Refused(msgspec.Struct):
    error_code: int = 0


_told = msgspec.json.Decoder(_Told).decode
_refused = msgspec.json.Decoder(_Refused).decode


def unframed(value: bytes) -> tuple[int, bytes]:
    """The schema's id and the rest, in Confluent's wire format. Raises Malformed."""
    if value[:1] != _MAGIC or len(value) < _FRAME:
        raise Malformed("not in the wire format of a schema registry: it does not start with a zero and a schema's id")
    return int.from_bytes(value[1:_FRAME], "big"), value[_FRAME:]


def framing_of(value: bytes, values: str) -> str:
    """Name the framing of bytes that are no JSON, and what to write for it. Empty: it is not known."""
    if value[:1] == _MAGIC and len(value) >= _FRAME:
        number = int.from_bytes(value[1:_FRAME], "big")
        if values == "json":
            return _FRAMED.format(number=number)
        if values == "json-schema":
            return _NO_JSON.format(number=number)
    return _GLUE if value[:1] == _GLUE_MAGIC and len(value) >= _GLUE_FRAME and value[1] in _GLUE_CODECS else ""


_GLUE_MAGIC: Final = b"\x03"
_GLUE_FRAME: Final = 18  # bytes before the value
_GLUE_CODECS: Final = (0, 5)  # codes: none, zlib
_FRAMED: Final = (
    "it is in the wire format of a schema registry (schema {number}): write `values: avro` or `values: json-schema`"
)
_NO_JSON: Final = (
    "it is in the wire format of a schema registry (schema {number}), and what is in it is no JSON: Avro is read with "
    "`values: avro`, Protobuf is not read"
)
_GLUE: Final = "it looks like the wire format of AWS Glue's schema registry, which is not read"


class SchemaRegistry(BaseModel):
    """A Confluent schema registry. Write `username` with `password`, or `token`, or none of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    url: str = Field(pattern=r"^https?://[^/]+")
    """Address of the registry."""
    username: str = ""
    """User name."""
    password: Secret | None = None
    """Password of the user."""
    token: Secret | None = None
    """Bearer token."""
    ca: FilePath | None = None
    """PEM file of the authorities that are trusted. Default: those of this machine."""

    _schemas: dict[int, Parsed] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _one_way_in(self) -> "SchemaRegistry":
        parts = urlsplit(self.url)
        if "@" in parts.netloc:
            raise ValueError("a url is logged: write `username:` and `password:` instead of putting them into it")
        if parts.query or parts.fragment:
            raise ValueError("write the url without what follows a ? or #")
        has_secret = self.password is not None or self.token is not None
        if has_secret and parts.scheme == "http" and parts.hostname not in _HERE:
            raise ValueError("a password or token is not sent over plain http to another machine: write https://")
        if self.ca is not None and parts.scheme == "http":
            raise ValueError("`ca:` is for https, and the url says http")
        if bool(self.username) != (self.password is not None):
            raise ValueError("`username:` and `password:` go together")
        if self.username and self.token is not None:
            raise ValueError("write a user name with a password, or a token, not both")
        return self

    def schema_of(self, number: int) -> Generator[Request, Response, Parsed]:
        """The parsed schema. Raises Malformed where there is none, NotNow where the registry does not say."""
        if number not in self._schemas:
            told = yield from self._asked(f"/schemas/ids/{number}")
            names: dict[str, Any] = {}
            yield from self._referred(told, names, 0)
            if len(self._schemas) >= _MOST_SCHEMAS:
                self._schemas.pop(next(iter(self._schemas)))
            schema = _parsed(told.schema, names)
            self._schemas[number] = Parsed(schema, _walk(schema, names))
        return self._schemas[number]

    def _referred(self, told: _Told, names: dict[str, Any], depth: int) -> Generator[Request, Response, None]:
        """Read the schemas that this one names, first those that they name."""
        if told.schemaType != "AVRO":
            raise Malformed(f"its schema is {told.schemaType}, not Avro")
        if depth > _DEEPEST:
            raise Malformed("its schema refers to others too deeply")
        for reference in told.references:
            if reference.name not in names:
                path = f"/subjects/{quote(reference.subject, safe='')}/versions/{reference.version}"
                found = yield from self._asked(path)
                yield from self._referred(found, names, depth + 1)
                _parsed(found.schema, names)

    def _asked(self, path: str) -> Generator[Request, Response, _Told]:
        url = self.url.rstrip("/") + path
        share = Share(key=f"schema {url}", ttl=timedelta(hours=1), keep=_kept)
        ca = "" if self.ca is None else str(self.ca)
        response = yield Request(method="GET", url=url, headers=self._headers(), repeatable=True, share=share, ca=ca)
        if response.status == HTTPStatus.NOT_FOUND and _error(response) == _NO_SUCH_SCHEMA:
            raise Malformed(f"the registry has no schema for {path}")
        if response.status != HTTPStatus.OK:
            raise NotNow(f"the schema registry answered {response.status} for {path}{_cure(response.status)}")
        try:
            return _told(response.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise NotNow(f"the schema registry's answer for {path} is not a schema, or larger than 64 KiB") from None

    def _headers(self) -> Mapping[str, str]:
        accept = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
        if self.token is not None:
            return {**accept, "Authorization": f"Bearer {self.token.reveal()}"}
        if self.password is None:
            return accept
        pair = base64.b64encode(f"{self.username}:{self.password.reveal()}".encode()).decode()
        return {**accept, "Authorization": f"Basic {pair}"}


def _kept(response: Response) -> Response | None:
    """A schema that can be read, without the headers it came with: nothing else is remembered."""
    try:
        _told(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return Response(status=response.status, body=response.body) if response.status == HTTPStatus.OK else None


def _error(response: Response) -> int:
    try:
        return _refused(response.body).error_code
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0


def _cure(status: int) -> str:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return ": check its user name and password, or its token"
    return ": check its url" if status == HTTPStatus.NOT_FOUND else ""


def _parsed(schema: str, names: dict[str, Any]) -> Schema:
    try:
        return fastavro.parse_schema(msgspec.json.decode(schema), named_schemas=names)
    except (SchemaParseException, UnknownType, ValueError, TypeError, LookupError, RecursionError) as problem:
        raise Malformed(f"its schema cannot be used ({type(problem).__name__})") from None


def _walk(schema: Schema, names: Mapping[str, Schema]) -> Walk:
    try:
        return Walk(schema, names)
    except RecursionError:
        raise Malformed("its schema is nested too deep") from None
