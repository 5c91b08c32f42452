"""What happens in a world, drawn before it begins. Each happening has its time and a chance of its own: one can be left
out, and the others stay as they are."""

from dataclasses import dataclass
from random import Random

HOURS = 6.0
"""Hours of the world in which something goes wrong. After them all is well."""


@dataclass(frozen=True)
class Happening:
    """One thing that happens. at: seconds since the world began; seed: of what it draws itself."""

    at: float
    what: str
    seed: str

    @property
    def chance(self) -> Random:
        return Random(self.seed)

    def __str__(self) -> str:
        return f"{self.at:9.1f} s  {self.what}"


RARE = {
    "order": 14,
    "rush": 2,
    "weather": 5,
    "one action refused": 1,
    "kill": 4,
    "stop": 2,
    "busy disk": 2,
    "full disk": 1.5,
    "little room": 1.5,
    "freeze": 2,
    "set the clock": 1.5,
    "retry": 3,
    "drop": 1.5,
    "resend": 1.5,
    "settle": 1.5,
    "release": 2,
    "erase": 2,
    "change rules": 2,
    "prune": 1,
    "look": 2,
    "long look": 1,
    "backup": 2,
    "restore": 1,
    "rebalance": 2,
    "reset connections": 1,
}
"""How often each happens, compared with the others."""


def drawn(seed: int) -> list[Happening]:
    """The happenings of a world, in their order. Worlds differ in what happens in them at all, and how much."""
    chance = Random(f"{seed} plan")
    kinds = {what: weight * chance.choice((0, 1, 1, 3)) for what, weight in RARE.items()}
    kinds["order"] = RARE["order"] * chance.choice((1, 2, 4))
    if chance.random() < 0.3:  # worlds in which few kinds of things go wrong, and often
        few = chance.sample([what for what in RARE if what != "order"], chance.choice((1, 2)))
        kinds = {"order": 6.0, "rush": 2.0, "weather": chance.choice((0.0, 2.0)), **dict.fromkeys(few, 4.0)}
    count = chance.choice((12, 25, 50))
    whats = chance.choices(list(kinds), list(kinds.values()), k=count)
    span = chance.choice((60.0, 600.0, HOURS * 3600))
    times: list[float] = []
    for _ in whats:  # one thing often comes with another
        near = times and chance.random() < 0.4
        times.append(chance.choice(times) + chance.expovariate(1.0) if near else chance.uniform(0, span))
    times.sort()
    return [Happening(at, what, f"{seed} {index}") for index, (at, what) in enumerate(zip(times, whats, strict=True))]
