"""Secrets and prompts in every input: in no log, metric, core file, command line or loose file.

What a user keeps on purpose is apart: uploads, batches and their results, which nobody else reads.
"""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import sys
import time
from pathlib import Path

import httpx2
import pytest

pytest.importorskip("onnxruntime_genai")
if sys.platform != "linux":
    pytest.skip("processes are read from /proc", allow_module_level=True)


import processes
from batch_files import line
from served import served
from works import HUB_REPO, MADE

TOKEN, KEY, PROMPT = "hf_canaryTokenOfTheHub0123", "canary-key-of-the-server", "canary-prompt-said"
CANARIES = (TOKEN, KEY, PROMPT)
SECRET_HEADERS = {
    "Authorization": f"Bearer {KEY}",
    "Cookie": f"session={PROMPT}",
    "Referer": PROMPT,
    "User-Agent": PROMPT,
    "X-Api-Key": KEY,
    "X-Request-Id": PROMPT,
    "X-Forwarded-For": PROMPT,
}
SAID = {
    "messages": [{"role": "user", "content": PROMPT}],
    "prompt": PROMPT,
    "input": PROMPT,
    "query": PROMPT,
    "documents": [PROMPT],
    "text": PROMPT,
    "max_tokens": 2,
    "user": PROMPT,
    "max_output_tokens": 16,
    "system": PROMPT,
    "metadata": {PROMPT: PROMPT},
    "stop": [PROMPT],
    "options": {"num_predict": 2},
}
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGKILL)
KEPT = ("files", "batches")
"""Folders of the store that hold what clients upload."""


def holding(text):
    return [canary for canary in CANARIES if canary in text]


def files_holding(folder, row):
    """Lines about files that hold a canary, or that others can read though they may hold one."""
    found = []
    for file in (path for path in folder.rglob("*") if path.is_file()):
        held = [canary for canary in CANARIES if canary.encode() in file.read_bytes()]
        row.count("files")
        is_kept = file.relative_to(folder).parts[:2] in {("home", name) for name in KEPT}
        if held and not (is_kept and not stat.S_IMODE(file.stat().st_mode) & 0o077):
            found.append(f"{file} holds {held}")
    return found


def seen_from_outside(pid):
    """Lines about command lines that hold a canary, and processes that would leave a core file."""
    found = []
    for each in (pid, *processes.descendants(pid)):
        process = processes.PROC / str(each)
        shown = holding((process / "cmdline").read_text())
        limit = re.search(r"Max core file size +(\S+)", (process / "limits").read_text())[1]
        found += [f"the command line of {each} holds {shown}"] if shown else []
        found += [f"{each} may leave a core file of {limit} bytes"] if limit != "0" else []
    return found


ALLOW_CORE_FILES = "ulimit -S -c $(ulimit -H -c)"


@pytest.fixture
def place(make_program, monkeypatch):
    """(program, places), and all that is written anywhere is written below the program's folder."""
    program, places = make_program("canaries")
    assert program.run(*MADE.format_map(places).split()).status == 0
    monkeypatch.chdir(program.out)
    for name, folder in (("TMPDIR", "tmp"), ("HOME", "user"), ("XDG_CACHE_HOME", "user")):
        monkeypatch.setenv(name, str(program.folder / folder))
    return program, places


@pytest.mark.parametrize(
    "crashes", [2, pytest.param(20, marks=pytest.mark.faults)], ids=["two", "20"]
)
@pytest.mark.parametrize("flags", [(), ("--debug",)], ids=["plain", "debug"])
def test_no_server_tells_a_prompt_or_a_secret(row, place, crashes, flags):
    program, places = place
    secrets = {"HF_TOKEN": TOKEN, "AIPC_API_KEY": KEY}
    model = (str(places["model"]), "--runtime", "onnx", *flags)
    with served(program.store, *model, limit=ALLOW_CORE_FILES, **secrets) as server:
        server.wait_for("is ready")
        with httpx2.Client(
            base_url=server.url, headers=SECRET_HEADERS, timeout=60, trust_env=False
        ) as client:
            ask_everywhere(client, row)
            keep_files(client, row)
            for draw in row.cases(crashes):
                for told in crash(server, client, draw.choice(CRASHES)):
                    row.find(told)
                row.count("crashes")
        os.kill(server.process.pid, signal.SIGSEGV)
        server.process.wait(60)
    told = "".join(server.lines)
    assert " 200, " in told
    for one in (*holding(told), *files_holding(program.folder, row)):
        row.find(one)


