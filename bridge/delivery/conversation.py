"""The core's side of a conversation: its requests go to the client, and silence is judged by what may have left."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bridge.contract import Attempt, Destination, Event, Outcome, Reason, Rejected, Request, Response, Retry, Uncertain
from bridge.delivery.client import Client, Silence
from bridge.delivery.concurrency import ConcurrencyBounds
from bridge.delivery.policy import RetryPolicy
from bridge.errors import ClaimRevoked, LaneLost
from bridge.generators import MOST_REQUESTS, run_async
from bridge.status_table import judged
from bridge.telemetry import emit, frames

_DEFINITE_NO = range(300, 500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The way that a worker's facts go: the destination, and how it is sent to."""

    name: str
    destination: Destination
    shadow: bool
    bounds: ConcurrencyBounds
    retry: RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeSending:
    """The questions to the journal before something leaves: whether it may, and to note that it does."""

    confirm: Callable[[], Awaitable[None]]
    mark_departed: Callable[[], Awaitable[None]]


class _Ended(Exception):
    """The core ends the conversation, with this outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


class Conversation:
    """One conversation about one fact. `departed`: the journal has the departed mark."""

    def __init__(
        self,
        route: Route,
        client: Client,
        event: Event,
        before_sending: BeforeSending,
        *,
        doubtful: bool = False,
    ) -> None:
        self._doubtful = doubtful
        self._route = route
        self._client = client
        self._event = event
        self._before_sending = before_sending
        self._arrived = False
        self.departed = False

    async def run(self, attempt: Attempt) -> Outcome:
        """Hold the conversation, and return its outcome. A bug in the connector parks the fact: as uncertain if
        something left before it, else as dead."""
        try:
            return await self._exchange(attempt)
        except (LaneLost, ClaimRevoked):
            raise
        except Exception as bug:  # noqa: BLE001  the one boundary to connector code: the order is parked, not lost
            emit(
                "connector.failed",
                dest=self._route.name,
                rule=self._event.rule,
                problem=type(bug).__name__,
                frames=frames(bug),
            )
            detail = f"{type(bug).__name__} in the connector; see the log event connector.failed"
            if self.departed:
                return Uncertain(Reason.CONNECTOR_FAILED, detail)
            return Rejected(Reason.CONNECTOR_FAILED, detail)

    async def _exchange(self, attempt: Attempt) -> Outcome:
        conversation = self._route.destination.converse(self._event, attempt)
        try:
            outcome = await run_async(conversation, self._answered, most=MOST_REQUESTS)
        except _Ended as end:
            return end.outcome
        return self._doubted(outcome)

    async def _answered(self, request: Request) -> Response:
        """Send a request and return its answer. Raises _Ended if the conversation cannot go on."""
        if self._doubtful and not self._may_leave(request):
            raise _Ended(Uncertain(Reason.RESTORED, "it may have been sent after the backup was made"))
        answer = await self._answer(request)
        if isinstance(answer, Silence):
            raise _Ended(self._silence(request, answer))
        return answer

    def _may_leave(self, request: Request) -> bool:
        return self._repeatable(request) or (self._route.shadow and request.shadow is not None)

    async def _answer(self, request: Request) -> Response | Silence:
        if self._route.shadow and request.shadow is not None:
            return request.shadow
        repeatable = self._repeatable(request)
        answer = await self._client.send(request, leaving=self._confirmed if repeatable else self._departing)
        if not repeatable and isinstance(answer, Response) and answer.status not in _DEFINITE_NO:
            self._arrived = True
        return answer

    async def _confirmed(self) -> None:
        """Check whether a person has decided about the order. A conversation that has had its effect is carried to its
        end."""
        if not self._arrived:
            await self._before_sending.confirm()

    async def _departing(self) -> None:
        await self._confirmed()
        if not self.departed:
            await self._before_sending.mark_departed()
            self.departed = True
            await self._confirmed()

    def _repeatable(self, request: Request) -> bool:
        return request.repeatable or self._event.resend

    def _silence(self, request: Request, silence: Silence) -> Outcome:
        row = silence.row
        outcome = judged(row, f"{row.happening} ({silence.detail})", repeatable=self._repeatable(request))
        return self._doubted(outcome)

    def _doubted(self, outcome: Outcome) -> Outcome:
        """Make a retry uncertain if an unrepeatable request may have had its effect: it is not begun again from the
        start."""
        if isinstance(outcome, Retry) and self._arrived:
            return Uncertain(outcome.reason, outcome.detail, outcome.after)
        if isinstance(outcome, Uncertain) and self._event.resend:
            return Retry(outcome.reason, outcome.detail, outcome.after)
        return outcome
