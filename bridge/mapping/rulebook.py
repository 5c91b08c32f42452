"""The rules that are in force. Changed rules are swapped in whole, and every user looks here before each document."""

from dataclasses import dataclass, field
from datetime import datetime

from bridge import clock
from bridge.mapping.rules import Rules


@dataclass(slots=True)
class Rulebook:
    """The rules in force. generation: counts from 1. refused: why the last change of the configuration was not taken
    over; empty: it was."""

    rules: Rules
    generation: int = 1
    since: datetime = field(default_factory=clock.now)
    refused: str = ""

    def take(self, rules: Rules) -> None:
        """Put these rules in force from now on. A document that is being sent ends with the rules that it began
        with."""
        self.rules = rules
        self.generation += 1
        self.since = clock.now()
        self.refused = ""
