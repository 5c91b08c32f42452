"""Find what an answer means: by who gave it, by its status, by what its body must hold, and by what an expression says
of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError

from bridge.contract import Json, Outcome, Response
from bridge.errors import Malformed
from bridge.setting_types import AnswerExpression, Compiled, Expression
from bridge.status_table import CHALLENGE, NO_STATUS, PAGE, UNKNOWN, YES, Fate, Row, judged, row_of, statuses
from connectors.http.bodies import at, document
from connectors.http.waiting import RetryAfter, asked_wait

_CUT: Final = 206
"""The status of partial content, which nobody asked for."""
_NOT_FOUND: Final = 404  # status
_ELSEWHERE: Final = frozenset((*range(300, 400), 407))
"""Statuses of a redirect or a proxy."""
_FIREWALLS: Final = ("x-amzn-waf-action", "cf-mitigated")
"""Headers by which a firewall says that it answered itself, and let nothing pass."""
_MEDIA_TYPE: Final = re.compile(r"[a-z]{1,20}/[a-z.+-]{1,40}")
_STRANGE: Final = (PAGE, CHALLENGE, UNKNOWN)
_NO_MEANING: Final = (
    'write {fates}, or an expression that gives one of them, such as `= "dead" if has(answer.error) else "delivered"`'
)


class Meaning(AnswerExpression):
    """What an answer means: a fate, or an expression that gives the name of one, or nothing for the usual meaning."""

    __slots__ = ("fate",)

    def __init__(self, source: str, compiled: Compiled) -> None:
        super().__init__(source, compiled)
        self.fate = Fate(source) if source in list(Fate) else None

    def row(self, scope: Mapping[str, Json]) -> Row | None:
        """The row of a status that has this meaning for an answer. None: the usual one."""
        try:
            found = self(scope)
        except Malformed:
            return UNKNOWN
        if found is None:
            return None
        return row_of(scope["status"], Fate(found)) if found in list(Fate) else UNKNOWN

    @classmethod
    def _parse(cls, given: object, info: ValidationInfo) -> "Expression":
        if isinstance(given, str) and given in list(Fate):
            return cls(given, lambda _: given)
        if isinstance(given, str) and not given.startswith("="):
            raise PydanticCustomError("meaning", _NO_MEANING, {"fates": ", ".join(Fate)})
        return super()._parse(given, info)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(Fate)}, {"type": "string", "pattern": "^="}]}


def _statuses(given: object) -> str:
    text = str(given)
    if not re.fullmatch(_STATUSES, text):
        raise PydanticCustomError("status", "write a status such as 409, or 4xx for all that begin so")
    return text


_STATUSES: Final = r"[2-5]([0-9]{2}|xx)"
Statuses: TypeAlias = Annotated[
    str, BeforeValidator(_statuses), WithJsonSchema({"type": "string", "pattern": f"^{_STATUSES}$"})
]


class Receipt(BaseModel):
    """What the body of an answer must hold, besides a status of success, to count as the API's yes. Names may have
    dots: `data.id`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    equal: dict[str, str | int | bool] = Field(default_factory=dict)
    """Values that the body must have, by name."""
    present: list[str] = Field(default_factory=list)
    """Names that the body must have a value for."""
    absent: list[str] = Field(default_factory=list)
    """Names that the body must have no value for, such as `errors`. An empty list, text or mapping is no value."""

    @property
    def is_empty(self) -> bool:
        """Whether any body will do."""
        return not (self.equal or self.present or self.absent)

    def fits(self, response: Response) -> bool:
        """Whether an answer with a status of success is the API's yes."""
        if response.status == _CUT:
            return False
        if self.is_empty:
            return True
        told = document(response)
        if not isinstance(told, dict):
            return False
        return (
            all(_same(at(told, name), value) for name, value in self.equal.items())
            and all(at(told, name) is not None for name in self.present)
            and not any(at(told, name) for name in self.absent)
        )


def _same(found: Json, wanted: Json) -> bool:
    return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)


