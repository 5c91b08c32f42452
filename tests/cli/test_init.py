"""What `init` writes is a good configuration, and its test passes."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.cli import command
from bridge.cli.init import platforms

ASKED = ["--shop", "Name.MyShopify.com", "--mode", "shadow"]


def _run(*words, given=None):
    return CliRunner().invoke(command, [str(word) for word in words], input=given)


def _environment(folder):
    lines = (folder / "bridge.env").read_text().splitlines()
    return {line.removesuffix("="): "whsec_YS1zZWNyZXQtb2YtdGhlLXRlc3Rz" for line in lines if line.endswith("=")}


def test_the_platforms_with_a_beginning_are_offered():
    assert {"kafka", "shopify", "webhook", "woocommerce"} <= set(platforms())


@pytest.mark.parametrize("platform", platforms())
def test_what_is_written_is_checked_and_tested_as_it_stands(platform, tmp_path, monkeypatch):
    done = _run("init", tmp_path / "shop", "--platform", platform, *ASKED)
    assert 0 == done.exit_code, done.output
    monkeypatch.chdir(tmp_path / "shop")
    for name, text in _environment(tmp_path / "shop").items():
        monkeypatch.setenv(name, text)
    checked, tested = _run("check"), _run("test")
    assert 0 == checked.exit_code, checked.output
    assert "shadow" in checked.output
    assert 0 == tested.exit_code, tested.output
    assert "name.myshopify.com" in (tmp_path / "shop" / "bridge.yaml").read_text()
    assert '"sent"' in (tmp_path / "shop" / "tests" / "first-order" / "expected.json").read_text()


@pytest.mark.parametrize("platform", platforms())
def test_every_secret_of_the_configuration_is_in_the_file_of_secrets(platform, tmp_path):
    _run("init", tmp_path, "--platform", platform, *ASKED)
    text = (tmp_path / "bridge.yaml").read_text()
    used = set(re.findall(r"^[^#\n]*\benv:([A-Z_]+)", text, re.MULTILINE))
    assert used == _environment(tmp_path).keys()
    assert 0o600 == stat.S_IMODE((tmp_path / "bridge.env").stat().st_mode)


def test_what_is_not_said_is_asked_for_and_asked_again_if_it_is_wrong(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = _run("init", given="shopify\nnot a host\nname.myshopify.com\n\n")
    assert 0 == done.exit_code, done.output
    assert "'not a host' is no host: write it as name.myshopify.com" in done.output
    assert "mode: shadow" in (tmp_path / "bridge.yaml").read_text()


def test_nothing_that_is_there_is_overwritten_and_nothing_is_written_beside_it(tmp_path):
    (tmp_path / "bridge.env").write_text("HELLOTEXT_TOKEN=mine\n")
    done = _run("init", tmp_path, "--platform", "shopify", *ASKED)
    assert f"{tmp_path / 'bridge.env'} is there already: name another folder" in str(done.exception)
    assert ["bridge.env"] == [path.name for path in tmp_path.iterdir()]
    assert "HELLOTEXT_TOKEN=mine\n" == (tmp_path / "bridge.env").read_text()


def test_the_commands_that_it_says_work_as_they_stand(tmp_path):
    done = _run("init", tmp_path / "a shop", "--platform", "shopify", *ASKED)
    lines = [line.strip() for line in done.output.partition("Then:")[2].splitlines() if line.strip()]
    assert 3 == len(lines)
    secrets = tmp_path / "a shop" / "bridge.env"
    secrets.write_text("".join(f"{name}={text}\n" for name, text in _environment(tmp_path / "a shop").items()))
    script = "\n".join(["set -e", 'attribution-bridge() { python -m bridge "$@"; }', *lines[:2]])
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ran = subprocess.run(["bash", "-c", script], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert 0 == ran.returncode, ran.stdout + ran.stderr
    assert "bridge.yaml is good" in ran.stdout
    assert "1 cases, 0 not as expected" in ran.stdout
