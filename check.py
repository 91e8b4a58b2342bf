"""Everything that has to hold before a change is submitted: the one list, for people and CI.

python check.py            format, lint, types, tests
python check.py --long     the tests that take minutes as well
"""

from __future__ import annotations

import subprocess
import sys
import time

CHECKS = (
    ("format", "ruff", "format", "--check", "."),
    ("lint", "ruff", "check", "."),
    # each by its name: on Windows or macOS too, the checks of all three are made
    ("types on Linux", "mypy", "--platform", "linux"),
    # what the other systems' branches leave over is no mistake there
    ("types on Windows", "mypy", "--platform", "win32", "--no-warn-unreachable"),
    ("types on macOS", "mypy", "--platform", "darwin", "--no-warn-unreachable"),
    # two at a time, since most of a test's time is one thread's; a file's fixtures stay together
    ("tests", "pytest", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"),
)
LONG = ("long tests", "pytest", "-m", "long")  # one at a time: they measure


def main() -> int:
    checks = (*CHECKS, LONG) if "--long" in sys.argv[1:] else CHECKS
    for name, module, *arguments in checks:
        started = time.monotonic()
        command = [sys.executable, "-m", module, *arguments]
        print(f"== {name}: {' '.join(command[2:])}", flush=True)
        status = subprocess.run(command, check=False).returncode
        if status:
            print(f"{name} failed", file=sys.stderr)
            return status
        print(f"== {name}: good, {time.monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
