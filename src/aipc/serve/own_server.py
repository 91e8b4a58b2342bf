"""A running server of this user, found in the store, and whether its model is the one wanted."""

from __future__ import annotations

import hmac
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import aipc
from aipc.errors import AipcError
from aipc.progress import Notify
from aipc.serve.announcement import (
    LOADED,
    PROOF,
    Announcement,
    proof,
    read_announcements,
    remove,
)
from aipc.serve.client import NotServed, RemoteServer, RemoteSession

_LOOK_S = 0.5
"""That looking for a server may cost, all servers together."""
_ASK_S = 5.0
"""That a server whose model is used may take to show itself: it may be busy."""
_GIVEN = {
    "properties": "other properties",
    "npu": "other options of the NPU",
    "overflow": "another --overflow",
}
_ALWAYS = {"recipe": "another recipe", "emulate": "another choice of --emulate"}
_OF_ITS_OWN_ANSWERS = {"seen", "load_s"}


@dataclass(frozen=True)
class WantedModel:
    """A model, and how it would be loaded here, as plain data for JSON."""

    source: str
    """`aipc.models.source`'s name of what it is made from."""
    label: str
    """For people."""
    loading: Mapping[str, Any]
    """The arguments of `aipc.load`: device, runtime, properties, npu, recipe and so on."""

    def objection(self, loaded: Mapping[str, Any]) -> str:
        """Why a `LoadedModel` can't answer in its place; empty: it can.

        What was given here has to be as it is there; what was not is the server's own choice,
        except that another recipe, or an emulated device, would be another model.
        """
        wanted, asked, facts = self.loading, loaded["asked"], loaded["facts"]
        device, runtime = str(facts.get("device", "")).lower(), facts.get("runtime")
        if wanted["device"] not in {"auto", device, asked["device"]}:
            return f"is on {device}, not on {wanted['device']}"
        if wanted["runtime"] not in {"auto", runtime}:
            return f"runs through {runtime}, not through {wanted['runtime']}"
        differing = [what for name, what in _GIVEN.items() if _differs(name, wanted, asked)]
        differing += [
            what
            for name, what in _ALWAYS.items()
            if (wanted[name] or None) != (asked.get(name) or None)
        ]
        if wanted["canary"] and not asked.get("canary", True):
            differing.append("another choice of --canary")
        return f"was loaded with {differing[0]}" if differing else ""


class OwnServer(RemoteServer):
    """An announced server, which proves on each connection that it is that before it is asked."""

    def __init__(self, about: Announcement, limit_s: float = _ASK_S) -> None:
        super().__init__(about.url, about.token, limit_s)
        self.pid = about.pid
        self._token = about.token
        self._limit_s = limit_s

    def open(self) -> HTTPConnection:
        """A connection to it.

        Raises:
            NotServed: nobody takes it, or what does has not shown within the limit that it
                knows the token; it has got neither token nor prompt.
        """
        started = time.monotonic()
        connection = super().open()
        try:
            with _ended_after(self._limit_s - (time.monotonic() - started), connection):
                self._prove(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def loaded(self) -> Mapping[str, Any]:
        """What it has loaded: a `Loaded`.

        Raises:
            NotServed: as `open`, or it takes too long.
        """
        started = time.monotonic()
        connection = self.open()
        try:
            with _ended_after(self._limit_s - (time.monotonic() - started), connection):
                told: Mapping[str, Any] = self.get(connection, LOADED)
        finally:
            connection.close()
        return told

    def session(
        self, loaded: Mapping[str, Any], wanted: WantedModel, notify: Notify
    ) -> RemoteSession:
        """The session of a `LoadedModel` of it that is ready."""
        facts = {k: v for k, v in loaded["facts"].items() if k not in _OF_ITS_OWN_ANSWERS}
        facts["asked"] = {name: wanted.loading[name] for name in ("device", "runtime")}
        facts["server"] = self.url
        return RemoteSession(
            self,
            loaded["model"],
            loaded["device"],
            facts,
            context=loaded["context"],
            notify=notify,
        )

    def _prove(self, connection: HTTPConnection) -> None:
        nonce = os.urandom(32).hex()
        what = f"no server of this user answers at {self.url}"
        try:
            host, port = connection.sock.getpeername()[:2]
            told = self.get(connection, f"{PROOF}{nonce}", shows_key=False)
        except (AipcError, OSError) as error:
            raise NotServed(what) from error
        shown = str(told.get("proof")) if isinstance(told, dict) else ""
        wanted = proof(self._token, nonce, (host, port))
        if not shown.isascii() or not hmac.compare_digest(shown, wanted):
            raise NotServed(what)


def find(folder: Path, wanted: WantedModel, notify: Notify) -> tuple[OwnServer, Mapping[str, Any]]:
    """A server that has the model ready; its `LoadedModel`, with the server's ``exit_idle_s``.

    Raises:
        NotServed: there is none, and why.
    """
    ends = time.monotonic() + _LOOK_S
    reason: AipcError = NotServed("no `aipc serve` of yours runs")
    for about in read_announcements(folder, notify):
        left_s = ends - time.monotonic()
        if left_s <= 0:
            break
        try:
            loaded = _ready(about, OwnServer(about, left_s).loaded(), wanted)
        except AipcError as error:
            reason = error
            if isinstance(error.__cause__, ConnectionRefusedError):
                remove(folder, about)  # it listened before it was announced
        else:
            return OwnServer(about), loaded
    raise NotServed(str(reason)) from reason


def _ready(about: Announcement, told: Mapping[str, Any], wanted: WantedModel) -> Mapping[str, Any]:
    """What `find` gives of the model; raises NotServed."""
    where = f"the server (pid {about.pid})"
    if about.version != aipc.__version__:
        raise NotServed(f"{where} is of aipc {about.version}")
    reason = f"{where} has not '{wanted.label}' ready"
    for one in told["models"]:
        if one["source"] == wanted.source and one["state"] == "ready":
            objection = wanted.objection(one)
            if not objection:
                return {**one, "exit_idle_s": told["exit_idle_s"]}
            reason = f"'{wanted.label}' of {where} {objection}"
    raise NotServed(reason)


def _differs(name: str, wanted: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    return bool(wanted[name]) and wanted[name] != asked.get(name)


@contextmanager
def _ended_after(limit_s: float, connection: HTTPConnection) -> Iterator[None]:
    """The connection ends after ``limit_s``; its own limit begins anew with every byte."""
    link = connection.sock

    def end() -> None:
        with suppress(OSError):  # it has ended already
            link.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(limit_s, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
