"""The shell completes commands and their options."""

import os
import subprocess
import sys

import pytest


def _asked(tmp_path, **environ):
    return subprocess.run(
        [sys.executable, "-m", "bridge"], cwd=tmp_path, env={**os.environ, **environ}, capture_output=True, text=True,
        timeout=60, check=True,
    ).stdout  # fmt: skip


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(tmp_path, shell):
    assert "_ATTRIBUTION_BRIDGE_COMPLETE" in _asked(tmp_path, _ATTRIBUTION_BRIDGE_COMPLETE=f"{shell}_source")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("attribution-bridge or", "orders"),
        ("attribution-bridge dead r", "retry"),
        ("attribution-bridge shopify do", "doctor"),
    ],
)
def test_what_is_typed_is_completed(tmp_path, words, offered):
    told = _asked(
        tmp_path,
        _ATTRIBUTION_BRIDGE_COMPLETE="bash_complete",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split()) - 1),
    )
    assert f"plain,{offered}" in told.splitlines()
