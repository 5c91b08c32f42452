"""A real pgbouncer before a real Postgres, in transaction mode. From PGBOUNCER, else fetched once as packages of the
distribution into the ignored cache, without installing anything.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).parents[1]
PACKAGES = ("pgbouncer", "libevent-2.1-7", "libc-ares2")
_INI = """
[databases]
postgres = host={host} dbname=postgres user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
"""


class NotToBeHad(Exception):
    """No such packages here: the reason is the text."""


def program():
    """The program, and the folder of its libraries. Raises NotToBeHad."""
    if given := os.environ.get("PGBOUNCER") or shutil.which("pgbouncer"):
        return Path(given), None
    kept = Path(os.environ.get("BRIDGE_CACHE") or ROOT / ".cache") / "pgbouncer"
    if not kept.exists():
        _fetch(kept)
    (found,) = kept.glob("usr/sbin/pgbouncer")
    return found, next(kept.glob("usr/lib/*-linux-gnu*"))


def _fetch(kept):
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise NotToBeHad("pgbouncer is fetched with apt-get; or name one with PGBOUNCER")
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        if not _run("apt-get", "download", *PACKAGES, cwd=folder):
            _run("apt-get", "update", cwd=folder)  # a fresh machine has no lists; only root may fetch them
            if not _run("apt-get", "download", *PACKAGES, cwd=folder):
                raise NotToBeHad(f"apt-get could not download {', '.join(PACKAGES)}; or name one with PGBOUNCER")
        whole = Path(folder) / "whole"
        for package in Path(folder).glob("*.deb"):
            assert _run("dpkg", "-x", package.name, "whole", cwd=folder)
        whole.rename(kept)


def _run(*command, cwd):
    done = subprocess.run(command, cwd=cwd, capture_output=True, timeout=300, check=False)
    return done.returncode == 0


class Pooler:
    """One process before the server at `dsn`."""

    def __init__(self, folder, dsn):
        self._program, self._libraries = program()
        parts = urlsplit(dsn)
        host = parse_qs(parts.query).get("host", [parts.hostname or ""])[0]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._ini = folder / "pgbouncer.ini"
        self._ini.write_text(_INI.format(host=host, port=self._port))
        owner = pwd.getpwuid(Path(host).stat().st_uid).pw_name if host.startswith("/") else "nobody"
        self._user = ("-u", owner) if os.getuid() == 0 else ()
        self.dsn = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def start(self):
        environ = {**os.environ, **({"LD_LIBRARY_PATH": str(self._libraries)} if self._libraries else {})}
        self._process = subprocess.Popen(
            [self._program, "-q", *self._user, self._ini],
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                assert self._process.poll() is None, "pgbouncer has ended"
                assert time.monotonic() < until, "pgbouncer does not listen"
                time.sleep(0.05)
            else:
                return

    def kill(self):
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
