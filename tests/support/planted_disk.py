"""aipc on a disk that fails at one change of a file: killed there, or refused by the system.

    python planted_disk.py FAULT STEP FILE ROOT -- ARGUMENT…

is ``aipc ARGUMENT…``.  A *change* is a file opened for writing, renamed, made or removed below
ROOT, by Python in this process; before the STEPth FAULT happens: "killed", or the name
of an error number such as "ENOSPC", then and at every later change that takes room.  With a
STEP of 0 none does, and FILE gets the number of changes at the end.
"""

from __future__ import annotations

import atexit
import errno
import os
import signal
import sys
from pathlib import Path

FAULT, STEP, FILE, ROOT = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FREES = {"os.remove", "os.rmdir"}
CHANGES = {"open", "os.mkdir", "os.rename", "os.link", "os.symlink", "os.truncate", *FREES}
changes = 0


def watch(event, arguments):
    global changes  # noqa: PLW0603 - a hook has no other place for it
    if event not in CHANGES or not is_watched(event, arguments):
        return
    changes += 1
    if changes < STEP or STEP == 0:
        return
    if FAULT == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif event not in FREES or FAULT == "EROFS":
        number = getattr(errno, FAULT)
        raise OSError(number, os.strerror(number), str(arguments[0]))


def is_watched(event, arguments):
    if event == "open" and not arguments[2] & WRITES:
        return False
    paths = arguments[:1] if event == "open" else arguments[:2]  # a pipe is opened by its number
    return any(isinstance(one, (str, os.PathLike)) and is_below(one) for one in paths)


def is_below(path):
    """A name in a folder that is open, as `shutil.rmtree` has it, is taken for one of ours."""
    return str(path).startswith(ROOT) or not Path(path).is_absolute()


def tell():
    FILE.write_text(str(changes))


sys.argv[1:] = sys.argv[sys.argv.index("--") + 1 :]
from aipc.__main__ import main  # noqa: E402 - what it imports writes nothing

if STEP == 0:
    atexit.register(tell)
sys.addaudithook(watch)
main()
