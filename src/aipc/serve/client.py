"""A running server's model, used like a session of this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aipc.errors import AipcError, EngineError, PromptTooLong, UsageError
from aipc.generate import Answerer, Event, Finished, Prompt, Text, Timings, Usage
from aipc.progress import Notify
from aipc.timing_spans import TimingSpan

if TYPE_CHECKING:
    import httpx2


_CONNECT_S = 2.0
_ANSWER_S = 600.0
_BAD_REQUEST = range(400, 500)


class NotServed(AipcError):
    """No server answers, or the model is not ready on it."""


def connect(
    url: str, model: str, device: str, *, key: str | None = None, notify: Notify
) -> RemoteSession:
    """A session whose model the server at ``url`` has ready on ``device`` ("auto": on any).

    Raises:
        NotServed: the model is not ready there, or no server answers.
        UsageError: the server refuses the key, or needs one.
    """
    import httpx2

    client = httpx2.Client(
        base_url=url,
        headers={"Authorization": f"Bearer {key}"} if key else {},
        timeout=httpx2.Timeout(_ANSWER_S, connect=_CONNECT_S),
        trust_env=False,  # a proxy from the environment does not lead to this machine
    )
    try:
        state = _ready_state(client, url, model, device)
    except BaseException:
        client.close()
        raise
    facts = {"model": model, "device": state["device"], "runtime": state["runtime"], "server": url}
    return RemoteSession(client, facts, state["context"], notify)


class RemoteSession(Answerer):
    """The part of a `Session` that `aipc run` and `aipc chat` use, on a server."""

    stages: tuple[TimingSpan, ...] = ()
    """Nothing was loaded."""

    def __init__(
        self, client: httpx2.Client, facts: Mapping[str, Any], context: int, notify: Notify
    ) -> None:
        self._client = client
        self._notify = notify
        self.facts = facts
        self.context = context

    def stream(
        self,
        prompt: Prompt,
        *,
        stop: Sequence[str] = (),
        schema: Mapping[str, Any] | None = None,
        **sampling: Any,
    ) -> RemoteStream:
        """As `aipc.session.session.Session.stream`; its events have no token ids.

        Raises:
            AipcError: from the iteration, as the server sends it.
        """
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        body: dict[str, Any] = {
            "model": self.facts["model"],
            "device": self.facts["device"],
            "messages": list(messages),
            "stop": list(stop) or None,
            "max_tokens": sampling.pop("max_new_tokens", None),
            "response_format": None if schema is None else form,
            **sampling,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return RemoteStream(self._client, body, self._notify)

    def close(self) -> None:
        self._client.close()


class RemoteStream(Iterator[Event]):
    """One answer's events.  `close` ends it, here and on the server; so does `cancel`."""

    def __init__(self, client: httpx2.Client, body: Mapping[str, Any], notify: Notify) -> None:
        self._cancelled = threading.Event()
        self._reason: Any = None
        self._usage = Usage(0, 0)
        self._timings = Timings(None, None, 0.0)
        body = {name: value for name, value in body.items() if value is not None}
        self._events = self._read(client, body, notify)

    def __next__(self) -> Event:
        return next(self._events)

    def cancel(self) -> None:
        """End it at the next token, from any thread."""
        self._cancelled.set()

    def close(self) -> None:
        self._events.close()

    def _read(
        self, client: httpx2.Client, body: Mapping[str, Any], notify: Notify
    ) -> Generator[Event, None, None]:
        import httpx2

        try:
            with client.stream("POST", "/v1/chat/completions", json=body) as response:
                if response.is_error:
                    response.read()
                    raise _error(response.status_code, _error_body(response))
                for line in response.iter_lines():
                    if line.startswith(": waiting"):
                        notify(f"[waiting, place {line.split()[-1]}]")
                    elif line.startswith("data: {"):
                        yield from self._texts(json.loads(line.removeprefix("data: ")))
                    if self._cancelled.is_set():
                        break
        except httpx2.TransportError as error:
            what = "the connection to the server ended before the answer was whole"
            raise EngineError(what, "see that it runs, and ask again") from error
        reason: Any = "cancelled" if self._cancelled.is_set() else self._reason
        if reason is None:
            raise EngineError("the server stopped before the answer was whole", "ask again")
        yield Finished(reason, self._usage, self._timings)

    def _texts(self, chunk: Mapping[str, Any]) -> Iterator[Text]:
        """The texts of a chunk; notes its finish reason, usage and timings."""
        if "error" in chunk:
            raise _error(500, chunk["error"])
        for choice in chunk["choices"]:
            self._reason = choice["finish_reason"]
            text = choice["delta"].get("content")
            if text:
                yield Text(text, ())
        if chunk.get("usage"):
            usage = chunk["usage"]
            self._usage = Usage(usage["prompt_tokens"], usage["completion_tokens"])
            self._timings = Timings(**chunk["timings"])


def _ready_state(client: httpx2.Client, url: str, model: str, device: str) -> Mapping[str, Any]:
    import httpx2

    try:
        response = client.get("/v1/models")
    except (httpx2.TransportError, httpx2.InvalidURL) as error:
        raise NotServed(f"no server answers at {url}") from error
    if response.is_error:
        raise _error(response.status_code, _error_body(response))
    try:
        states = {one["id"]: one["aipc"] for one in response.json()["data"]}
    except (ValueError, KeyError, TypeError) as error:
        raise NotServed(f"what answers at {url} is no aipc server") from error
    state: Mapping[str, Any] = states.get(model, {"state": "unknown"})
    if state["state"] != "ready":
        raise NotServed(f"the server at {url} has not '{model}' ready ({state['state']})")
    if device not in {"auto", state["device"]}:
        raise NotServed(f"the server at {url} has '{model}' on {state['device']}, not on {device}")
    return state


def _error_body(response: httpx2.Response) -> Mapping[str, Any]:
    try:
        error: Mapping[str, Any] = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return {"message": f"the server answered {response.status_code}", "code": None}
    return error


def _error(status: int, body: Mapping[str, Any]) -> AipcError:
    if body["code"] == "invalid_api_key":
        return UsageError("the server asks for a key", "set AIPC_API_KEY to it")
    if body["code"] == "context_length_exceeded":
        return PromptTooLong(body["message"])
    kind = UsageError if status in _BAD_REQUEST else EngineError
    return kind(body["message"])
