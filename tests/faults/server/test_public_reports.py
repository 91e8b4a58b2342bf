"""What crashed, blocked or wedged other servers over HTTP since 2025, tried here.

Each case names where it was reported.  None of them is answered with a 5xx, and normal requests are
answered between them.
"""

from __future__ import annotations

import sys

import httpx2
import processes
import pytest

MODEL = "smollm2-135m"
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
ASKED = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
PROMPTED = {"model": MODEL, "prompt": "Hi", "max_tokens": 2}

SAMPLING = "https://github.com/ggml-org/llama.cpp/issues/19367"
"""llama-server ended by sampling parameters that nobody had checked."""
TOKENS = "https://github.com/ggml-org/llama.cpp/issues/12178"
"""llama-server ended by a prompt of token ids that the vocabulary has not."""
PATTERNS = "https://github.com/vllm-project/vllm/issues/19270"
"""vLLM's engine ended by an expression that is none; by a tool's too: CVE-2025-48944."""
CHOICES = "https://njalla.io/medium-security-advisory-vllm-unauthenticated-oom/"
"""vLLM's memory and event loop taken by an ``n`` without a bound."""
TEMPLATES = "https://nvd.nist.gov/vuln/detail/CVE-2025-62426"
"""vLLM's event loop blocked by ``chat_template_kwargs`` that reached more than the template."""
NAMES = "https://nvd.nist.gov/vuln/detail/CVE-2025-1975"
"""Ollama ended by what /api/pull was told to fetch, and earlier led out of its folder by a name."""
LONG = "https://github.com/ggml-org/llama.cpp/issues/27427"
"""llama-server ended by a question of 50 KB; llamafile by one of line breaks alone (issue 835).

Those here are longer than the context.
"""


def tool(**schema) -> dict:
    function = {"name": "x", "parameters": {"type": "object", "properties": {"a": schema}}}
    return {"tools": [{"type": "function", "function": function}], "tool_choice": "required"}


def shape(**schema) -> dict:
    wanted = {"name": "x", "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": wanted}}


