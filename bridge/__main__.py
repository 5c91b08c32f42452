"""`python -m bridge`, installed as `attribution-bridge`."""

import sys

from bridge.cli import command
from bridge.errors import BridgeError, ConfigurationError


def main() -> None:
    """Exit codes: 0 all is well, 1 what was looked for is not, 2 asked wrongly (configuration errors included)."""
    try:
        command(prog_name="attribution-bridge")
    except ConfigurationError as wrong:
        count = len(wrong.problems)
        sys.stderr.write(f"{wrong}\n{count} problem{'s' if count > 1 else ''} in the configuration\n")
        sys.exit(2)
    except BridgeError as problem:
        sys.stderr.write(f"{problem}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
