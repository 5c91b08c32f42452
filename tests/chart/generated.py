"""What is made from elsewhere: the chart's schema from the program's own, its README from the comments in values.yaml,
its alerts and its dashboard from those of the program.

Usage: python -m tests.chart.generated  writes all of them, and the snapshot of the usual rendering; tests say where
they are out of date.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from bridge import monitoring
from bridge.config.json_schema import schema as of_the_program
from tests.chart.fetching import helm

CHART = Path(__file__).parents[2] / "helm" / "attribution-bridge"
_KEY = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z][A-Za-z0-9]*):(?P<rest>.*)")
_ONLY_ONE = "more than one replica needs config.journal.kind: postgres, for a SQLite journal has one owner"


def values_schema() -> dict:
    """Strict: a key that the chart does not know is refused, the bridge's configuration by its own schema."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    program = of_the_program()
    definitions = program.pop("$defs")
    program.pop("$schema")
    program.pop("required", None)
    for section in ("sources", "destinations"):
        program["properties"][section].pop("minProperties", None)
    properties = {name: _of(value) for name, value in values.items() if name != "config"}
    properties["image"]["properties"]["pullPolicy"] = {"enum": ["Always", "IfNotPresent", "Never"]}
    properties["secret"]["properties"]["version"] = {"type": ["string", "integer"]}
    properties["podDisruptionBudget"]["properties"]["minAvailable"] = {"type": ["string", "integer"]}
    properties["journalKind"] = {"enum": ["", "sqlite", "postgres"]}
    modes = ["ReadWriteOncePod", "ReadWriteOnce"]
    properties["persistence"]["properties"]["accessMode"] = {"enum": modes, "description": "never shared"}
    postgres = {"required": ["config"], "properties": {"config": {"$ref": "#/$defs/OverPostgres"}}}
    definitions["OverPostgres"] = {
        "properties": {"journal": {"required": ["kind"], "properties": {"kind": {"const": "postgres"}}}},
        "required": ["journal"],
    }
    over_the_journal = {
        "properties": {"mountPath": {"pattern": "^/var/lib/attribution-bridge"}},
        "required": ["mountPath"],
    }
    alone = {
        "extraVolumeMounts": {
            "items": {"not": over_the_journal},
            "description": "the journal is on the claim: an emptyDir goes with the pod, on nfs its locks do not hold",
        },
        "replicaCount": {"maximum": 1, "description": _ONLY_ONE},
        "autoscaling": {"properties": {"enabled": {"const": False}}},
        "keda": {"properties": {"enabled": {"const": False}}},
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of attribution-bridge",
        "type": "object",
        "properties": {"config": program, **properties, "global": {"type": "object"}, "enabled": {"type": "boolean"}},
        "additionalProperties": False,
        "if": {"not": postgres},
        "then": {"properties": alone},
        "$defs": definitions,
    }


def _of(value: object) -> dict:
    """By the default: what is empty there takes anything of its kind."""
    match value:
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer", "minimum": 0}
        case str():
            return {"type": "string"}
        case list():
            return {"type": "array"}
        case dict() if value and not _is_free(value):
            return {
                "type": "object",
                "properties": {name: _of(inner) for name, inner in value.items()},
                "additionalProperties": False,
            }
        case _:
            return {"type": "object"}


def _is_free(value: dict) -> bool:
    """Kubernetes says what may stand there, not the chart."""
    return bool({"runAsNonRoot", "capabilities", "requests", "periodSeconds", "grafana_dashboard"} & set(value))


def documented() -> Iterator[tuple[str, str, str]]:
    """(path, default, description) of every value with a description of its own, in the order of the file."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in (CHART / "values.yaml").read_text().splitlines():
        text = line.strip()
        if text.startswith("#"):
            comment = [text.removeprefix("# --").strip()] if text.startswith("# --") else [*comment, text[1:].strip()]
            continue
        if found := _KEY.match(line):
            path = [step for step in path if step[0] < len(found["indent"])] + [(len(found["indent"]), found["key"])]
            name = ".".join(key for _, key in path)
            if comment:
                yield name, _shown(values, name), " ".join(comment)
        comment = []


def paths(value: object, above: str = "") -> Iterator[str]:
    """Every value by its path, inner ones too."""
    for name, inner in value.items() if isinstance(value, dict) and not _is_free(value) else ():
        yield f"{above}{name}"
        yield from paths(inner, f"{above}{name}.")


def _shown(values: dict, path: str) -> str:
    value: object = values
    for step in path.split("."):
        assert isinstance(value, dict)
        value = value[step]
    return "" if isinstance(value, dict) and value and not _is_free(value) else f"`{json.dumps(value)}`"


def readme() -> str:
    rows = "\n".join(f"| `{name}` | {default} | {text} |" for name, default, text in documented())
    return f"""# attribution-bridge on Kubernetes

`make chart` makes this page from `values.yaml`.
From nothing to a running shop: [docs/kubernetes.md](../../docs/kubernetes.md).

`config` is the bridge's own configuration.
With `config.journal.kind: sqlite` the chart makes a StatefulSet of one pod with a volume.
With `postgres` it makes a Deployment of any number of replicas.

The chart is for Kubernetes 1.27 and later.
ReadWriteOncePod is stable from 1.29 on; before it set `persistence.accessMode: ReadWriteOnce`.

| Value | Default | What it is |
| --- | --- | --- |
{rows}
"""


def main() -> None:
    (CHART / "values.schema.json").write_text(json.dumps(values_schema(), indent=1) + "\n")
    (CHART / "README.md").write_text(readme())
    for name in (monitoring.ALERTS, monitoring.DASHBOARD):
        (CHART / name).write_text(monitoring.source(name))
    usual = [helm(), "template", "shop", CHART, "-f", CHART / "ci" / "sqlite-values.yaml"]
    (CHART.parents[1] / "tests" / "chart" / "snapshot.yaml").write_bytes(subprocess.check_output(usual))


if __name__ == "__main__":
    main()