CASES = [
    *(
        (SAMPLING, path, {**body, **odd})
        for path, body in ((CHAT, ASKED), (TEXT, PROMPTED))
        for odd in (
            {"temperature": 999999.0, "top_p": -1.0, "repetition_penalty": 0.0},
            {"temperature": 1e308},
            {"temperature": -1},
            {"top_k": -(2**40)},
            {"min_p": 2**62},
            {"max_tokens": -(2**31)},
            {"seed": -(2**63)},
            {"logit_bias": {"-1": 100}},
            {"logit_bias": {str(2**40): -100}},
        )
    ),
    *(
        (TOKENS, TEXT, {**PROMPTED, "prompt": prompt})
        for prompt in ([-1], [2**31], [2**62], [49_152], [[-5], [1]], [], [[]], [1.5], "", [""])
    ),
    *(
        (PATTERNS, CHAT, {**ASKED, **more})
        for pattern in ("foo**", "(", "[z-a]", "\\", "(?<=a)b", "\\p{Nope}", "a{2,1}")
        for more in (
            shape(type="string", pattern=pattern),
            tool(type="string", pattern=pattern),
        )
    ),
    *(
        (PATTERNS, CHAT, {**ASKED, **more})
        for more in (tool(type="nonsense"), tool(type=7), tool(pattern=3), shape(type=["x"]))
    ),
    *(
        (CHOICES, path, {**body, **many})
        for path, body in ((CHAT, ASKED), (TEXT, PROMPTED))
        for many in ({"n": 10**6}, {"n": 2**62}, {"best_of": 10**6}, {"logprobs": 10**6})
    ),
    *(
        (TEMPLATES, CHAT, {**ASKED, "chat_template_kwargs": more})
        for more in (
            {"tokenize": True},
            {"chat_template": "{% for a in range(10**9) %}{{ a }}{% endfor %}"},
            {"messages": "x" * 10**6},
            {"conversation": []},
            {"add_generation_prompt": {}},
            {"return_dict": True, "padding": True},
        )
    ),
    *(
        (LONG, CHAT, {**ASKED, "messages": [{"role": "user", "content": text}]})
        for text in (
            *("a" * 500_000, " " * 10**6, "\n" * 10**6, "\u0301" * 50_000, "\U0001f600" * 50_000),
            *(
                "1" * 50_000,
                "<|im_start|>" * 20_000,
                "'s" * 250_000,
                "\0" * 50_000,
                ".\n" * 250_000,
            ),
        )
    ),
    *(
        (NAMES, path, {**body, field: name})
        for name in ("../../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "a" * 10**5, "\0")
        for path, field, body in (
            (CHAT, "model", ASKED),
            ("/api/show", "model", {}),
            ("/api/pull", "model", {}),
            ("/api/delete", "model", {}),
            ("/api/generate", "model", {"prompt": "Hi"}),
        )
    ),
]


def test_what_ended_other_servers_is_refused_or_answered(running, row):
    with httpx2.Client(base_url=running.url, timeout=30, trust_env=False) as client:
        for at, (source, path, body) in enumerate(CASES):
            method = "DELETE" if path == "/api/delete" else "POST"
            try:
                response = client.request(method, path, json=body, timeout=20)
            except httpx2.ReadTimeout:
                row.find(f"{source}: {path} {str(body)[:120]}: no answer")
                continue
            row.count(f"{response.status_code}")
            if response.status_code >= 500 or "root:" in response.text:
                row.find(f"{source}: {path} {str(body)[:120]}: {response.status_code}")
            if at % 10 == 9:
                after = client.post(CHAT, json=ASKED).status_code
                if after != 200:
                    row.find(f"{source}: {path} {str(body)[:120]}: then {after}")


@pytest.mark.parametrize("most", [8, pytest.param(200, marks=pytest.mark.faults)])
def test_the_noise_of_scanners_ends_nothing(running, client, row, most):
    """vLLM went down under what a security scanner sends.

    https://github.com/vllm-project/vllm/issues/44486
    """
    for draw in row.cases(most):
        noise = draw.choice(
            (
                draw.randbytes(draw.randrange(1, 4000)),
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + draw.randbytes(508),  # TLS
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + draw.randbytes(64),
                b"GET / HTTP/0.9\r\n\r\n",
                b"\x00" * 4000,
                b"OPTIONS sip:nm SIP/2.0\r\nVia: SIP/2.0/TCP nm\r\n\r\n",
                b"*1\r\n$4\r\nINFO\r\n",  # Redis
                client.head("GET", "/.env") + b"\r\n",
                client.head("GET", "/..%2f..%2fetc%2fpasswd") + b"\r\n",
            )
        )
        status = client.status(noise, 5)
        row.count(f"{status}")
        if status and not 400 <= status < 500:
            row.find(f"{noise[:40]!r}: {status}")
    with httpx2.Client(base_url=running.url, timeout=30, trust_env=False) as normal:
        assert normal.post(CHAT, json=ASKED).status_code == 200


@pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")
@pytest.mark.parametrize("most", [20, pytest.param(500, marks=pytest.mark.faults)])
def test_many_schemas_fill_neither_disk_nor_memory(running, row, small_store, most):
    """vLLM kept a file, and xgrammar an entry, of each schema that a client sent.

    https://github.com/vllm-project/vllm/pull/14837 and https://github.com/vllm-project/vllm/pull/16283
    """

    def held():
        tree = (running.process.pid, *processes.descendants(running.process.pid))
        files = [path for path in small_store.home.rglob("*") if path.is_file()]
        return sum(map(processes.resident_bytes, tree)), len(files)

    with httpx2.Client(base_url=running.url, timeout=60, trust_env=False) as client:

        def ask(number):
            wanted = shape(enum=[f"{number:05d}-{at}" for at in range(30)])
            assert client.post(CHAT, json={**ASKED, **wanted}).status_code == 200
            row.count("schemas")

        for number in range(5):
            ask(number)
        before, files = held()
        for number in range(5, most):
            ask(number)
        after, files_after = held()
    row.count("bytes more", max(after - before, 0))
    assert files_after <= files + 2
    assert after - before < 100e6


def test_a_device_that_ran_out_of_resources_does_not_wedge_its_model():
    """OpenVINO Model Server's executor answered nothing more, and said that it was available.

    https://github.com/openvinotoolkit/model_server/issues/4469; here such an error is found within
    one answer and the worker replaced: tests/pool/test_pool.py, "spoils every later answer".
    """
    from aipc.pool.worker.answers import still_answers

    class Wedged:
        def generate(self, *_, **__):
            raise RuntimeError("CL_OUT_OF_RESOURCES")

    assert not still_answers(Wedged())
