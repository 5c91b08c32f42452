"""HTTP: an event becomes one request to any API, all said in the configuration. README.md beside this says how. Nothing
here does I/O."""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bridge.contract import Attempt, Conversation, Event, EventShape, Request, Response
from connectors.http.addresses import complaint
from connectors.http.answers import Answers, Meaning, Receipt, Statuses, shadow_of
from connectors.http.authentication import TOKEN, Authentication
from connectors.http.conversation import Talk
from connectors.http.description import Described
from connectors.http.requests import Requests, fixed_headers
from connectors.http.template import Text, structure
from connectors.http.waiting import RetryAfter

_OURS: Final = frozenset(
    ("host", "content-length", "transfer-encoding", "connection", "expect", "te", "trailer", "upgrade")
)
"""Headers that belong to the bridge."""
_SECRET: Final = re.compile(r"authorization|cookie|secret|token|password|api[-_]?key", re.IGNORECASE)
"""Names whose fixed text is probably a secret."""


class Probe(BaseModel):
    """A harmless GET that tells whether the API answers again after a failure."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    path: str = Field(default="/", pattern=r"^/[^\s#{}\\]*$")
    """Path below `url`."""
    receipt: Receipt = Field(default_factory=Receipt)
    """What an answer with a status of success must hold."""


class Http(BaseModel):
    """Any API that takes an event as one request. Texts have places such as `{give.id}`, which each event fills."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    url: str
    """Address of the API, with its fixed part of the path. No event changes the host. Plain http is taken on this
    machine only."""
    method: Literal["POST", "PUT", "PATCH", "DELETE"] = "POST"
    """Method of the request."""
    path: Text = Field(default_factory=lambda: Text(""))
    """Path behind `url`, such as `/orders/{give.id}/events`."""
    query: dict[str, Text] = Field(default_factory=dict)
    """Parameters by name. One whose name ends with `?` is left out where a place of it is empty."""
    headers: dict[str, Text] = Field(default_factory=dict)
    """Headers by name. One whose name ends with `?` is left out where a place of it is empty."""
    authentication: Authentication | None = None
    """How requests say whose they are. Default: they do not."""
    body: Literal["json", "form", "none"] = "json"
    """Form of the body: JSON, a form (`application/x-www-form-urlencoded`), or no body."""
    template: dict[str, Any] | list[Any] | None = None
    """Body, with places. `{give}` alone stands for all that the rule gave. Default: what the rule gave."""
    idempotency_key: str | None = Field(default=None, pattern=TOKEN)
    """Header in which the key of the fact is sent, such as `Idempotency-Key`. It is the same at every attempt."""
    repeatable: bool | None = None
    """Whether a second arrival has no second effect. Then a request is sent again after silence. Default: true with
    `idempotency_key`, else false."""
    answers: dict[Statuses, Meaning] = Field(default_factory=dict)
    """Meaning of statuses at this API where it is not the usual: `{409: delivered}`, or an expression over `answer`,
    `status` and `headers` that gives such a word. If it gives nothing, the usual meaning counts. `4xx` stands for all
    that begin so."""
    retry_after: RetryAfter | None = None
    """Place where an answer says how long to wait. Default: in `Retry-After`, as seconds or a date."""
    receipt: Receipt = Field(default_factory=Receipt)
    """What an answer with a status of success must hold. Default: anything but a page in HTML."""
    health: Probe | None = Field(default=None, alias="probe")
    """Request that tells whether the API answers again. Default: `/` below `url`, and any answer counts that is no
    failure of a server, also a page or a redirect."""
    event: Described = Field(default_factory=Described)
    """What rules may and must give. Default: anything."""

    @field_validator("url")
    @classmethod
    def _is_safe(cls, url: str) -> str:
        if problem := complaint(url):
            raise PydanticCustomError("url", "{problem}", {"problem": problem})
        return url.rstrip("/")

    @field_validator("path")
    @classmethod
    def _is_path(cls, path: Text) -> Text:
        if problem := _path_complaint(path.written):
            raise PydanticCustomError("path", "{problem}", {"problem": problem})
        return path

    @field_validator("headers")
    @classmethod
    def _may_be_said(cls, headers: dict[str, Text]) -> dict[str, Text]:
        for name, text in headers.items():
            if problem := _header_complaint(name.removesuffix("?"), text):
                raise PydanticCustomError("header", "{problem}", {"problem": problem})
        return headers

    @field_validator("query")
    @classmethod
    def _holds_no_secret(cls, query: dict[str, Text]) -> dict[str, Text]:
        for name, text in query.items():
            if text.is_constant and _SECRET.search(name):
                problem = f"{name} looks like a secret: write `authentication: {{query: {name}, secret: env:NAME}}`"
                raise PydanticCustomError("query", "{problem}", {"problem": problem})
        return query

    @model_validator(mode="after")
    def _fits_together(self) -> "Http":
        if self.template is not None and self.body == "none":
            raise ValueError("`template:` is a body: take `body: none` away")
        if self.template is not None:
            structure(self.template, "template")
        if self.body == "form" and isinstance(self.template, list):
            raise ValueError("a form has names: write `template:` as a mapping")
        names = self._said_headers
        own = [*self._authentication.names(), *filter(None, [self.idempotency_key])]
        if twice := next((name for name in own if [*names, *map(str.lower, own)].count(name.lower()) > 1), None):
            raise ValueError(f"the header {twice} is said twice")
        return self

    # -- what the core asks

    def shape(self) -> EventShape:
        return self.event.shape()

    def converse(self, event: Event, attempt: Attempt) -> Conversation:
        return Talk(
            requests=self._requests,
            answers=self._answers,
            authentication=self._authentication,
            event=event,
            attempt=attempt,
        ).run()

    def probe(self) -> Request:
        return self._requests.probe("/" if self.health is None else self.health.path)

    def is_answer(self, response: Response) -> bool:
        if self.health is None:
            return self._answers.is_anybodys(response)
        return self._answers.is_answer(response, self.health.receipt)

    @cached_property
    def _answers(self) -> Answers:
        return Answers.changed(self.answers, self.receipt, self.retry_after)

    @cached_property
    def _authentication(self) -> Authentication:
        return self.authentication or Authentication.model_construct()

    @property
    def _said_headers(self) -> Sequence[str]:
        return [name.removesuffix("?").lower() for name in self.headers]

    @cached_property
    def _requests(self) -> Requests:
        by = self._authentication
        in_headers = by.headers()
        return Requests(
            method=self.method,
            url=self.url,
            path=self.path,
            query=self.query,
            headers=self.headers,
            fixed=fixed_headers(self.body, in_headers, self._said_headers),
            secret_headers=frozenset(name.lower() for name in by.names()),
            secret_query=by.parameters(),
            body=self.body,
            content=None if self.template is None else structure(self.template, "template"),
            idempotency_key=self.idempotency_key or "",
            repeatable=self.idempotency_key is not None if self.repeatable is None else self.repeatable,
            shadow=shadow_of(self.receipt),
        )


CONNECTOR = Http


def _path_complaint(path: str) -> str:
    if path and not path.startswith("/"):
        return "a path begins with /, so that it cannot change the host"
    if re.search(r"[?#\\\s\x00-\x1f]", path):
        return "a path takes no ?, no #, no \\ and no blank: parameters stand in `query:`"
    return "a part of a path is not . or .." if {".", ".."} & set(path.split("/")) else ""


def _header_complaint(name: str, text: Text) -> str:
    if not re.fullmatch(TOKEN, name):
        return f"{name!r} is no name of a header"
    if name.lower() in _OURS:
        return f"{name} is made by the bridge: take it away"
    if text.is_constant and _SECRET.search(name):
        return f"{name} looks like a secret: write `authentication: {{header: {name}, secret: env:NAME}}`"
    return "" if text.written.isprintable() else f"{name}: its text has a line end or another control character"