def ask_everywhere(client, row):
    """Every path with canaries wherever they may stand, well formed and not."""
    model = client.get("/v1/models").json()["data"][0]["id"]
    paths = client.get("/openapi.json").json()["paths"]
    for path, methods in paths.items():
        for method in {name.upper() for name in methods}:
            url = re.sub(r"\{\w+\}", PROMPT, path)
            body = json.dumps({"model": model, **SAID})
            for content in (body, json.dumps({**SAID, "model": PROMPT}), body[:-9], PROMPT):
                has_body = method in {"POST", "DELETE", "PATCH", "PUT"}
                headers = {"Content-Type": "application/json"} if has_body else {}
                query = {"key": KEY, "after": PROMPT}
                sent = {"content": content} if has_body else {}
                answer = client.request(method, url, headers=headers, params=query, **sent)
                row.count(f"{answer.status_code}")
                if answer.status_code >= 500:
                    row.find(f"{method} {path}: {answer.status_code}")
    for field in ("messages", "prompt", "input"):  # each path with what it takes alone
        for path in ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"):
            answer = client.post(
                path, json={"model": model, field: SAID[field], "max_tokens": 2, "stream": True}
            )
            row.count(f"{answer.status_code}")


def keep_files(client, row):
    """An upload, and a batch of it to its end."""
    model = client.get("/v1/models").json()["data"][0]["id"]
    lines = "".join(line(f"id-{at}", PROMPT, model=model, max_tokens=2) for at in range(3))
    file = client.post(
        "/v1/files",
        files={"file": (f"{PROMPT}.jsonl", lines.encode())},
        data={"purpose": "batch"},
    ).json()
    asked = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions"}
    batch = client.post("/v1/batches", json={**asked, "completion_window": "24h"}).json()
    deadline = time.monotonic() + 60
    while batch["status"] not in {"completed", "failed"} and time.monotonic() < deadline:
        time.sleep(0.2)
        batch = client.get(f"/v1/batches/{batch['id']}").json()
    row.count(f"batch {batch['status']}")
    assert batch["status"] == "completed", batch


def crash(server, client, number):
    """The worker, in the midst of an answer; what is seen from outside meanwhile."""
    model = client.get("/v1/models").json()["data"][0]["id"]
    asked = {"model": model, "messages": SAID["messages"], "max_tokens": 1500, "stream": True}
    with client.stream("POST", "/v1/chat/completions", json=asked) as response:
        lines = response.iter_lines()
        next(lines)
        found = seen_from_outside(server.process.pid)
        for path in ("/metrics", "/health", "/api/ps"):
            found += [f"{path} tells {one}" for one in holding(client.get(path).text)]
        for one in processes.children(server.process.pid):
            os.kill(one, number)
        found += [f"the stream tells {one}" for one in holding("".join(lines))]
    after = client.post("/v1/chat/completions", json={**asked, "stream": False, "max_tokens": 2})
    return [*found, *([] if after.status_code == 200 else [f"afterwards {after.status_code}"])]


COMMANDS = (
    f"pull {HUB_REPO}",
    f"pull somebody/{PROMPT}",
    f"pull {HUB_REPO} --from https://user:{KEY}@127.0.0.1:9/x",
    "run -m {model} --runtime onnx --max-new-tokens 2 --temperature 0 --debug",
    "chat {model} --runtime onnx --debug",
    "batch {lines} {out}/out.jsonl -m {model} --device cpu --runtime onnx --debug",
)


def test_no_command_tells_a_prompt_or_a_secret(row, place):
    """What they are told by stdin, files and the environment."""
    program, places = place
    for command in COMMANDS:
        words = command.format_map({**places, "lines": written(program, places)}).split()
        outcome = program.run(*words, said=f"{PROMPT}\n".encode(), environment={"HF_TOKEN": TOKEN})
        row.count(f"status {outcome.status}")
        for one in holding(outcome.err.replace(f"somebody/{PROMPT}", "")):
            row.find(f"{command}: {one} in {outcome.err[-600:]}")
    for one in files_holding(program.folder, row):
        row.find(one)


def written(program, places):
    """Lines of a batch: two that are answered, and one that can't be."""
    file = Path(places["lines"]).with_name("canaries.jsonl")
    good = [line(f"id-{at}", PROMPT, max_tokens=2) for at in range(2)]
    file.write_text("".join([*good, line("id-2", PROMPT, temperature=PROMPT)]))
    return file
