"""The chart, rendered by the real Helm."""

import os
import subprocess

import pytest
import yaml

from tests.chart import fetching
from tests.chart.generated import CHART

SCENARIOS = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").iterdir())


@pytest.fixture(scope="session")
def helm():
    """Runs Helm; skipped where it cannot be had, never in CI."""
    try:
        program = fetching.helm()
    except fetching.NotToBeHad as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no Helm: {reason}; set HELM to one that is there")

    def run(*arguments):
        command = [
            program,
            *map(str, arguments),
            "--kube-version",
            "1.31.0",
        ]  # a Helm built by hand thinks of an old one
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return run


@pytest.fixture(scope="session")
def rendered(helm):
    """Renders: the objects. Values as `--set` writes them."""

    def render(scenario=None, *more, release="shop"):
        files = ["-f", CHART / "ci" / f"{scenario}-values.yaml"] if scenario else []
        done = helm("template", release, CHART, *files, *more)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    return render


@pytest.fixture(scope="session")
def refused(helm):
    """Renders what must be refused: the words. The schema is looked at or not."""

    def render(scenario, *more, schema=False):
        files = ["-f", CHART / "ci" / f"{scenario}-values.yaml"] if scenario else []
        done = helm("template", "shop", CHART, *files, *more, *([] if schema else ["--skip-schema-validation"]))
        assert done.returncode != 0, "it was rendered"
        return done.stderr

    return render


def only(objects, kind):
    (found,) = [one for one in objects if one["kind"] == kind]
    return found


def pods(objects):
    """The pod templates of the service and of the jobs."""
    return [one["spec"]["template"] for one in objects if one["kind"] in ("StatefulSet", "Deployment", "Job")] + [
        one for one in objects if one["kind"] == "Pod"
    ]
