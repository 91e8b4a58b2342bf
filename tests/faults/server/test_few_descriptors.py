"""A server with few descriptors closes what it can't take, says so once, and goes on."""

from __future__ import annotations

import sys
import time

import httpx2
import pytest

if sys.platform != "linux":
    pytest.skip("programs are limited as Linux limits them", allow_module_level=True)


import processes
from raw_client import RawClient, until
from served import served
from works import MADE

AT_ONCE_S = 2.0


def descriptors(pid):
    return len([*(processes.PROC / f"{pid}/fd").iterdir()])


@pytest.mark.parametrize(
    ("most", "floods"),
    [(64, 1), *(pytest.param(most, 20, marks=pytest.mark.faults) for most in (24, 64))],
)
def test_few_descriptors_close_some_and_keep_nobody_out(row, make_program, most, floods):
    program, places = make_program(f"descriptors-{most}-{floods}")
    assert program.run(*MADE.format_map(places).split()).status == 0
    model = str(places["model"])
    with served(program.store, model, "--runtime", "onnx", limit=f"ulimit -n {most}") as server:
        server.wait_for("is ready")
        before = descriptors(server.process.pid)
        client = RawClient(server.url)
        half = client.head("POST", "/v1/chat/completions")
        for draw in row.cases(floods):
            for _ in range(300):
                client.connect(half if draw.random() < 0.5 else b"")
                row.count("connections")
            answered = [ask(server.url, row) for _ in range(10)]
            if not any(answered) and most == 64:
                row.find("nobody is answered")
            client.close()
            until(lambda: descriptors(server.process.pid) <= before)
            if not ask(server.url, row):
                row.find("no answer afterwards")
    told = "".join(server.lines)
    if "Traceback" in told or told.count("no more descriptors") > 1:
        row.find(told[-2000:])


def ask(url, row):
    """Whether it is answered; closing it at once is no fault."""
    started = time.monotonic()
    try:
        with httpx2.Client(trust_env=False, timeout=30) as client:
            status = client.get(f"{url}/health").status_code
    except httpx2.HTTPError as error:
        status = type(error).__name__
    row.count(f"{status}")
    took_s = time.monotonic() - started
    if took_s > AT_ONCE_S or status not in {200, 503, "RemoteProtocolError", "ReadError"}:
        row.find(f"{status} after {took_s:.1f} s")
    return status == 200
