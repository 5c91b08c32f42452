"""What a person is told to type works as it stands."""

import pytest

from bridge.cli.options import typed_as

NAME = "attribution-bridge"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The program in a folder, started by its path."""
    program = tmp_path / "bin" / NAME
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setattr("sys.argv", [str(program), "demo"])
    return program


def test_by_its_name_where_that_is_on_the_path(installed, monkeypatch):
    monkeypatch.setenv("PATH", str(installed.parent))
    assert NAME == typed_as()


def test_by_its_path_where_it_is_not_or_another_one_is(installed, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert str(installed) == typed_as()
    other = tmp_path / NAME
    other.touch(mode=0o755)
    assert str(installed) == typed_as()


def test_as_a_module_where_it_was_started_so(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/somewhere/bridge/__main__.py", "demo"])
    assert "python -m bridge" == typed_as()
