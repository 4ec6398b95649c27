"""The command `branchline`, and `python -m branchline`: cli.py, or for `serve` the server."""

from __future__ import annotations

import os
import sys


def main() -> None:
    # Importing the command line takes a quarter of a second, which a server that starts has not.
    # Variables are for the command line to look through: a name that is none is refused there.
    has_variables = any(name.startswith("BRANCHLINE_") for name in os.environ)
    if sys.argv[1:2] == ["serve"] and not has_variables:
        from .runtime.server.__main__ import LAYERED
        from .runtime.server.__main__ import main as serve

        sys.exit(serve([LAYERED, *sys.argv[2:]]))
    from .cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
