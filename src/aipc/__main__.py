"""The program: `python -m aipc`, and the script of that name."""

from __future__ import annotations

import sys
from typing import NoReturn

STOPPED = 130
"""128 + SIGINT, as a shell has it."""


def main() -> NoReturn:
    """`aipc.cli.main`; Ctrl-C while that is still being imported is as silent as later."""
    try:
        from aipc.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(STOPPED)


if __name__ == "__main__":
    main()
