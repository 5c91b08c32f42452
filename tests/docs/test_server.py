"""The files of docs/server.md: systemd, nginx and the bridge itself read them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.config import read
from tests import certificates, packages

ROOT = Path(__file__).parents[2]
FILES = ROOT / "docs" / "server"
PROGRAM = "/opt/attribution-bridge/bin/attribution-bridge"
UNITS = sorted(path.name for path in FILES.glob("attribution-bridge*.*"))


def _there(program, package):
    """The program, and the environment that it needs. Skips where it cannot be had, but not in CI."""
    if found := shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin"):
        return found, dict(os.environ)
    try:
        root = packages.unpacked(package)
    except packages.NotToBeHad as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))
    (found,) = [path for folder in ("bin", "sbin") for path in (root / "usr" / folder).glob(program)]
    return str(found), {**os.environ, **packages.libraries(root)}


def test_the_units_are_found():
    assert [
        "attribution-bridge-backup.service",
        "attribution-bridge-backup.timer",
        "attribution-bridge.service",
    ] == UNITS


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_understands_every_line_of_a_unit(unit, tmp_path):
    program, environ = _there("systemd-analyze", "systemd")
    for name in UNITS:
        installed = (FILES / name).read_text().replace(PROGRAM, str(Path(sys.executable).parent / "attribution-bridge"))
        (tmp_path / name).write_text(installed)
    done = subprocess.run(
        [program, "verify", "--man=no", str(tmp_path / unit)], env=environ, capture_output=True, text=True, check=False
    )
    assert [] == [line for line in done.stderr.splitlines() if "attribution-bridge" in line]


def test_a_wrong_line_would_be_noticed(tmp_path):
    program, environ = _there("systemd-analyze", "systemd")
    unit = tmp_path / "attribution-bridge.service"
    unit.write_text("[Service]\nExecStart=/bin/true\nProtectSytem=strict\n")
    done = subprocess.run(
        [program, "verify", "--man=no", unit], env=environ, capture_output=True, text=True, check=False
    )
    assert "ProtectSytem" in done.stderr


def test_nginx_takes_the_file(tmp_path):
    program, environ = _there("nginx", "nginx")
    certificates.make(tmp_path, "hooks")
    server = (FILES / "nginx.conf").read_text()
    server = server.replace("/etc/ssl/hooks.example.com/fullchain.pem", str(tmp_path / "hooks.crt"))
    server = server.replace("/etc/ssl/hooks.example.com/privkey.pem", str(tmp_path / "hooks.key"))
    (tmp_path / "server.conf").write_text(server)
    kept = " ".join(
        f"{each}_temp_path {tmp_path}/{each};" for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = f"pid {tmp_path}/pid; events {{}} http {{ access_log off; {kept} include {tmp_path}/server.conf; }}"
    (tmp_path / "nginx.conf").write_text(main)
    done = subprocess.run(
        [program, "-t", "-q", "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")],
        env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "" == done.stderr
    assert 0 == done.returncode


def test_the_bridge_takes_the_configuration(tmp_path):
    for secret in ("shopify", "hellotext"):
        (tmp_path / secret).write_text("a-secret-of-the-tests")
    text = (FILES / "bridge.yaml").read_text().replace("/run/credentials/attribution-bridge.service", str(tmp_path))
    settings = read(text, environ={})
    unit = (FILES / "attribution-bridge.service").read_text()
    assert settings.journal.path.parent == Path("/var/lib") / unit.partition("StateDirectory=")[2].split()[0]
    assert settings.delivery.grace.total_seconds() < 45, "TimeoutStopSec leaves time for what is in flight"
    server = (FILES / "nginx.conf").read_text()
    assert f"client_max_body_size {settings.door.max_body >> 20}m;" in server
    assert f"server 127.0.0.1:{settings.door.port};" in server
    assert f"reverse_proxy 127.0.0.1:{settings.door.port} " in (FILES / "Caddyfile").read_text()
