"""`python -m branchline.runtime.server`: the front process; started by lang/launch.py and by
`branchline serve`."""

from __future__ import annotations

import os
import signal
import sys
from typing import Final

# Said first by `branchline serve`: the environment and a settings file count, too.
LAYERED: Final = "--layered"


def main(argv: list[str]) -> int:
    # Until the front catches it, Ctrl-C ends this process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ..standard_error import unfailing_stderr
    from .descriptors import raise_file_limit
    from .flags import UnknownFlags
    from .front import Front
    from .layers import layered
    from .options import UsageError, parse, ready_fd_of
    from .report import report_failure

    unfailing_stderr()
    raise_file_limit()
    try:
        if argv[:1] == [LAYERED]:
            argv = layered(argv[1:], os.environ)
        options = parse(argv)
    except UsageError as error:
        details: dict[str, list[str]] = {}
        if isinstance(error, UnknownFlags):
            details = {"unknown": error.names, "known": error.known}
        report_failure(str(error), ready_fd_of(argv), details)
        return 2
    return Front(options).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
