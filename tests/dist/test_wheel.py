"""What would be released, built here and now without a network."""

import subprocess
import sys

import pytest

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
