"""HTTP: an event becomes one request to any API, all said in the configuration. README.md beside this says how. Nothing
here does I/O."""

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bridge.contract import Attempt, Conversation, Event, EventShape, Request, Response
from bridge.credentials import TOKEN, address_complaint
from bridge.setting_types import EventCondition
from connectors.http.addresses import Headers, Path, Query
from connectors.http.answers import Answers, Meaning, Receipt, Statuses, shadow_of
from connectors.http.authentication import Authentication
from connectors.http.conversation import Talk
from connectors.http.description import Described
from connectors.http.requests import Repeatable, Requests, fixed_headers
from connectors.http.steps import Asker, Step
from connectors.http.template import Text, places, structure
from connectors.http.waiting import RetryAfter


class Probe(BaseModel):
    """A harmless GET that tells whether the API answers again after a failure."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    path: str = Field(default="/", pattern=r"^/[^\s#{}\\]*$")
    """Path below `url`."""
    receipt: Receipt = Field(default_factory=Receipt)
    """What an answer with a status of success must hold."""


class Http(BaseModel):
    """Any API that takes an event as a request. Texts have places such as `{give.id}`, which each event fills."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    url: str
    """Address of the API, with its fixed part of the path. No event changes the host. Plain http is taken on this
    machine only."""
    method: Literal["POST", "PUT", "PATCH", "DELETE"] = "POST"
    """Method of the request."""
    path: Path = Field(default_factory=lambda: Text(""))
    """Path behind `url`, such as `/orders/{give.id}/events`."""
    query: Query = Field(default_factory=dict)
    """Parameters by name. One whose name ends with `?` is left out where a place of it is empty."""
    headers: Headers = Field(default_factory=dict)
    """Headers by name. One whose name ends with `?` is left out where a place of it is empty."""
    steps: list[Step] = Field(default=[], max_length=5)
    """Requests before the event, whose answers later ones may use as `{found.NAME}`."""
    ask_anew: list[Annotated[int, Field(ge=400, le=499)]] = []
    """Statuses of the event's answer after which the steps are asked anew, once: what is remembered may no longer be
    there."""
    identity: EventCondition | None = None
    """Condition over `give`, `found`, `fact` and `rule` under which the API knows whose the event is. If it is not
    true, the event is skipped as `no identity`. Default: it is sent."""
    authentication: Authentication | None = None
    """How requests say whose they are. Default: they do not."""
    body: Literal["json", "form", "none"] = "json"
    """Form of the body: JSON, a form (`application/x-www-form-urlencoded`), or no body."""
    template: dict[str, Any] | list[Any] | None = None
    """Body, with places. `{give}` alone stands for all that the rule gave. Default: what the rule gave."""
    idempotency_key: str | None = Field(default=None, pattern=TOKEN)
    """Header in which the key of the fact is sent, such as `Idempotency-Key`. It is the same at every attempt."""
    repeatable: Repeatable | None = None
    """Whether a second arrival has no second effect: true, false, or a condition over `give`, `found`, `fact` and
    `rule`. Then a request is sent again after silence. Default: true with `idempotency_key`, else false."""
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
        if problem := address_complaint(url):
            raise PydanticCustomError("url", "{problem}", {"problem": problem})
        return url.rstrip("/")

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
        self._check_places()
        return self

    def _check_places(self) -> None:
        """Check that each place `{found.NAME}` has a step before it that finds it."""
        known: set[str] = set()
        for number, step in enumerate(self.steps):
            _check_found(step.places(), known, f"steps[{number}]: ")
            known |= step.finds.keys()
        texts = [self.path, *self.query.values(), *self.headers.values()]
        _check_found([*(name for text in texts for name in text.places), *places(self.template)], known, "")
        if self.ask_anew and not self.steps:
            raise ValueError("`ask_anew:` asks the steps anew, and there are none")

    # -- what the core asks

    def shape(self) -> EventShape:
        return self.event.shape()

    def converse(self, event: Event, attempt: Attempt) -> Conversation:
        return Talk(
            requests=self._requests,
            answers=self._answers,
            authentication=self._authentication,
            steps=self._askers,
            ask_anew=self.ask_anew,
            identity=self.identity,
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
        keyed = self.idempotency_key is not None
        return Requests(
            method=self.method,
            path=self.path,
            query=self.query,
            headers=self.headers,
            fixed=fixed_headers(self.body, self._authentication.headers(), self._said_headers),
            body=self.body,
            content=None if self.template is None else structure(self.template, "template"),
            idempotency_key=self.idempotency_key or "",
            repeatable=Repeatable.always(value=keyed) if self.repeatable is None else self.repeatable,
            shadow=shadow_of(self.receipt),
            **self._common,
        )

    @cached_property
    def _askers(self) -> Sequence[Asker]:
        return [Asker.of(step, index, self._authentication.headers(), self._common) for index, step in
                enumerate(self.steps)]  # fmt: skip

    @cached_property
    def _common(self) -> Mapping[str, Any]:
        """What all requests have."""
        by = self._authentication
        secret_headers = frozenset(name.lower() for name in by.names())
        return {"url": self.url, "secret_headers": secret_headers, "secret_query": by.parameters()}


def _check_found(names: Sequence[str], known: Collection[str], where: str) -> None:
    for name in names:
        of, _, rest = name.partition(".")
        if of == "found" and (wanted := rest.partition(".")[0]) not in known:
            raise ValueError(f"{where}{{{name}}}: no step before it has `finds: {{{wanted}: ...}}`")


CONNECTOR = Http
