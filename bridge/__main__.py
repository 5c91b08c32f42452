"""`python -m bridge`, installed as `attribution-bridge`."""

import sys
from collections.abc import Iterator

from bridge.cli import command
from bridge.errors import BridgeError, ConfigurationError


def main() -> None:
    """Run the command. Exit codes: 0 all is well, 1 what was looked for is not, 2 asked wrongly (configuration errors
    included)."""
    code = 0
    try:
        command(prog_name="attribution-bridge")
    except* ConfigurationError as wrong:
        code = 2
        for configuration in _each(wrong):
            sys.stderr.write("\n".join((str(configuration), *getattr(configuration, "__notes__", ()), "")))
    except* BridgeError as problems:
        code = 1
        for problem in _each(problems):
            sys.stderr.write(f"{problem}\n")
    sys.exit(code)


def _each(group: BaseExceptionGroup[BridgeError]) -> Iterator[BaseException]:
    """The errors of a group, and of the groups in it."""
    for problem in group.exceptions:
        if isinstance(problem, BaseExceptionGroup):
            yield from _each(problem)
        else:
            yield problem


if __name__ == "__main__":
    main()