def shadow_of(receipt: Receipt) -> Response:
    """The answer that stands in for the API's in shadow mode: it fits the receipt."""
    made: dict[str, Json] = {}
    for name, value in {**dict.fromkeys(receipt.present, "shadow"), **receipt.equal}.items():
        *above, last = name.split(".")
        place = made
        for step in above:
            place = place.setdefault(step, {})
        place[last] = value
    return Response(status=200, body=msgspec.json.encode(made))


def scope_of(response: Response) -> Mapping[str, Json]:
    """What expressions read of an answer."""
    return {"answer": document(response), "status": response.status, "headers": response.headers}


@dataclass(frozen=True, slots=True)
class Answers:
    """Reads answers by the status table, in which the setting `answers` may have changed some statuses.

    rows      by status
    meanings  expressions by status, which come before the rows
    wait      where an answer says how long to wait
    """

    rows: Mapping[int, Row]
    meanings: Mapping[int, Meaning]
    receipt: Receipt
    wait: RetryAfter | None = None

    @classmethod
    def changed(cls, meanings: Mapping[str, Meaning], receipt: Receipt, wait: RetryAfter | None = None) -> "Answers":
        by_status: dict[int, Meaning] = {}
        for written, meaning in sorted(meanings.items(), reverse=True):  # 4xx stands before 409
            by_status |= dict.fromkeys(_range(written), meaning)
        fates = {status: meaning.fate for status, meaning in by_status.items() if meaning.fate is not None}
        said = {status: meaning for status, meaning in by_status.items() if meaning.fate is None}
        return cls(statuses(fates), said, receipt, wait)

    def row(self, response: Response, receipt: Receipt) -> Row:
        """The row of a response: by who answers first, then by what is said of the status, then by the receipt."""
        row = self.rows.get(response.status, NO_STATUS)
        if any(name in response.headers for name in _FIREWALLS):
            return CHALLENGE
        if _is_page(response) and (row.is_yes or response.status == _NOT_FOUND):
            return PAGE
        if (meaning := self.meanings.get(response.status)) is not None:
            said = meaning.row(scope_of(response))
            if said is not None:
                return UNKNOWN if said.is_yes and _is_cut(response) else said
        return UNKNOWN if row is YES and not receipt.fits(response) else row

    def outcome(self, response: Response, method: str, now: datetime, *, repeatable: bool) -> Outcome:
        """The outcome of a fact whose request was answered in this way. Its detail quotes nothing of the body."""
        row = self.row(response, self.receipt)
        detail = f"{method}: {response.status}"
        if row in _STRANGE or (row.other is Fate.PAUSED and response.status in _ELSEWHERE):
            detail += f" ({_outlined(response)}), which is not the API's answer: are url, path and receipt right?"
        return judged(row, detail, repeatable=repeatable, after=asked_wait(response, self.wait, now))

    def is_answer(self, response: Response, receipt: Receipt) -> bool:
        """Whether the API itself answered the probe, even with a refusal."""
        row = self.row(response, receipt)
        is_strange = row in _STRANGE or _is_page(response) or response.status in _ELSEWHERE
        return not is_strange and row.other is not Fate.UNCERTAIN

    def is_anybodys(self, response: Response) -> bool:
        """Whether anybody but a firewall answered, and it is no failure of a server."""
        is_challenge = any(name in response.headers for name in _FIREWALLS)
        return not is_challenge and self.rows.get(response.status, NO_STATUS).other is not Fate.UNCERTAIN


def _is_cut(response: Response) -> bool:
    """Whether a part of the body is missing, which an expression cannot see."""
    return response.status == _CUT or not response.is_whole


def _is_page(response: Response) -> bool:
    """Whether it is a page in HTML. XML is no page where the answer says that it is XML."""
    return response.body.lstrip().startswith(b"<") and "xml" not in response.headers.get("content-type", "").lower()


def _outlined(response: Response) -> str:
    """The kind of a body and its size: all that may be shown of a body that nobody vouches for."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    shown = kind if _MEDIA_TYPE.fullmatch(kind) else "an odd content type" if kind else "no content type"
    return f"{shown}, {'' if response.is_whole else 'more than '}{len(response.body)} bytes"


def _range(written: str) -> range:
    first = int(written.replace("x", "0"))
    return range(first, first + (100 if "x" in written else 1))
