"""One participant of a benchmark in a process of its own, under whichever Python has its packages.

    python participant_loop.py SCRIPT OPTIONS

Neither this file nor the peers' scripts import aipc, save the one that measures aipc
itself; the pipes are `aipc.child`'s, read from its file.  SCRIPT defines ``load(options)``, which
returns (facts, run): facts about what was loaded, and ``run(prompts, tokens)``, which answers every
prompt with exactly so many tokens and returns, for each, the seconds from the start of the call to
each token.  OPTIONS is a JSON object; a peer's has artifact, device, properties, threads (null: the
runtime's own default), tokens (the most that a prompt and its answer have together), batch (the
most prompts at once) and packages (the folder of its own environment).

A peer that Node.js runs has a script that speaks in the same way by itself.

Each line of stdin asks for one run, {"prompts": [[1, 2]], "tokens": 3}; each line of stdout answers
one, the first of them the loading.  "error" stands in it instead where something failed.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

_CHILD = Path(__file__).parents[2] / "child.py"


def main() -> None:
    child = load_script(_CHILD)
    questions, answers = child.own_pipes()
    sys.path.pop(0)  # this folder, whose modules must not pass for others of their names
    script, options = sys.argv[1], json.loads(sys.argv[2])
    started = time.perf_counter()

    def loaded() -> tuple[dict[str, Any], Any]:
        facts, run = load_script(script).load(options)
        return {"seconds": time.perf_counter() - started, "facts": facts}, run

    def send(message: dict[str, Any]) -> None:
        answers.write(child.encode({**message, "peak_memory_bytes": peak_memory()}))
        answers.flush()

    message, run = attempt(loaded)
    send(message)
    for line in questions if run else ():
        question = json.loads(line)
        message, _ = attempt(partial(measured, run, question["prompts"], question["tokens"]))
        send(message)


def load_script(path: str | Path) -> Any:
    spec = importlib.util.spec_from_file_location("peer", path)
    assert spec is not None  # noqa: S101 - for the type checker: a path to a .py has one
    assert spec.loader is not None  # noqa: S101 - as above
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measured(
    run: Callable[..., Any], prompts: list[list[int]], tokens: int
) -> tuple[dict[str, Any], None]:
    before = time.process_time()
    started = time.perf_counter()
    times = run(prompts, tokens)
    seconds = time.perf_counter() - started
    return {"times": times, "seconds": seconds, "cpu_s": time.process_time() - before}, None


def attempt(work: Callable[[], tuple[dict[str, Any], Any]]) -> tuple[dict[str, Any], Any]:
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - a vendor may raise anything; it is passed on
        reason = " ".join(str(error).split())[:300]
        return {"error": f"{type(error).__name__}: {reason}"}, None


def peak_memory() -> int | None:
    """Most bytes of this process that were in memory at once; null where unknown."""
    if sys.platform == "win32":
        return windows_peak()
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return linux_peak()


def linux_peak() -> int | None:
    """Not getrusage's: that one counts what the parent had before this program began."""
    with open("/proc/self/status", encoding="utf-8", errors="replace") as status:  # noqa: PTH123
        lines = [line for line in status if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) * 1024 if lines else None


def windows_peak() -> int | None:
    """PROCESS_MEMORY_COUNTERS.PeakWorkingSetSize."""
    if sys.platform == "win32":
        import ctypes
        from ctypes import wintypes

        class Counters(ctypes.Structure):
            _fields_ = (
                ("cb", wintypes.DWORD),
                ("PageFaultCount", wintypes.DWORD),
                ("PeakWorkingSetSize", ctypes.c_size_t),
                *((name, ctypes.c_size_t) for name in "abcdefg"),
            )

        counters = Counters(cb=ctypes.sizeof(Counters))
        kernel32 = ctypes.WinDLL("kernel32")
        kernel32.GetCurrentProcess.restype = wintypes.HANDLE
        ask = kernel32.K32GetProcessMemoryInfo
        ask.argtypes = (wintypes.HANDLE, ctypes.POINTER(Counters), wintypes.DWORD)
        if ask(kernel32.GetCurrentProcess(), ctypes.byref(counters), counters.cb):
            return int(counters.PeakWorkingSetSize)
    return None


if __name__ == "__main__":
    main()
