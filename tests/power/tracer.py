"""The tracer of system calls: strace, from STRACE, from this machine or from a package."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.packages import NotToBeHad, libraries, unpacked

_FILES = "pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,fsync,fdatasync,sync_file_range,copy_file_range"
_NAMES = "open,openat,openat2,creat,rename,renameat,renameat2,unlink,unlinkat,link,linkat,mkdir,mkdirat,rmdir"
_OUT = "write,writev,sendto,sendmsg,sendmmsg,sendfile,splice"
CALLS = f"{_FILES},{_NAMES},{_OUT}"
"""All calls that change a file or a name, or by which something leaves a process. SQLite never writes a journal or a
log through a mapping, and its index needs no sync."""

_LONGEST = 1 << 24  # bytes of a string that strace writes out; it takes no number that is much larger


def program() -> tuple[str, dict[str, str]]:
    """The program, and the environment in which it runs. Raises NotToBeHad, also where tracing is forbidden."""
    if given := os.environ.get("STRACE") or shutil.which("strace"):
        found: tuple[str, dict[str, str]] = (given, {})
    else:
        root = unpacked("strace")
        found = (str(root / "usr/bin/strace"), libraries(root))
    tried = subprocess.run(
        [found[0], "--seccomp-bpf", "-f", "-o", os.devnull, "-e", "trace=fsync", "true"],
        env={**os.environ, **found[1]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if tried.returncode:
        raise NotToBeHad(f"strace cannot trace here: {tried.stderr.strip()[-200:]}")
    return found


def command(strace: str, out: Path) -> list[str]:
    """The words before a command that is to be traced with all its children. -yy names each file and each connection
    beside its descriptor, -xx writes all bytes as numbers.
    """
    words = ["--seccomp-bpf", "-f", "-yy", "-xx", "-s", str(_LONGEST), "-e", "signal=none"]
    return [strace, *words, "-e", f"trace={CALLS}", "-o", str(out)]
