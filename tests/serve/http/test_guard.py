"""A web page, a rebound name and a stranger are kept out on every path there is."""

from __future__ import annotations

import pytest
from starlette.routing import Mount

from aipc.serve.announcement import LOADED, PROOF
from aipc.serve.http.guard import is_bearer

KEY = "a-key-that-nobody-guesses"

# Changed headers, and the status that they get on every path.
ATTACKS = {
    "rebound name": ({"Host": "evil.example:{port}"}, 421),
    "name without port": ({"Host": "127.0.0.1"}, 421),
    "other port": ({"Host": "127.0.0.1:1"}, 421),
    "name with a suffix": ({"Host": "localhost.evil.example:{port}"}, 421),
    "any address": ({"Host": "0.0.0.0:{port}"}, 421),
    "foreign origin": ({"Origin": "https://evil.example"}, 403),
    "origin null": ({"Origin": "null"}, 403),
    "origin of another port": ({"Origin": "http://127.0.0.1:1"}, 403),
    "origin over tls": ({"Origin": "https://127.0.0.1:{port}"}, 403),
    "another of our names": ({"Origin": "http://localhost:{port}"}, 403),
    "cross-site": ({"Sec-Fetch-Site": "cross-site"}, 403),
    "same-site": ({"Sec-Fetch-Site": "same-site"}, 403),
    "too many headers": ({f"X-{n}": "1" for n in range(70)}, 431),
    "headers too long": ({"X-Long": "1" * 20_000}, 431),
}
CONTENT_TYPES = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json; charset=utf-16",
    "application/jsonp",
    "text/plain; application/json",
    "",
)


@pytest.fixture(scope="module")
def paths(server):
    """(method, path) of every path that the application knows, and some that it doesn't."""
    known = []
    for route in _router(server).routes:
        methods = {"GET"} if isinstance(route, Mount) else route.methods - {"HEAD"}
        (method,) = methods
        path = f"{route.path}/app.js" if isinstance(route, Mount) else route.path
        known.append((method, path.replace("{model:path}", "fake").replace("{nonce}", "0" * 64)))
    assert len(known) >= 15
    return [*known, ("GET", "/none"), ("POST", "/none"), ("POST", "/"), ("GET", "/v1")]


def _router(server):
    guard = server.server.app._app._app
    return guard._app._app


def is_refusal(body):
    """Whether it says why, in the shape of OpenAI, Anthropic or Ollama."""
    error = body["error"]
    kinds = {"invalid_request_error", "permission_error"}
    return bool(error) if isinstance(error, str) else error["type"] in kinds


def filled(headers, server):
    return {name: value.format(port=server.binding.port) for name, value in headers.items()}


@pytest.mark.parametrize(("headers", "status"), ATTACKS.values(), ids=ATTACKS)
def test_every_path_refuses(client, server, paths, headers, status):
    for method, path in paths:
        response = client.request(
            method, path, headers=filled(headers, server), json=None if method == "GET" else {}
        )
        assert (path, response.status_code) == (path, status)
        assert is_refusal(response.json())
        assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
def test_a_form_or_a_text_is_no_question(client, paths, content_type):
    headers = {"Content-Type": content_type}
    for method, path in {(method, path) for method, path in paths if method != "GET"}:
        response = client.request(method, path, headers=headers, content=b'{"model": "fake"}')
        is_form = (method, path) == ("POST", "/v1/files") and "form-data" in content_type
        assert (path, response.status_code) == (path, 400 if is_form else 415)


