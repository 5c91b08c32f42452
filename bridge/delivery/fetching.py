"""Fetch the documents that thin webhooks only name. Each source has a client, so that one shop holds up no other."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bridge.contract import Envelope, Fetches, Outcome, Paused, Reason, Rejected, Request, Response, Retry
from bridge.delivery.client import Client, Silence
from bridge.generators import MOST_REQUESTS, run_async
from bridge.status_table import judged
from bridge.telemetry import emit, frames


class _Silent(Exception):
    """A request got no answer. The fetching ends with this outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches for all destinations. What one of them asked is remembered for the others, by the client."""

    sources: Mapping[str, tuple[Fetches, Client]]

    def is_thin(self, envelope: Envelope) -> bool:
        """Whether the document only names another."""
        found = self.sources.get(envelope.source)
        return found is not None and found[0].is_thin(envelope)

    async def fetch(self, envelope: Envelope, *, now: datetime, fresh: bool) -> Envelope | Outcome:
        """The document that was named, or why there is none. Never raises for what the platform or a connector does. A
        refusal is tried again: it says nothing of a destination, so none is paused."""
        source, client = self.sources[envelope.source]

        async def answered(request: Request) -> Response:
            answer = await client.send(request)
            if isinstance(answer, Silence):
                row = answer.row
                raise _Silent(judged(row, f"fetching: {row.happening} ({answer.detail})", repeatable=True))
            return answer

        try:
            found = await run_async(source.fetch(envelope, now=now, fresh=fresh), answered, most=MOST_REQUESTS)
        except _Silent as silence:
            return silence.outcome
        except Exception as bug:  # noqa: BLE001  the boundary to connector code, as for conversations
            emit("connector.failed", source=envelope.source, problem=type(bug).__name__, frames=frames(bug))
            detail = f"{type(bug).__name__} in the connector; see the log event connector.failed"
            return Rejected(Reason.CONNECTOR_FAILED, detail)
        return Retry(found.reason, found.detail) if isinstance(found, Paused) else found
