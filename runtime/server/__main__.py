"""`python -m branchline.runtime.server`: the front process; started by lang/launch.py and by
`branchline serve`."""

from __future__ import annotations

import sys

from .front import Front
from .options import UsageError, parse, ready_fd_of
from .report import report_failure


def main(argv: list[str]) -> int:
    try:
        options = parse(argv)
    except UsageError as error:
        report_failure(str(error), ready_fd_of(argv))
        return 2
    return Front(options).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
