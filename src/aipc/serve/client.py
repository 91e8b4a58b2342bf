"""A running server's model, used like a session of this process."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from aipc.errors import AipcError, EngineError, PromptTooLong, UsageError
from aipc.generate import Answerer, Event, Finished, Prompt, Text, Thinking, Timings, Usage
from aipc.progress import Notify
from aipc.timing_spans import TimingSpan

CONNECT_S = 2.0
_ANSWER_S = 600.0
_LONGEST = 1 << 24
_BAD_REQUEST = range(400, 500)
_BROKEN = (OSError, http.client.HTTPException)


class NotServed(AipcError):
    """No server answers, or the model is not ready on it."""


class RemoteServer:
    """A server at ``url``; each request to it has a connection of its own.

    A proxy from the environment is not asked: none leads to this machine.
    """

    def __init__(self, url: str, key: str | None = None, connect_s: float = CONNECT_S) -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._connect_s = connect_s

    def open(self) -> http.client.HTTPConnection:
        """A connection to it.

        Raises:
            NotServed: nobody takes it.
        """
        try:
            connection = _connection(self.url, self._connect_s)
            connection.connect()
        except (*_BROKEN, ValueError) as error:
            raise NotServed(f"no server answers at {self.url}") from error
        connection.auto_open = 0  # what is open is the server's; what is opened again may not be
        return connection

    def get(
        self, connection: http.client.HTTPConnection, path: str, *, shows_key: bool = True
    ) -> Any:
        """The JSON at ``path``; None where the response is none.

        Raises:
            NotServed: the connection ends or takes too long.
            AipcError: the error that the server answers.
        """
        try:
            connection.request("GET", path, headers=self._headers if shows_key else {})
            with connection.getresponse() as response:
                body = response.read(_LONGEST)
        except _BROKEN as error:
            raise NotServed(f"no server answers at {self.url}") from error
        if response.status >= _BAD_REQUEST.start:
            raise _error(response.status, _error_body(response.status, body))
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            return None

    def post(
        self, connection: http.client.HTTPConnection, path: str, body: Mapping[str, Any]
    ) -> http.client.HTTPResponse:
        """The response, of which the headers are there.

        Raises:
            OSError: the connection's; so does `http.client.HTTPException`.
            AipcError: the error that the server answers.
        """
        if connection.sock is not None:
            connection.sock.settimeout(_ANSWER_S)
        headers = {"Content-Type": "application/json", **self._headers}
        connection.request("POST", path, json.dumps(body).encode(), headers)
        response = connection.getresponse()
        if response.status >= _BAD_REQUEST.start:
            raise _error(response.status, _error_body(response.status, response.read()))
        return response


def connect(
    url: str, model: str, device: str, *, key: str | None = None, notify: Notify
) -> RemoteSession:
    """A session whose model the server at ``url`` has ready on ``device`` ("auto": on any).

    Raises:
        NotServed: the model is not ready there, or no server answers.
        UsageError: the server refuses the key, or needs one.
    """
    server = RemoteServer(url, key)
    connection = server.open()
    try:
        state = _ready_state(server.get(connection, "/v1/models"), url, model, device)
    finally:
        connection.close()
    facts = {"model": model, "device": state["device"], "runtime": state["runtime"], "server": url}
    return RemoteSession(
        server, model, state["device"], facts, context=state["context"], notify=notify
    )


class RemoteSession(Answerer):
    """The part of a `Session` that `aipc run` and `aipc chat` use, on a server.

    ``model`` and ``device`` are what requests ask for; no device is the server's own choice.
    """

    stages: tuple[TimingSpan, ...] = ()
    """Where the time went until it could be asked: nothing was loaded here."""

    def __init__(
        self,
        server: RemoteServer,
        model: str,
        device: str | None,
        facts: Mapping[str, Any],
        *,
        context: int,
        notify: Notify,
    ) -> None:
        self._server = server
        self._asked = {"model": model, "device": device}
        self._notify = notify
        self.facts = facts
        self.context = context

    @property
    def is_reached(self) -> bool:
        """Whether its server is still there."""
        try:
            self._server.open().close()
        except NotServed:
            return False
        return True

    def stream(
        self,
        prompt: Prompt,
        *,
        stop: Sequence[str] = (),
        schema: Mapping[str, Any] | None = None,
        repetition_detection: Mapping[str, int] | None = None,
        template_options: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> RemoteStream:
        """As `aipc.session.session.Session.stream`; ``more`` are sampling and thinking.

        Raises:
            AipcError: from the iteration, as the server sends it.
        """
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        wanted = {"name": "answer", "schema": schema, "strict": True}
        form = {"type": "json_schema", "json_schema": wanted}
        body: dict[str, Any] = {
            **self._asked,
            "messages": list(messages),
            "stop": list(stop) or None,
            "max_tokens": more.pop("max_new_tokens", None),
            "response_format": None if schema is None else form,
            "repetition_detection": repetition_detection,
            "chat_template_kwargs": template_options or None,
            **more,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_token_ids": True,
        }
        given = {name: value for name, value in body.items() if value is not None}
        return RemoteStream(self._server, given, self._notify)

    def close(self) -> None:
        """Nothing is held between two answers."""


class RemoteStream(Iterator[Event]):
    """One answer's events.  `close` ends it, here and on the server; so does `cancel`."""

    def __init__(self, server: RemoteServer, body: Mapping[str, Any], notify: Notify) -> None:
        self._cancelled = threading.Event()
        self._reason: Any = None
        self._usage = Usage(0, 0)
        self._clock = _AnswerClock()
        self._events = self._read(server, body, notify)

    def __next__(self) -> Event:
        return next(self._events)

    def cancel(self) -> None:
        """End it at the next token, from any thread."""
        self._cancelled.set()

    def close(self) -> None:
        self._events.close()

    def _read(
        self, server: RemoteServer, body: Mapping[str, Any], notify: Notify
    ) -> Generator[Event, None, None]:
        self._clock.start()
        connection = server.open()
        try:
            with server.post(connection, "/v1/chat/completions", body) as response:
                for line in response:
                    if line.startswith(b": waiting"):
                        notify(f"[waiting, place {line.split()[-1].decode()}]")
                    elif line.startswith(b"data: {"):
                        yield from self._texts(json.loads(line.removeprefix(b"data: ")))
                    if self._cancelled.is_set():
                        break
        except _BROKEN as error:
            what = "the connection to the server ended before the answer was whole"
            raise EngineError(what, "see that it runs, and ask again") from error
        finally:
            connection.close()
        reason: Any = "cancelled" if self._cancelled.is_set() else self._reason
        if reason is None:
            raise EngineError("the server stopped before the answer was whole", "ask again")
        yield Finished(reason, self._usage, self._clock.timings(self._usage))

    def _texts(self, chunk: Mapping[str, Any]) -> Iterator[Text | Thinking]:
        """The texts of a chunk; notes when the first came, the finish reason and usage."""
        if "error" in chunk:
            raise _error(500, chunk["error"])
        for choice in chunk["choices"]:
            self._clock.note_token()
            looped = choice.get("stop_reason") == "repetition_detected"
            self._reason = "repetition" if looped else choice["finish_reason"]
            text, tokens = choice["delta"].get("content"), tuple(choice.get("token_ids", ()))
            thinking = choice["delta"].get("reasoning_content")
            if thinking is not None:
                yield Thinking(thinking, tokens)
            elif text or tokens:
                yield Text(text or "", tokens)
        if chunk.get("usage"):
            usage = chunk["usage"]
            details = usage.get("completion_tokens_details") or {}
            thought = details.get("reasoning_tokens", 0)
            self._usage = Usage(usage["prompt_tokens"], usage["completion_tokens"], thought)


