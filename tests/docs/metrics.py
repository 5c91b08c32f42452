"""docs/metrics.md from the registry of metrics."""

from bridge.log_events import EVENTS
from bridge.telemetry import REGISTRY

_TOP = """# Metrics

`make docs` makes this page from the program.

`GET /metrics` on the private port (9090) serves these for Prometheus.
The chart has alerts and a dashboard for them: [kubernetes.md](kubernetes.md).
Elsewhere `attribution-bridge monitoring` prints both: [server.md](server.md#watch-it).
Every counter begins at 0 when the process starts.
So does a counter with labels, for the sources, destinations and rules of the configuration.
With labels that nobody can foresee, such as a topic by a pattern, it appears when it is first counted.

| Label | What it holds |
| --- | --- |
| `source`, `dest` | name of the source, of the destination |
| `topic`, `partition` | topic of the webhook or of Kafka; number of the partition |
| `rule`, `fact` | name of the rule, of the fact |
| `state`, `reason` | state of the fact; reason, from a closed list |
| `status` | HTTP status that the bridge answered |
| `result` | `stored`, `known` or `dead` |
| `secret_number` | place in `secrets` of the secret that signed; the first is `1` |
"""
_UNITS = {
    "_seconds": "seconds",
    "_bytes": "bytes",
    "_records": "records",
    "_lanes": "orders",
    "_limit": "orders",
    "_facts": "facts",
}
METRICS = list(REGISTRY._collector_to_names)
"""Counters, gauges and the histogram, in the order in which the program makes them."""


def page() -> str:
    counters = {f"bridge_{kind.metric}": name for name, kind in EVENTS.items() if kind.metric}
    sections = {"counter": "Counters", "gauge": "Gauges", "histogram": "Histogram"}
    heads = {
        "counter": "| Metric | Labels | What it counts | Counted with each log event |\n| --- | --- | --- | --- |",
        "gauge": "| Metric | Labels | What it is | Unit |\n| --- | --- | --- | --- |",
        "histogram": "| Metric | Labels | What it is | Unit |\n| --- | --- | --- | --- |",
    }
    text = _TOP
    for kind, title in sections.items():
        rows = []
        for metric in METRICS:
            if metric._type != kind:
                continue
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)
            name = f"{metric._name}_total" if kind == "counter" else metric._name
            last = _event(counters.get(metric._name)) if kind == "counter" else _unit(metric._name)
            rows.append(f"| `{name}` | {labels} | {metric._documentation} | {last} |")
        text += f"\n## {title}\n\n{heads[kind]}\n" + "\n".join(rows) + "\n"
    return text


def _event(name: str | None) -> str:
    return f"`{name}`" if name else ""


def _unit(name: str) -> str:
    return next((unit for end, unit in _UNITS.items() if name.endswith(end)), "")
