"""The demo on ports that somebody else has, and on others."""

import signal
import socket
import subprocess
import sys

import pytest

from bridge.__main__ import main


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def _free(count):
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports


_OPTIONS = ("--port", "--private-port", "--console-port", "--sandbox-port")


@pytest.mark.parametrize("option", _OPTIONS)
def test_a_port_that_is_taken_is_named_with_the_option_that_chooses_another(
    tmp_path, monkeypatch, capsys, taken, option
):
    monkeypatch.chdir(tmp_path)
    usual = dict(zip(_OPTIONS, map(str, _free(4)), strict=True))
    words = [word for pair in {**usual, option: str(taken)}.items() for word in pair]
    monkeypatch.setattr("sys.argv", ["attribution-bridge", "demo", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert 1 == ended.value.code
    said = capsys.readouterr().err
    assert f"cannot listen at 127.0.0.1:{taken}: " in said
    assert f'make run ARGS="{option} {taken + 1}"' in said


def test_the_demo_shows_its_order_at_the_ports_that_were_chosen(tmp_path):
    door, _, console, sandbox = ports = _free(4)
    words = ["demo", *(word for pair in zip(_OPTIONS, map(str, ports), strict=True) for word in pair)]
    with subprocess.Popen(
        [sys.executable, "-m", "bridge", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        said = []
        for line in demo.stdout:
            said.append(line)
            if line.startswith("ask:"):
                demo.send_signal(signal.SIGINT)
        errors = demo.stderr.read()
    assert 0 == demo.returncode, errors
    assert f"http://127.0.0.1:{door}/webhooks/shop" in said[0]
    assert f"http://127.0.0.1:{sandbox}" in said[0]
    assert any("order.placed: delivered" in line for line in said), said
    assert any(line.startswith(f"look at it: http://127.0.0.1:{console}/") for line in said), said
