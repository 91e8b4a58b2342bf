"""A server that `aipc run --keep-warm` leaves behind: a process of its own, of no terminal.

It is started as ``python -m aipc.serve.background``, loads one model, answers this user's own
programs alone, and ends after a time without a request.

    in   one line: {"model": …, "exit_idle_s": …, "loading": {…}}, arguments of `aipc.load`
    out  one line: {"pid": …} once it is announced in the store, or {"failed": …}
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, BinaryIO, cast

from aipc import telemetry
from aipc.child import encode, own_pipes, safe_environment
from aipc.errors import AipcError, EngineError
from aipc.models.store import Store
from aipc.progress import Notify, unheard
from aipc.serve.announcement import announced, read_announcements
from aipc.serve.own_server import OwnServer

_COMMAND = (sys.executable, "-m", "aipc.serve.background")
_START_S = 60.0
_LOOK_EVERY_S = 0.1


class BackgroundServer:
    """The process, started and announced; `wait` for its model.

    Raises:
        EngineError: it does not start.
    """

    def __init__(
        self, model: str, loading: Mapping[str, Any], exit_idle_s: float, store: Store
    ) -> None:
        process = _start()
        order = {"model": model, "exit_idle_s": exit_idle_s, "loading": dict(loading)}
        told = _first_line(process, encode(order))
        if "failed" in told:
            process.wait()
            raise EngineError(told["failed"])
        process.returncode = 0  # it is not waited for: it lives on
        for about in read_announcements(store.servers, unheard):
            if about.pid == told["pid"]:
                self.server = OwnServer(about)
                return
        raise EngineError("the server that was started is not announced in the store")

    def wait(self, notify: Notify) -> Mapping[str, Any]:
        """Its `LoadedModel` once that is ready; ``notify`` hears its notices meanwhile.

        An interrupted wait leaves it at its work.

        Raises:
            EngineError: the model can't be loaded there; the server is ended.
        """
        told: list[str] = []
        while True:
            try:
                models = self.server.loaded()["models"]
            except AipcError as error:
                self._end()
                raise EngineError("the server that was started has ended") from error
            for one in models:
                for line in [line for line in one["notices"] if line not in told]:
                    told.append(line)
                    notify(line)
                if one["state"] == "ready":
                    return cast("Mapping[str, Any]", one)
                if one["state"] == "failed":
                    self._end()
                    raise EngineError(one["error"])
            time.sleep(_LOOK_EVERY_S)

    def _end(self) -> None:
        with suppress(OSError):  # it has ended
            os.kill(self.server.pid, signal.SIGTERM)


def _start() -> subprocess.Popen[bytes]:
    """Apart from the terminal and its Ctrl-C; its output goes nowhere, but for the first line."""
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":  # its workers share a console that is not shown
        flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
        apart = {"creationflags": flags}
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    try:
        return subprocess.Popen(
            _COMMAND, stdin=pipe, stdout=pipe, stderr=nowhere, env=safe_environment(), **apart
        )
    except OSError as error:
        raise EngineError(f"no server can be started ({error.strerror})") from error


def _first_line(process: subprocess.Popen[bytes], order: bytes) -> Mapping[str, Any]:
    """What it says to ``order``; it then lives on by itself."""
    questions, answers = cast("BinaryIO", process.stdin), cast("BinaryIO", process.stdout)
    limit = threading.Timer(_START_S, process.kill)
    limit.start()
    try:
        with questions, answers:
            questions.write(order)
            questions.flush()
            told: Mapping[str, Any] = json.loads(answers.readline())
    except (OSError, ValueError) as error:
        process.kill()
        what = f"the server that was started ended with status {process.wait()}"
        raise EngineError(what) from error
    finally:
        limit.cancel()
    return told


def main() -> None:
    telemetry.switch_off()
    orders, answers = own_pipes()

    def say(line: Mapping[str, Any]) -> None:
        with suppress(OSError):  # who started it has left, and may come back
            answers.write(encode(line))
            answers.flush()

    try:
        _serve(**json.loads(orders.readline()), say=say)
    except AipcError as error:
        say({"failed": str(error)})


def _serve(
    model: str,
    exit_idle_s: float,
    loading: dict[str, Any],
    say: Callable[[Mapping[str, Any]], None],
) -> None:
    from aipc.devices.counters.monitor import Monitor
    from aipc.pool.model_registry import ModelRegistry
    from aipc.pool.pool import Pool
    from aipc.serve import server
    from aipc.serve.http.binding import Binding
    from aipc.serve.http.listening import listen

    store = Store()
    registry = ModelRegistry((model,), store)
    pool = Pool(registry, device=loading.pop("device"), loading=loading)
    key = os.urandom(32).hex()  # that nobody is told: this user's programs have the token
    listeners, binding = listen(Binding(port=0, api_key=key, exit_idle_s=exit_idle_s))
    refused: list[str] = []
    with announced(store.servers, binding, refused.append):
        if refused:
            raise EngineError(refused[0])
        say({"pid": os.getpid()})
        monitor, first = Monitor((), store.running), pool.models()[0].name
        server.serve(pool, monitor, listeners, binding, first=first, notify=unheard)


if __name__ == "__main__":
    main()
