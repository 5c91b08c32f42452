"""What happens in a trial, drawn before it begins. A seed draws the same happenings at the same times; the processes
keep their own pace."""

from dataclasses import dataclass
from random import Random

SPAN = 16.0
"""Seconds in which something goes wrong. After them all is well."""
LEASE = 2.0  # seconds

WEIGHTS = {
    "kill": 3,
    "freeze": 4,
    "partition": 5,
    "cut": 3,
    "half-close": 1.5,
    "delay": 3,
    "lose answers": 8,
    "crash Postgres": 0.8,
    "stop": 1.5,
    "weather": 7,
    "retry": 2,
    "drop": 1,
    "resend": 1.5,
    "settle": 1.5,
    "release": 2,
    "refuse and release": 3,
}
"""How often each happens, compared with the others."""

_THEMES = (
    frozenset(),
    frozenset({"freeze", "partition", "lose answers"}),
    frozenset({"delay", "lose answers", "cut"}),
    frozenset({"refuse and release", "delay"}),
)
"""What happens most in a trial; empty: anything."""
_BESIDE = 0.1
"""How often something else happens in a trial that has a theme, compared with WEIGHTS."""


@dataclass(frozen=True)
class Happening:
    """One thing that happens. at: seconds since the trial began; replica: whom it concerns; seed: of what it draws
    itself."""

    at: float
    what: str
    replica: int
    seed: str

    @property
    def chance(self) -> Random:
        return Random(self.seed)

    def __str__(self) -> str:
        return f"{self.at:6.2f} s  {self.what} (replica {self.replica})"


@dataclass(frozen=True)
class Plan:
    """clocks: seconds that each replica's clock is ahead; orders: how many there are; slowness: seconds that the API
    takes for an answer; gone: the replica that is killed in the end and never comes back, if any."""

    clocks: tuple[float, ...]
    happenings: tuple[Happening, ...]
    orders: int
    slowness: float = 0.0
    gone: int | None = None

    def __str__(self) -> str:
        clocks = ", ".join(f"{seconds:+.0f} s" for seconds in self.clocks)
        gone = "" if self.gone is None else f"; replica {self.gone} is gone in the end"
        told = f"{self.orders} orders; the API takes {self.slowness} s{gone}"
        return "\n".join([f"clocks of the replicas: {clocks}; {told}", *map(str, self.happenings)])


def drawn(seed: int) -> Plan:
    """Trials differ in what happens in them at all, and how much."""
    chance = Random(f"{seed} plan")
    count = chance.choice((2, 3))
    theme = chance.choice(_THEMES)
    kinds = {
        what: weight * (chance.choice((0, 1, 1, 3)) if not theme or what in theme else _BESIDE)
        for what, weight in WEIGHTS.items()
    }
    if theme and not any(kinds[what] for what in theme):
        kinds |= {what: WEIGHTS[what] for what in theme}
    whats = chance.choices(list(kinds), list(kinds.values()), k=chance.choice((12, 24, 36)))
    times = sorted(chance.uniform(0.5, SPAN) for _ in whats)
    return Plan(
        clocks=tuple(chance.choice((0.0, chance.uniform(-300, 300))) for _ in range(count)),
        happenings=tuple(
            Happening(at, what, chance.randrange(count), f"{seed} {number}")
            for number, (at, what) in enumerate(zip(times, whats, strict=True))
        ),
        orders=chance.choice((100, 200)) if theme else chance.choice((60, 120, 200)),
        slowness=chance.choice((0.05, 0.05, 0.2) if "refuse and release" in theme else (0.05, 0.3, 1.0)),
        gone=chance.choice((None, chance.randrange(count))),
    )
