"""What `check` says of ports at which `run` could not listen."""

import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bridge.intake.listener import refusals

_ASKED = """
import os
from bridge.intake.listener import refusals
list(refusals("127.0.0.1", 0))  # loads what nobody but root may read
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
print(*refusals("127.0.0.1", 80), sep="\\n")
"""


def test_an_address_that_is_not_of_this_machine_is_refused():
    (said,) = refusals("203.0.113.1", 8080)
    assert said.startswith("cannot listen at 203.0.113.1:8080: ")


def test_a_name_that_nobody_knows_is_refused():
    assert ["cannot listen at no-such-host.invalid:8080: this machine knows no such name or address"] == list(
        refusals("no-such-host.invalid", 8080)
    )


def test_a_port_that_somebody_has_is_not_refused_for_check_runs_beside_the_bridge():
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        assert [] == list(refusals("127.0.0.1", other.getsockname()[1]))


def test_a_port_of_root_is_refused_to_others():
    first = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if not first.exists() or int(first.read_text()) <= 80:
        pytest.skip("this system lets everybody listen at port 80")
    done = subprocess.run([sys.executable, "-c", _ASKED], capture_output=True, text=True, check=False)
    assert "cannot listen at 127.0.0.1:80: Permission denied" == done.stdout.strip(), done.stderr
