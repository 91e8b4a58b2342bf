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
    ("types", "mypy"),
    # what the other systems' branches leave over is no mistake there
    ("types on Windows", "mypy", "--platform", "win32", "--no-warn-unreachable"),
    ("types on macOS", "mypy", "--platform", "darwin", "--no-warn-unreachable"),
    ("tests", "pytest"),
)


def main() -> int:
    extra = ["-m", ""] if "--long" in sys.argv[1:] else []
    for name, module, *arguments in CHECKS:
        started = time.monotonic()
        command = [sys.executable, "-m", module, *arguments]
        if module == "pytest":
            command += extra
        print(f"== {name}: {' '.join(command[2:])}", flush=True)
        status = subprocess.run(command, check=False).returncode
        if status:
            print(f"{name} failed", file=sys.stderr)
            return status
        print(f"== {name}: good, {time.monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