class _AnswerClock:
    """When an answer began, had its first token, and ended, as its reader saw it."""

    def __init__(self) -> None:
        self._started = 0.0
        self._first: float | None = None

    def start(self) -> None:
        self._started = time.perf_counter()

    def note_token(self) -> None:
        if self._first is None:
            self._first = time.perf_counter()

    def timings(self, usage: Usage) -> Timings:
        ended, further = time.perf_counter(), usage.completion_tokens - 1
        if self._first is None:
            return Timings(None, None, ended - self._started)
        rate = further / (ended - self._first) if further > 0 else None
        return Timings(self._first - self._started, rate, ended - self._started)


def _connection(url: str, timeout_s: float) -> http.client.HTTPConnection:
    """Not connected yet; a path in ``url`` has no meaning."""
    parts = urlsplit(url)
    kinds: dict[str, Callable[..., http.client.HTTPConnection]] = {
        "http": http.client.HTTPConnection,
        "https": http.client.HTTPSConnection,
    }
    if parts.scheme not in kinds or not parts.hostname:
        raise ValueError(f"'{url}' is no address")
    return kinds[parts.scheme](parts.hostname, parts.port, timeout=timeout_s)


def _ready_state(listed: Any, url: str, model: str, device: str) -> Mapping[str, Any]:
    try:
        states = {one["id"]: one["aipc"] for one in listed["data"]}
    except (KeyError, TypeError) as error:
        raise NotServed(f"what answers at {url} is no aipc server") from error
    state: Mapping[str, Any] = states.get(model, {"state": "unknown"})
    if state["state"] != "ready":
        raise NotServed(f"the server at {url} has not '{model}' ready ({state['state']})")
    if device not in {"auto", state["device"]}:
        raise NotServed(f"the server at {url} has '{model}' on {state['device']}, not on {device}")
    return state


def _error_body(status: int, body: bytes) -> Mapping[str, Any]:
    try:
        error = json.loads(body)["error"]
        return {"message": str(error["message"]), "code": error["code"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {"message": f"the server answered {status}", "code": None}


def _error(status: int, body: Mapping[str, Any]) -> AipcError:
    if body["code"] == "invalid_api_key":
        return UsageError("the server asks for a key", "set AIPC_API_KEY to it")
    if body["code"] == "context_length_exceeded":
        return PromptTooLong(body["message"])
    kind = UsageError if status in _BAD_REQUEST else EngineError
    return kind(body["message"])
