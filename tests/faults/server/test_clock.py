"""The clock is set back and forth under a server: streams, uploads and batches go on."""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from pathlib import Path

import clock
import crowd
import httpx2
import pytest
from batch_files import line
from served import served
from works import MADE

HOUR_S, DAY_S = 3600, 24 * 3600
JUMPS_S = (-3650 * DAY_S, -DAY_S, -HOUR_S, -1, 0, 1, HOUR_S, 23 * HOUR_S)
"""What the clock is wrong by; a day more, and batches expire, as they should."""
STREAMS, TOKENS = 4, 400


@pytest.mark.parametrize("jumps", [2, pytest.param(40, marks=pytest.mark.faults)])
def test_a_clock_set_back_and_forth_changes_nothing(row, make_program, tmp_path, jumps):
    program, places = make_program(f"clock-{jumps}")
    assert program.run(*MADE.format_map(places).split()).status == 0
    file = tmp_path / "clock"
    file.write_text("0")
    paths = os.pathsep.join([*clock.__path__, os.environ.get("PYTHONPATH", "")])
    planted = {"CLOCK_FILE": str(file), "PYTHONPATH": paths}
    with served(program.store, str(places["model"]), "--runtime", "onnx", **planted) as server:
        server.wait_for("is ready")
        with httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as client:
            model = client.get("/v1/models").json()["data"][0]["id"]
            upload = keep(client, model)
            for draw in row.cases(jumps):
                jump_s = draw.choice(JUMPS_S)
                batch = begin(client, upload)
                heard = asyncio.run(streamed(server.url, model, partial(set_clock, file, jump_s)))
                row.count("streams", len(heard))
                for one in heard:  # their texts are a random model's, which others beside it change
                    if (one.tokens, one.error) != (TOKENS, None):
                        row.find(f"{jump_s:+} s: a stream of {one.tokens} tokens, {one.error}")
                for told in (ended(client, batch), whole(client, upload)):
                    row.count("checks")
                    if told:
                        row.find(f"{jump_s:+} s: {told}")
    written = "".join(server.lines)
    if "Traceback" in written:
        row.find(written[-2000:])


def set_clock(file: Path, wrong_s: float) -> None:
    draft = file.with_suffix(".new")
    draft.write_text(str(wrong_s))
    draft.replace(file)


async def streamed(url, model, meanwhile):
    body = crowd.chat_body(model, "Count.", TOKENS, ignore_eos=True)
    async with crowd.connected(url) as client:
        streams = [asyncio.ensure_future(crowd.hear(client, body)) for _ in range(STREAMS)]
        await asyncio.sleep(0.1)
        meanwhile()
        return await asyncio.gather(*streams)


def keep(client, model):
    lines = "".join(line(f"id-{at}", "Hi", model=model, max_tokens=4) for at in range(3))
    sent = {"file": ("in.jsonl", lines.encode())}
    return client.post("/v1/files", files=sent, data={"purpose": "batch"}).json()["id"]


def begin(client, upload):
    asked = {"input_file_id": upload, "endpoint": "/v1/chat/completions"}
    return client.post("/v1/batches", json={**asked, "completion_window": "24h"}).json()["id"]


def ended(client, batch):
    """What is wrong with a batch's end."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = client.get(f"/v1/batches/{batch}").json()
        if found["status"] in {"completed", "failed", "expired"}:
            return "" if found["request_counts"]["completed"] == 3 else f"{found}"
        time.sleep(0.1)
    return f"a batch without an end: {found}"


def whole(client, upload):
    """What is wrong with an upload, and with the health of the server."""
    status = client.get(f"/v1/files/{upload}/content").status_code
    health = client.get("/health").status_code
    return "" if (status, health) == (200, 200) else f"the upload {status}, health {health}"