def test_a_preflight_of_a_stranger_gets_no_permission(client, paths):
    for _, path in paths:
        headers = {
            "Origin": "https://evil.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        }
        response = client.options(path, headers=headers)
        assert response.status_code == 403
        assert not [name for name in response.headers if name.startswith("access-control")]


def test_our_own_page_and_programs_pass(client, server):
    own = server.url
    for headers in (
        {},
        {"Origin": own, "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Host": f"localhost:{server.binding.port}"},
        {"Host": f"LOCALHOST:{server.binding.port}"},
    ):
        assert client.get("/v1/models", headers=headers).status_code == 200


def test_every_response_tells_browsers_to_be_careful(client, paths):
    for method, path in paths:
        headers = client.request(method, path, json=None if method == "GET" else {}).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers


def test_a_large_body_is_refused_with_and_without_its_length(client):
    large = b'{"model": "' + b"x" * (4 * 2**20) + b'"}'
    headers = {"Content-Type": "application/json"}
    for body in (large, iter([large[:100], large[100:]])):
        response = client.post("/v1/chat/completions", content=body, headers=headers)
        assert response.status_code == 413


def test_a_compressed_body_is_refused(client):
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert client.post("/v1/completions", content=b"x", headers=headers).status_code == 415


def test_other_methods_are_refused(client, paths):
    for method, path in paths:
        for other in {"DELETE", "PUT", "PATCH", "TRACE"} - {method}:
            response = client.request(other, path, json=None if other == "TRACE" else {})
            assert response.status_code in ({401} if path == LOADED else {404, 405})
            assert is_refusal(response.json())


def test_a_key_is_asked_for_on_every_path_but_the_page_and_health(serve_fakes, paths):
    server = serve_fakes(api_key=KEY)
    for_all = {"/", "/health", "/page/app.js", f"{PROOF}{'0' * 64}"}
    with server.client() as client:
        for method, path in paths:
            for shown in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": KEY}):
                json = None if method == "GET" else {}
                response = client.request(method, path, headers=shown, json=json)
                assert (path, response.status_code == 401) == (path, path not in for_all)
        response = client.get("/v1/models")
        assert response.json()["error"]["code"] == "invalid_api_key"
    with server.client(Authorization=f"Bearer {KEY}") as client:
        assert client.get("/v1/models").status_code == 200


def test_the_token_of_the_run_counts_as_a_key_and_is_the_only_one_for_its_own_path(serve_fakes):
    for key in (None, KEY):
        server = serve_fakes(api_key=key)
        token = server.binding.token
        with server.client() as client:

            def get(path, shown, client=client):
                headers = {"Authorization": f"Bearer {shown}"}
                return client.get(path, headers=headers).status_code

            assert get("/v1/models", token) == 200
            assert get(LOADED, token) == 200
            for wrong in (KEY, token[:-1], token.upper(), "none"):
                assert get(LOADED, wrong) == 401
            assert client.get(LOADED).status_code == 401
            assert get("/v1/models", "wrong") == (401 if key else 200)
            own = {"Authorization": f"Bearer {token}"}
            for more, status in (({"Host": "evil.example"}, 421), ({"Origin": "null"}, 403)):
                assert client.get(LOADED, headers={**own, **more}).status_code == status


def test_a_name_and_a_page_that_were_allowed_pass(serve_fakes):
    page = "https://page.example"
    server = serve_fakes(allowed_hosts=("pc.example",), allowed_origins=(page,))
    with server.client(Host=f"pc.example:{server.binding.port}") as client:
        cross = {"Origin": page, "Sec-Fetch-Site": "cross-site"}
        response = client.get("/v1/models", headers=cross)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == page
        preflight = client.options("/v1/chat/completions", headers=cross)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == page
        stranger = client.get("/v1/models", headers={"Origin": "https://page.example.evil"})
        assert stranger.status_code == 403


APPS = ("tauri://localhost", "app://obsidian.md", "chrome-extension://abcdef")
ASKED = (
    "authorization,anthropic-beta,anthropic-dangerous-direct-browser-access,anthropic-version,"
    "content-type,http-referer,openai-organization,openai-project,user-agent,x-api-key,"
    "x-stainless-arch,x-stainless-helper-method,x-stainless-lang,x-stainless-retry-count,x-title"
)


def test_a_preflight_permits_what_the_clients_of_these_apis_send(serve_fakes):
    server = serve_fakes(allowed_origins=APPS)
    headers = {"Access-Control-Request-Method": "POST"}
    headers["Access-Control-Request-Headers"] = f"{ASKED},x-evil,x-stainless-%0a,cookie"
    with server.client(**headers) as client:
        for app in APPS:
            told = client.options("/v1/messages", headers={"Origin": app}).headers
            permitted = told["access-control-allow-headers"].split(", ")
            assert {*ASKED.split(",")} <= {*permitted}
            assert not {"x-evil", "x-stainless-%0a", "cookie", "*"} & {*permitted}
            assert told["access-control-allow-methods"] == "GET, POST, DELETE"
            assert told["access-control-allow-origin"] == app
            assert "access-control-allow-credentials" not in told
        for other in ("tauri://localhost.evil", "app://obsidian", "chrome-extension://abcdeg"):
            assert client.options("/v1/messages", headers={"Origin": other}).status_code == 403


def test_a_page_that_was_allowed_reads_what_a_response_says_of_itself(serve_fakes):
    server = serve_fakes(allowed_origins=APPS)
    with server.client(Origin=APPS[0]) as client:
        for path in ("/v1/models", "/none"):
            headers = client.get(path).headers
            assert headers["access-control-expose-headers"] == "*"
            assert headers["vary"] == "Origin"


def test_every_response_has_a_number_of_its_own(client, paths):
    numbers = []
    for method, path in paths:
        headers = client.request(method, path, json=None if method == "GET" else {}).headers
        assert headers["x-request-id"] == headers["request-id"]
        numbers.append(headers["x-request-id"])
    numbers.append(client.get("/health", headers={"Host": "evil.example"}).headers["request-id"])
    assert len({*numbers}) == len(numbers)


def test_a_key_may_come_as_anthropics_clients_send_it(serve_fakes):
    server = serve_fakes(api_key=KEY)
    with server.client() as client:
        for shown, status in (
            ({"X-Api-Key": KEY}, 200),
            ({"X-Api-Key": KEY, "Authorization": "Bearer none"}, 200),
            ({"X-Api-Key": "none", "Authorization": f"Bearer {KEY}"}, 200),
            ({"X-Api-Key": f"Bearer {KEY}"}, 401),
            ({"X-Api-Key": KEY[:-1]}, 401),
            ({"X-Api-Key": "schlüssel".encode()}, 401),
        ):
            assert client.get("/v1/models", headers=shown).status_code == status
        assert client.get(LOADED, headers={"X-Api-Key": KEY}).status_code == 401
        twice = [("X-Api-Key", KEY), ("X-Api-Key", "none")]
        assert client.get("/v1/models", headers=twice).status_code == 400


def test_only_the_whole_key_as_a_bearer_counts():
    assert is_bearer(KEY, b"Bearer " + KEY.encode())
    assert is_bearer(KEY, b"bearer  " + KEY.encode())
    for wrong in (
        b"",
        b"Bearer",
        KEY.encode(),
        b"Basic " + KEY.encode(),
        b"Bearer " + KEY[:-1].encode(),
    ):
        assert not is_bearer(KEY, wrong)
