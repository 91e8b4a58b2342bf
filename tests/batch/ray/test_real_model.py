"""The small real model with Ray and without it, each in a process of its own as users have it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from ray_cluster import needs_ray

pytestmark = [needs_ray, pytest.mark.long]
MODEL = "smollm2-135m"


def batch(folder, out, home, *flags):
    command = [sys.executable, "-m", "aipc", "batch", str(folder / "in.jsonl"), str(folder / out)]
    command += [
        "-m",
        MODEL,
        "--device",
        "cpu",
        "--runtime",
        "openvino",
        "--exact",
        "--ordered",
        *flags,
    ]
    env = {**os.environ, "AIPC_HOME": str(home)}
    subprocess.run(command, check=True, env=env)
    return [json.loads(line) for line in (folder / out).read_text().splitlines()]


def said(answers):
    return [one["response"]["body"]["choices"][0]["message"]["content"] for one in answers]


def test_ray_answers_as_no_ray_does_with_a_model_out_of_a_mirror(small_store, tmp_path):
    with (tmp_path / "in.jsonl").open("w") as file:
        for n in range(40):
            messages = [{"role": "user", "content": f"Say a word about the number {n}."}]
            body = {"model": MODEL, "messages": messages, "max_tokens": 12}
            line = {"method": "POST", "url": "/v1/chat/completions", "body": body}
            file.write(json.dumps({"custom_id": f"id-{n}", **line}) + "\n")
    plain = batch(tmp_path, "plain.jsonl", small_store.home)
    mirror = ("--model-from", str(small_store.home))
    spread = batch(tmp_path, "spread.jsonl", tmp_path / "home", "--ray", *mirror)
    assert said(spread) == said(plain)
    assert len({one["aipc"]["artifact"] for one in spread}) == 1
    assert not list((tmp_path / "home" / "checkpoints").glob("*"))
