"""The first check of a request: only programs and pages that may use this server get past it.

A page of any other site can make a browser send requests to this machine.  It can't choose Host,
Origin, Sec-Fetch-Site or a JSON Content-Type freely, and so those are checked, on every path.
Programs show the operator's key, if there is one, as ``Authorization: Bearer KEY`` or, as
Anthropic's clients do, ``X-Api-Key: KEY``; this user's own show the token of the server's run in
its place, which some paths are only for.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aipc.serve.http.binding import Binding
from aipc.serve.http.errors import REQUEST_ID, error_response
from aipc.serve.http.form import FORM
from aipc.wire.errors import ErrorShape, HTTPError, new_request_id

MAX_BODY = 4 * 2**20
_JSON = "application/json"
MAX_HEADERS = 64
MAX_HEADER_BYTES = 16 * 2**10
_ONCE = (b"host", b"origin", b"authorization", b"x-api-key", b"content-type", b"content-length")
_SAFE = {"GET", "HEAD", "OPTIONS", "TRACE"}
_SECURITY = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; object-src 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_REQUEST_ID_AT_OPENAI = "x-request-id"
_ASKED = (
    *("accept", "accept-language", "authorization", "cache-control", "content-language"),
    *("content-type", "http-referer", "idempotency-key", "last-event-id", "pragma", "user-agent"),
    *("x-api-key", "x-client-request-id", "x-request-id", "x-requested-with", "x-title"),
)
"""Headers that clients of these APIs send, which pages may send only where a preflight says so."""
_ASKED_AS = re.compile("(anthropic|openai|x-stainless)-[a-z0-9-]{1,48}")
"""Those of OpenAI's and Anthropic's own clients."""
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
    "Access-Control-Max-Age": "600",
    "Vary": "Origin, Access-Control-Request-Headers",
}


class Guard:
    """ASGI middleware; a path that ``is_public`` needs no key, one that ``is_own`` the token.

    ``forms`` are the paths to which forms are posted, with their most bytes; others take JSON.
    """

    def __init__(
        self,
        app: ASGIApp,
        binding: Binding,
        is_public: Callable[[str], bool],
        is_own: Callable[[str], bool],
        error_shape: Callable[[Scope], ErrorShape],
        forms: Mapping[str, int],
    ) -> None:
        self._app = app
        self._hosts = binding.hosts()
        self._origins = frozenset(origin.lower() for origin in binding.allowed_origins)
        self._key = binding.api_key
        self._token = binding.token
        self._is_public = is_public
        self._is_own = is_own
        self._error_shape = error_shape
        self._forms = forms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        send = _secured(send, origin if origin.lower() in self._origins else None)
        try:
            response = self._checked(scope, headers)
        except HTTPError as error:
            response = error_response(error, self._error_shape(scope))
        if response is None:
            await self._app(scope, _limited(receive, self._form_bytes(scope) or MAX_BODY), send)
        else:
            await response(scope, receive, send)

    def _checked(self, scope: Scope, headers: Headers) -> Response | None:
        """None lets the request through; a response is all that a preflight gets."""
        _check_size(scope["headers"])
        if headers.get("host", "").lower() not in self._hosts:
            raise HTTPError(421, "this server is not called that; --allow-host adds a name")
        self._check_origin(headers)
        if scope["method"] == "OPTIONS" and "origin" in headers:
            return _preflight(headers)
        self._check_key(scope["path"], headers)
        if scope["method"] not in _SAFE and not _is_bare_delete(scope["method"], headers):
            form_bytes = self._form_bytes(scope)
            _check_content(headers, FORM if form_bytes else _JSON, form_bytes or MAX_BODY)
        return None

    def _form_bytes(self, scope: Scope) -> int:
        """Most bytes of the form that a request has to be; 0 where it has to be JSON."""
        return self._forms.get(scope["path"], 0) if scope["method"] == "POST" else 0

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin is not None and origin.lower() in self._origins:
            return
        if origin is not None and origin.lower() != f"http://{headers['host'].lower()}":
            raise HTTPError(403, "pages of this origin are not allowed; --allow-origin permits one")
        if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            raise HTTPError(403, "pages of other sites are not allowed; --allow-origin permits one")

    def _check_key(self, path: str, headers: Headers) -> None:
        is_own = self._is_own(path)
        if self._is_public(path) or (self._key is None and not is_own):
            return
        keys = [self._token] if self._key is None or is_own else [self._token, self._key]
        shown = [is_shown(key, headers) for key in keys]  # all, in the same time
        if not any(shown):
            raise HTTPError(
                401,
                "the key is missing or wrong; send it as 'Authorization: Bearer KEY', or as "
                "'X-Api-Key: KEY'",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )


def is_shown(key: str, headers: Headers) -> bool:
    """Whether either header has the key; takes the same time whichever does."""
    bearer = is_bearer(key, headers.get("authorization", "").encode("latin-1"))
    shown = headers.get("x-api-key", "").encode("latin-1")
    return hmac.compare_digest(shown, key.encode()) or bearer


def is_bearer(key: str, authorization: bytes) -> bool:
    """Whether a header is ``Bearer KEY``; takes the same time wherever it differs."""
    scheme, _, shown = authorization.partition(b" ")
    is_scheme = scheme.lower() == b"bearer"
    return hmac.compare_digest(shown.strip(), key.encode()) and is_scheme


def _preflight(headers: Headers) -> Response:
    """Permission for the headers that are asked for, as far as clients of these APIs send them."""
    asked = headers.get("access-control-request-headers", "").lower().split(",")
    more = sorted({name.strip() for name in asked if _ASKED_AS.fullmatch(name.strip())})
    own = {"Access-Control-Allow-Headers": ", ".join([*_ASKED, *more])}
    if headers.get("access-control-request-private-network") == "true":
        own["Access-Control-Allow-Private-Network"] = "true"
    return Response(status_code=204, headers={**_PREFLIGHT, **own})


def _check_size(headers: list[tuple[bytes, bytes]]) -> None:
    size = sum(len(name) + len(value) for name, value in headers)
    if len(headers) > MAX_HEADERS or size > MAX_HEADER_BYTES:
        raise HTTPError(
            431, f"more than {MAX_HEADERS} headers, or {MAX_HEADER_BYTES} bytes of them"
        )
    names = [name for name, _ in headers]
    for name in _ONCE:
        if names.count(name) > 1:
            raise HTTPError(400, f"the header {name.decode()} may come once")
    if b"content-length" in names and b"transfer-encoding" in names:  # RFC 9112, 6.1: and close
        message = "a request has Content-Length or Transfer-Encoding, not both"
        raise HTTPError(400, message, code="invalid_http", headers={"Connection": "close"})


def _is_bare_delete(method: str, headers: Headers) -> bool:
    """Nothing to read, and no page of another site can send it without a preflight."""
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    return method == "DELETE" and not has_body


def _check_content(headers: Headers, wanted: str, limit: int) -> None:
    kind, _, parameter = headers.get("content-type", "").partition(";")
    is_utf8 = parameter.strip().lower() in {"", "charset=utf-8", 'charset="utf-8"'}
    if kind.strip().lower() != wanted or not (is_utf8 or wanted == FORM):
        raise HTTPError(415, f"the body has to come as 'Content-Type: {wanted}'")
    if headers.get("content-encoding", "identity") != "identity":
        raise HTTPError(415, "a compressed body is not taken")
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > limit:
        raise _too_large(limit)


def _limited(receive: Receive, limit: int) -> Receive:
    """Counts a body that came without its length."""
    size = 0

    async def receive_counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise _too_large(limit)
        return message

    return receive_counted


def _too_large(limit: int) -> HTTPError:
    return HTTPError(
        413, f"the body is larger than {limit:,} bytes", headers={"Connection": "close"}
    )


def _secured(send: Send, origin: str | None) -> Send:
    """Adds the headers that every response has, and those that let ``origin`` read it."""
    own = {}
    if origin:
        own = {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": "*"}

    async def send_secured(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if REQUEST_ID not in headers:
                headers[REQUEST_ID] = new_request_id()
            headers[_REQUEST_ID_AT_OPENAI] = headers[REQUEST_ID]
            for name, value in {**_SECURITY, **own}.items():
                headers.setdefault(name, value)
            if origin:
                headers.add_vary_header("Origin")
        await send(message)

    return send_secured
