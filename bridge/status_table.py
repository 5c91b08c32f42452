"""The meaning of every answer and every silence for a fact. The code obeys this one table, and the tests provoke its
rows.

The client names a silence, a destination looks at a status, and each finds its row here. A destination may have other
fates for single statuses. A row says what becomes of the fact after a request that may be repeated, and after one that
may not.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from bridge.contract import Delivered, Outcome, Paused, Reason, Rejected, Retry, Uncertain


class Fate(StrEnum):
    """What becomes of a fact."""

    DELIVERED = "delivered"
    DEAD = "dead"
    PAUSED = "paused"
    POSTPONED = "postponed"
    UNCERTAIN = "uncertain"


class Silent(StrEnum):
    """The reasons why there is no whole answer."""

    NO_NAME = "no name"
    NO_CONNECTION = "no connection"
    NO_CONNECTION_IN_TIME = "no connection in time"
    NO_TLS = "no tls"
    PROXY = "proxy"
    LOST = "lost"
    NO_BYTE_IN_TIME = "no byte in time"
    NOT_WHOLE_IN_TIME = "not whole in time"
    CUT = "cut"
    NOT_HTTP = "not http"


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that may happen, and what follows.

    happening   for people, and unique
    repeatable  after a request of which a second arrival has no second effect
    other       after any other
    of          statuses, or a silence; empty: told by the body
    assumed     documented nowhere
    """

    happening: str
    repeatable: Fate
    other: Fate
    reason: Reason | None
    of: Collection[int] | Silent = ()
    assumed: bool = False

    @property
    def is_yes(self) -> bool:
        return self.other is Fate.DELIVERED

    @property
    def is_no(self) -> bool:
        return self.other is Fate.DEAD


_YES, _DEAD, _PAUSED, _LATER, _UNSURE = Fate
_NO, _DOWN, _SLOW, _GONE = Reason.NOT_ALLOWED, Reason.UNREACHABLE, Reason.TIMED_OUT, Reason.NO_ANSWER

_STRANGE = Reason.NOT_UNDERSTOOD

YES = Row("2xx with the answer that the API gives", _YES, _YES, None, range(200, 300))
PAGE = Row("2xx or 404 with a page in HTML (a proxy's, a website's)", _PAUSED, _PAUSED, _STRANGE)
CHALLENGE = Row("any status with a firewall's challenge to a browser", _PAUSED, _PAUSED, _STRANGE)
UNKNOWN = Row("2xx with anything else: empty, not JSON, cut, with errors", _PAUSED, _UNSURE, _STRANGE)
NO_STATUS = Row("1xx, or a number that is no status of HTTP", _LATER, _UNSURE, Reason.SERVER_ERROR)
TABLE: tuple[Row, ...] = (
    YES,
    PAGE,
    CHALLENGE,
    UNKNOWN,
    NO_STATUS,
    Row("3xx: a redirect, never followed", _PAUSED, _PAUSED, _NO, range(300, 400)),
    Row("400, 404, 422 and every other 4xx", _DEAD, _DEAD, Reason.REFUSED, range(400, 500)),
    Row("401, 403: token, subscription, plan or permission", _PAUSED, _PAUSED, _NO, (401, 403)),
    Row("402: a subscription that has ended", _PAUSED, _PAUSED, _NO, (402,), assumed=True),
    Row("405, 407: not the API, which knows our methods", _PAUSED, _PAUSED, _NO, (405, 407), assumed=True),
    Row("408: somebody gave up waiting", _LATER, _UNSURE, Reason.SERVER_ERROR, (408,), assumed=True),
    Row("425, 429: not now, Retry-After is kept", _LATER, _LATER, Reason.THROTTLED, (425, 429), assumed=True),
    Row("5xx", _LATER, _UNSURE, Reason.SERVER_ERROR, range(500, 600)),
    # Nothing has left this machine.
    Row("the name does not resolve", _LATER, _LATER, _DOWN, Silent.NO_NAME),
    Row("the connection is refused", _LATER, _LATER, _DOWN, Silent.NO_CONNECTION),
    Row("no connection within connect_timeout", _LATER, _LATER, _SLOW, Silent.NO_CONNECTION_IN_TIME),
    Row("no TLS, or a certificate that is not trusted", _LATER, _LATER, _DOWN, Silent.NO_TLS),
    Row("a proxy on the way refuses the connection", _LATER, _LATER, _DOWN, Silent.PROXY),
    # The request may have had its effect.
    Row("reset or closed without an answer", _LATER, _UNSURE, _GONE, Silent.LOST),
    Row("no byte for read_timeout", _LATER, _UNSURE, _SLOW, Silent.NO_BYTE_IN_TIME),
    Row("not sent and answered whole within total_timeout", _LATER, _UNSURE, _SLOW, Silent.NOT_WHOLE_IN_TIME),
    Row("a body that is cut off", _LATER, _UNSURE, _GONE, Silent.CUT),
    Row("what is answered is not HTTP", _LATER, _UNSURE, _GONE, Silent.NOT_HTTP),
)
"""The table of statuses and silences. If two rows have a status, the later one counts."""

SILENCES: Mapping[Silent, Row] = {row.of: row for row in TABLE if isinstance(row.of, Silent)}
_STATUSES: Mapping[int, Row] = {status: row for row in TABLE if not isinstance(row.of, Silent) for status in row.of}
_REASONS: Mapping[Fate, Reason | None] = {
    Fate.DELIVERED: None,
    Fate.DEAD: Reason.REFUSED,
    Fate.PAUSED: Reason.NOT_ALLOWED,
    Fate.POSTPONED: Reason.THROTTLED,
    Fate.UNCERTAIN: Reason.SERVER_ERROR,
}


def statuses(changed: Mapping[int, Fate]) -> Mapping[int, Row]:
    """The rows of statuses, some with another fate."""
    return {**_STATUSES, **{status: row_of(status, fate) for status, fate in changed.items()}}


def row_of(status: int, fate: Fate) -> Row:
    """The row of a status that has this fate. UNCERTAIN is tried again where the request may be repeated."""
    repeatable = Fate.POSTPONED if fate is Fate.UNCERTAIN else fate
    return Row(str(status), repeatable, fate, _REASONS[fate], (status,))


def judged(row: Row, detail: str, *, repeatable: bool, after: timedelta | None = None) -> Outcome:
    """The outcome that a row says. after: how long the other side asks to be left alone."""
    reason = row.reason or Reason.SERVER_ERROR
    match row.repeatable if repeatable else row.other:
        case Fate.DELIVERED:
            return Delivered(detail)
        case Fate.DEAD:
            return Rejected(reason, detail)
        case Fate.PAUSED:
            return Paused(reason, detail)
        case Fate.POSTPONED:
            return Retry(reason, detail, after)
        case Fate.UNCERTAIN:
            return Uncertain(reason, detail, after)
