"""The stack on which a thread's signals are handled, after the CPU plugin is gone.

The plugin gives one to the thread that loads it (OpenVINO 2026.4), and frees it with itself.  The
next signal that Python handles would end the process: a Ctrl-C, after a model was closed.
"""

from __future__ import annotations

import ctypes
import sys

_DISABLED = 2  # SS_DISABLE of signal.h


class _Stack(ctypes.Structure):
    """stack_t of signal.h."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def leave_signal_stack() -> None:
    """Have this thread's signals handled on its own stack again."""
    if sys.platform == "linux":
        ctypes.CDLL(None).sigaltstack(ctypes.byref(_Stack(None, _DISABLED, 0)), None)
