"""What others had seen of the bridge up to a cut, and so may count on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.power.recording import Answered, Left, Said


@dataclass(slots=True)
class Known:
    """What a journal must know.

    answered  orders whose delivery was answered with 200
    left      facts that may not be repeated, whose request has left, as (order, fact)
    settled   facts whose final state stood in the log, as (order, fact)
    """

    answered: set[str] = field(default_factory=set)
    left: set[tuple[str, str]] = field(default_factory=set)
    settled: set[tuple[str, str]] = field(default_factory=set)

    def copy(self) -> "Known":
        return Known(set(self.answered), set(self.left), set(self.settled))

    def add(self, other: "Known") -> None:
        self.answered |= other.answered
        self.left |= other.left
        self.settled |= other.settled


class Witness:
    """Sees one thing after another.

    orders   to each sender the orders that it posted, in their order
    places   the journal of each run, in the order of the runs
    begun    commands that have begun, with what the journal of the bridge knew then
    done     commands that have ended well
    """

    def __init__(self, orders: Mapping[str, list[str]], places: Iterable[str]) -> None:
        self._orders = orders
        self._places = iter(places)
        self._place = ""
        self.journals: dict[str, Known] = {}
        self.begun: dict[str, Known] = {}
        self.done: set[str] = set()

    @property
    def known(self) -> Known:
        """What the journal of the bridge that runs, or ran last, must know."""
        return self.of(self._place)

    def of(self, place: str) -> Known:
        return self.journals.setdefault(place, Known())

    def see(self, one: object) -> None:
        if isinstance(one, Answered):
            self.known.answered.add(self._orders[one.client][one.nth - 1])
        elif isinstance(one, Left):
            if not one.is_repeatable:
                self.known.left.add((one.order, one.action))
        elif isinstance(one, Said):
            self._hear(one.event)

    def _hear(self, event: Mapping[str, object]) -> None:
        if event.get("event") == "fact.settled":
            self.known.settled.add((str(event["lane"]), str(event["fact"])))
        elif "begun" in event:
            name = str(event["begun"])
            if name.startswith("run "):
                self._place = next(self._places)
            self.begun[name] = self.known.copy()
        elif event.get("code") == 0:
            self.done.add(str(event["ended"]))
