"""A real pgbouncer before a real Postgres, in transaction mode: PGBOUNCER, one that is installed, or a package's."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.packages import libraries, unpacked

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


def program():
    """The program, and the environment in which it runs. Raises NotToBeHad."""
    if given := os.environ.get("PGBOUNCER") or shutil.which("pgbouncer"):
        return given, {}
    root = unpacked("pgbouncer")
    return str(root / "usr/sbin/pgbouncer"), libraries(root)


class Pooler:
    """One process before the server at `dsn`."""

    def __init__(self, folder, dsn):
        self._program, self._environ = program()
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
        self._process = subprocess.Popen(
            [self._program, "-q", *self._user, self._ini],
            env={**os.environ, **self._environ},
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
