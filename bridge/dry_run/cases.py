"""Whole-path tests of a configuration: a folder a case, deliveries in, the exact requests out.

case.yaml        source, received_at, answers, and deliveries in order: topic, shop, id, headers, body, with, without
expected.json    for each delivery what every rule says, and the requests; written by `test --update`

A delivery is posted to a door (`body:`), or is a record of a stream (`value:`, with its topic, key and headers).
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from bridge.config import Settings
from bridge.config.messages import complaint
from bridge.contract import Json, Payload, Request, Response
from bridge.dry_run import DryRun, stand_in
from bridge.dry_run.deliveries import Posted, Streamed, documents, only_source
from bridge.dry_run.request_text import as_json, decoded, encoded, written
from bridge.errors import ConfigurationError, Problem, Refusal
from bridge.mapping.loader import load
from bridge.texts import NoText, bytes_of, text_of

Delivery: TypeAlias = Posted | Streamed

CASE: Final = "case.yaml"
EXPECTED: Final = "expected.json"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Answer(_Section):
    """An answer instead of the stand-in's, for requests with this method whose path ends in this way."""

    method: str = ""
    path: str = ""
    status: int = Field(ge=100, le=599)
    body: Any = None


class _Delivery(_Section):
    source: str | None = None
    topic: str = ""
    shop: str | None = None
    id: str = ""
    received_at: AwareDatetime | None = None
    headers: dict[str, str] = {}
    key: str | None = None
    body: str = ""
    value: str = ""
    with_: dict[str, Any] = Field(default={}, alias="with")
    without: list[str] = []

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "_Delivery":
        if bool(self.body) == bool(self.value):
            raise ValueError("name the file of a webhook's body: or of a record's value:, beside case.yaml")
        return self


