"""What would be released, built here and now without a network."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml

from tests.dist.contents import ROOT, of_checkout, of_sdist, of_wheel, packaged


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stderr
    return folder


def test_the_wheel_holds_every_file_of_the_program_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    assert {"bridge/journal/sqlite/schema.sql", "connectors/shopify/rules/default.yaml"} < packaged(ROOT)
    assert packaged(ROOT) == of_wheel(wheel)


def test_the_sdist_holds_every_file_of_the_checkout(built):
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    (sdist,) = built.glob("*.tar.gz")
    assert set() == of_checkout(ROOT) - of_sdist(sdist)


def test_the_program_its_chart_and_its_pages_name_one_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((ROOT / "helm/attribution-bridge/Chart.yaml").read_text())
    built = re.findall(r"/attribution-bridge:(\d\S+)", (ROOT / "docs/kubernetes.md").read_text())
    assert built
    assert {version} == {chart["version"], chart["appVersion"], *built}
