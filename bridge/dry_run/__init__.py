"""Deliveries walked through the rules without a network or a journal: what each rule says, and what would be sent.

dry_run = DryRun(settings)
for verdict in dry_run.deliver("shop", arrival): ...
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias, assert_never

from bridge.config import Outlet, Settings
from bridge.contract import (
    Attempt,
    Conversation,
    Delivered,
    Envelope,
    Event,
    Fetches,
    HttpArrival,
    Json,
    Outcome,
    Paused,
    Reason,
    Record,
    Rejected,
    Request,
    Response,
    Retry,
    Skipped,
    StreamSource,
    Uncertain,
    WebhookSource,
)
from bridge.errors import Answered, BridgeError
from bridge.generators import MOST_REQUESTS, run
from bridge.mapping.rules import Failure, Passed, Step
from bridge.signatures import name_of

Answers: TypeAlias = Callable[[Request], Response]
"""A function that gives the other side's response to a request."""

_FINE: Final = Response(status=200, body=b"{}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The verdict of one rule on one delivery.

    word      `sent`, a reason of the closed list (`not true`, `stale`, `already`, ...), or how the answers ended it
    why       which part of `when`, which empty field, what the API said; holds no value of the document
    left_out  why optional keys are not in the event, where what they read has another shape than it should
    shown     what the rule's `show` says beside its event
    requests  in order; what was asked before and is remembered is not asked again
    """

    destination: str
    rule: str
    fact: str = ""
    once: str = ""
    lane: str = ""
    word: str
    why: str = ""
    left_out: Sequence[str] = ()
    shown: Mapping[str, Json] = field(default_factory=dict)
    requests: Sequence[Request] = ()


def stand_in(request: Request) -> Response:
    """The answer that shadow mode gives; plain success to what only reads."""
    return request.shadow or _FINE


class DryRun:
    """Remembers what was sent and which document of a lane is the newest, as the journal would."""

    def __init__(self, settings: Settings, answers: Answers = stand_in) -> None:
        self._settings = settings
        self._answers = answers
        self._held: set[tuple[str, ...]] = set()
        self._newest: dict[tuple[str, ...], datetime] = {}
        self._seen: set[tuple[str, ...]] = set()
        self._shared: dict[str, Response] = {}

    def deliver(self, source: str, arrival: HttpArrival) -> Sequence[Verdict]:
        """Walk one delivery through the rules. Call it in the order in which they come. Raises Refusal if the door
        would refuse it."""
        found = self._settings.sources.get(source)
        if not isinstance(found, WebhookSource):
            raise BridgeError(f"{source} is no source of webhooks; there is: {', '.join(self._settings.sources)}")
        try:
            envelope = found.read(arrival, found.verify(arrival))
        except Answered as answered:
            return (Verdict(destination="", rule="", word="not stored", why=str(answered)),)
        return self.map(envelope)

    def take(self, record: Record) -> Sequence[Verdict]:
        """Take one record of a stream, as `deliver` takes a delivery. Requests that reading makes (for a schema) are
        answered as all requests are."""
        found = self._settings.sources.get(record.source)
        if not isinstance(found, StreamSource):
            raise BridgeError(f"{record.source} is no source of streams; there is: {', '.join(self._settings.sources)}")
        return self.map(run(found.read(record), self._answers))

    def map(self, envelope: Envelope) -> Sequence[Verdict]:
        """Map an envelope, of a record or out of a journal, as `deliver` maps a delivery."""
        delivery = (envelope.source, envelope.tenant, envelope.lane, envelope.id)
        if delivery in self._seen:
            return (Verdict(destination="", rule="", word=Reason.ALREADY, why="a duplicate: this id came before"),)
        self._seen.add(delivery)
        if envelope.reason is not None:
            return (Verdict(destination="", rule="", word=envelope.reason, why="no rule sees such a document"),)
        source = self._settings.sources.get(envelope.source)
        if isinstance(source, Fetches) and source.is_thin(envelope):
            return self._fetched(source, envelope)
        stale = self._is_stale(envelope)
        return [
            self._verdict(envelope, name, outlet, step)
            for name, outlet in self._settings.destinations.items()
            for step in self._settings.rules.apply(envelope, name, stale=stale, sent=self._sent_of(envelope, name))
        ]

    def _fetched(self, source: Fetches, envelope: Envelope) -> Sequence[Verdict]:
        """Fetch the document that this one names, and map it."""
        asked: list[Request] = []
        fetching = source.fetch(envelope, now=envelope.received_at, fresh=False)
        found = run(fetching, lambda request: self._answer(request, asked), most=MOST_REQUESTS)
        if isinstance(found, Envelope):
            return (Verdict(destination="", rule="", word=Reason.FETCHED, requests=asked), *self.map(found))
        word, why = _word_and_why(found)
        return (Verdict(destination="", rule="", word=word, why=why, requests=asked),)

    def _sent_of(self, envelope: Envelope, name: str) -> Sequence[tuple[str, str]]:
        if not self._settings.rules.reads_told:
            return ()
        order = (name, envelope.tenant, envelope.lane)
        return [(fact, once) for *key, fact, once in self._held if tuple(key) == order]

    def _is_stale(self, envelope: Envelope) -> bool:
        key = (envelope.tenant, envelope.lane, envelope.source, envelope.kind)
        newest = self._newest.get(key)
        is_stale = envelope.is_stale(newest)
        if envelope.version is not None and not is_stale:
            self._newest[key] = envelope.version
        return is_stale

    def _verdict(self, envelope: Envelope, name: str, outlet: Outlet, step: Step) -> Verdict:
        match step:
            case Passed(rule=rule, reason=reason):
                return Verdict(destination=name, rule=rule or "", word=reason, why=self._why(envelope, name, step))
            case Failure(rule=rule, fact=fact, once=once, message=message):
                why = message.removeprefix(f"rule {rule}: ")
                return Verdict(
                    destination=name, rule=rule, fact=fact, once=once or "", word=Reason.RULE_FAILED, why=why
                )
            case Event():
                return self._sent(envelope, name, outlet, step)
            case _:
                assert_never(step)

    def _why(self, envelope: Envelope, destination: str, step: Passed) -> str:
        if step.rule is None:
            return f"no rule is for documents of kind {envelope.kind}"
        is_condition = step.reason is Reason.NOT_TRUE
        return self._settings.rules.why_not(envelope, destination, step.rule) if is_condition else ""

    def _sent(self, envelope: Envelope, name: str, outlet: Outlet, event: Event) -> Verdict:
        key = (name, envelope.tenant, envelope.lane, event.fact, event.once)
        requests: Sequence[Request] = ()
        word, why = str(Reason.ALREADY), ""
        if key not in self._held:
            now = envelope.received_at
            attempt = Attempt(now=now, first_tried_at=now, number=1, key=name_of(*key))
            requests, outcome = self._converse(outlet.destination.converse(event, attempt))
            word, why = _word_and_why(outcome)
            if isinstance(outcome, Delivered | Uncertain):
                self._held.add(key)
        return Verdict(
            destination=name,
            rule=event.rule,
            fact=event.fact,
            once=event.once,
            lane=f"{envelope.tenant} {envelope.lane}",
            word=word,
            why=why,
            left_out=event.left_out if requests else (),
            shown=self._settings.rules.shown(envelope, name, event) if requests else {},
            requests=requests,
        )

    def _converse(self, conversation: Conversation) -> tuple[Sequence[Request], Outcome]:
        asked: list[Request] = []
        outcome = run(conversation, lambda request: self._answer(request, asked), most=MOST_REQUESTS)
        return asked, outcome

    def _answer(self, request: Request, asked: list[Request]) -> Response:
        share = request.share
        if share is not None and not share.fresh and share.key in self._shared:
            return self._shared[share.key]
        asked.append(request)
        answer = self._answers(request)
        if share is not None and (kept := share.keep(answer)) is not None:
            self._shared[share.key] = kept
        return answer

    def keys(self) -> Iterator[tuple[str, ...]]:
        """The facts that were sent: destination, tenant, lane, fact, once."""
        yield from sorted(self._held)


def _word_and_why(outcome: Outcome) -> tuple[str, str]:
    match outcome:
        case Delivered():
            return "sent", ""
        case Skipped(reason=reason, detail=detail) | Rejected(reason=reason, detail=detail):
            return reason, detail
        case Retry(reason=reason, detail=detail) | Paused(reason=reason, detail=detail):
            return "would wait", f"{reason}: {detail}"
        case Uncertain(reason=reason, detail=detail):
            return "uncertain", f"{reason}: {detail}"
        case _:
            assert_never(outcome)