class _Case(_Section):
    source: str | None = None
    received_at: AwareDatetime
    answers: list[_Answer] = []
    deliveries: list[_Delivery] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A case: one folder of deliveries and answers."""

    folder: Path
    deliveries: Sequence[Delivery]
    answers: Sequence[_Answer] = field(default=())

    def outcome(self, settings: Settings) -> str:
        """The result of all deliveries in their order, as it stands in `expected.json`."""
        dry_run = DryRun(settings, self._answer)
        return written([_result_of(dry_run, settings, delivery) for delivery in self.deliveries])

    def expected(self) -> str:
        """The text of `expected.json`; empty if nothing is written yet. The digits of numbers count, spaces and line
        breaks do not."""
        path = self.folder / EXPECTED
        if not path.exists():
            return ""
        try:
            return written(decoded(bytes_of(path)))
        except NoText as problem:
            raise _wrong(path, f"cannot be read: {problem}") from None
        except (ValueError, RecursionError) as problem:
            raise _wrong(path, f"is not JSON: {problem}") from None

    def update(self, outcome: str) -> None:
        (self.folder / EXPECTED).write_text(outcome, encoding="utf-8")

    def facts(self, settings: Settings, deliveries: Sequence[Delivery]) -> frozenset[tuple[str, ...]]:
        """The keys of all facts that these deliveries send."""
        dry_run = DryRun(settings, self._answer)
        for delivery in deliveries:
            _result_of(dry_run, settings, delivery)
        return frozenset(dry_run.keys())

    def shuffled(self, chance: random.Random) -> Sequence[Delivery]:
        """Every delivery, some again with their id or with a new one, in any order."""
        again = [each.again(chance) for each in self.deliveries]
        deliveries = [*self.deliveries, *chance.sample(again, chance.randint(0, len(again)))]
        chance.shuffle(deliveries)
        return deliveries

    def _answer(self, request: Request) -> Response:
        path = urlsplit(request.url).path
        for answer in self.answers:
            if answer.method in ("", request.method) and path.endswith(answer.path):
                return Response(status=answer.status, body=b"" if answer.body is None else encoded(answer.body))
        return stand_in(request)


def _result_of(dry_run: DryRun, settings: Settings, posted: Delivery) -> Json:
    delivery = " ".join(text for text in (posted.source, posted.topic, posted.id) if text)
    try:
        verdicts = posted.walk(dry_run, settings)
    except Refusal as refusal:
        return {"delivery": delivery, "refused": f"{refusal.status} {refusal}"}
    return {"delivery": delivery, "verdicts": [as_json(verdict) for verdict in verdicts]}


def found(folder: Path) -> Iterator[Path]:
    """The folders of cases at and below this one."""
    yield from sorted(path.parent for path in folder.rglob(CASE))


def read(folder: Path, settings: Settings) -> Case:
    """Read a case. Raises ConfigurationError with every problem of it."""
    path = folder / CASE
    try:
        text = text_of(path)
    except NoText as problem:
        raise _wrong(path, f"cannot be read: {problem}") from None
    document = load(text, str(path))
    try:
        case = _Case.model_validate(document.value)
    except ValidationError as invalid:
        problems = []
        for error in invalid.errors(include_url=False, include_input=False):
            line, column = document.where(error["loc"])
            place = ".".join(str(step) for step in error["loc"])
            problems.append(Problem(message=_message(error), path=place, file=str(path), line=line, column=column))
        raise ConfigurationError(problems) from None
    source = case.source or only_source(settings)
    read = [
        each
        for number, delivery in enumerate(case.deliveries)
        for each in _deliveries(folder, number, delivery, _Around(settings, source, case.received_at))
    ]
    return Case(folder=folder, deliveries=read, answers=case.answers)


class _Around(NamedTuple):
    """The parts that a delivery has from its case."""

    settings: Settings
    source: str
    received_at: datetime


def _wrong(path: Path, message: str) -> ConfigurationError:
    """A problem of a file as a whole."""
    return ConfigurationError([Problem(message=message, file=str(path))])


_CURES: Final = {
    "received_at": "say when it came, with a zone: 2026-11-21T12:00:00Z; so the case says the same tomorrow",
}


def _message(error: Mapping[str, Any]) -> str:
    key = str(error["loc"][-1]) if error["loc"] else ""
    if key in _CURES:
        return _CURES[key]
    sections: Mapping[str, type[BaseModel]] = {"deliveries": _Delivery, "answers": _Answer}
    section = sections.get(str(error["loc"][0]) if error["loc"] else "", _Case)
    return complaint(section, error, error["loc"][-1:])


def _deliveries(folder: Path, number: int, given: _Delivery, around: _Around) -> Iterator[Delivery]:
    """The deliveries of an entry: one for each document in the file."""
    path, source = folder / (given.body or given.value), around.settings.sources.get(given.source or around.source)
    try:
        payloads = documents(source, bytes_of(path))
        if given.with_ or given.without:
            payloads = [replace(each, body=_changed(each.body, given.with_, given.without)) for each in payloads]
    except (NoText, ValueError, RecursionError) as problem:
        place = f"deliveries.{number}.body"
        raise ConfigurationError([Problem(message=f"{path}: {problem}", path=place, file=str(folder / CASE))]) from None
    if given.value:
        yield _streamed(number, given, payloads[0].body, around)
        return
    for at, payload in enumerate(payloads, 1):
        yield _posted(f"{number + 1}" if len(payloads) == 1 else f"{number + 1}-{at}", given, payload, around)


def _streamed(number: int, given: _Delivery, value: bytes, around: _Around) -> Streamed:
    return Streamed(
        source=given.source or around.source,
        topic=given.topic,
        value=value,
        received_at=given.received_at or around.received_at,
        offset=number + 1,
        key=given.key,
        headers=given.headers,
    )


def _posted(number: str, given: _Delivery, payload: Payload, around: _Around) -> Posted:
    return Posted(
        source=given.source or around.source,
        body=payload.body,
        received_at=given.received_at or around.received_at,
        topic=given.topic or payload.topic,
        shop=given.shop,
        id=given.id + number.partition("-")[2] if given.id else number,
        headers=given.headers,
    )


def _changed(body: bytes, changes: Mapping[str, Json], without: Sequence[str]) -> bytes:
    """The document with other values at its top; all else keeps its digits."""
    document = decoded(body)
    if not isinstance(document, dict):
        raise ValueError("is not a JSON object: `with` and `without` change its keys")  # noqa: TRY004 - what data is
    return encoded({name: value for name, value in {**document, **changes}.items() if name not in without})
