"""The program with a clock that is wrong.

Usage: python -m tests.replicas.with_clock SECONDS COMMAND...     SECONDS: how far it is ahead; below 0: behind
"""

import sys
from datetime import timedelta

from bridge import clock
from bridge.__main__ import main
from tests.clocks import Shifted

if __name__ == "__main__":
    with clock.installed(Shifted(timedelta(seconds=float(sys.argv.pop(1))))):
        main()
