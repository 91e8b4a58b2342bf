"""Too little memory: one line, nothing half made, and a server goes on without the model."""

from __future__ import annotations

import os
import signal
import sys

import pytest

pytest.importorskip("openvino_genai")
pytest.importorskip("onnxruntime_genai")
if sys.platform != "linux":
    pytest.skip("programs are limited as Linux limits them", allow_module_level=True)

import resource

import httpx2
import processes
from memory_group import UNLIMITED, memory_group
from served import served
from works import MADE, misreported

WORKS = ("convert-openvino-search", "convert-onnx-gptq", "ready-weights", "eval", "run", "batch")
LEAST, MOST_BYTES = 150 * 2**20, 1.4 * 2**30
LEAST_IN_GROUP, MOST_IN_GROUP = 32 * 2**20, 600 * 2**20
MOST = 20
ASK_AGAIN = "--retry-failed asks them again"
ENDED = ("OpenBLAS error: Memory allocation", "memory for thread-local data: ABORT")
"""What NumPy's library and glibc end the process with; C++ that has no memory left aborts it."""

of_works = pytest.mark.parametrize(
    ("name", "most"),
    [
        pytest.param("convert-onnx-rtn", 2, id="convert-onnx-rtn-short"),
        *(pytest.param(name, MOST, id=name, marks=pytest.mark.faults) for name in WORKS),
    ],
)


@of_works
def test_memory_that_runs_out_is_told_in_one_line(row, make_trial, name, most):
    trial = make_trial(name)
    for draw in row.cases(most):
        nbytes = int(LEAST * (MOST_BYTES / LEAST) ** draw.random())
        outcome = trial.run(nbytes=nbytes)
        wrong = trial.wrong_now()
        if outcome.status == 0:
            row.count("done all the same")
        elif outcome.status == -signal.SIGABRT or any(one in outcome.err for one in ENDED):
            row.count("ended without a line")
        elif ASK_AGAIN in outcome.err:
            row.count("told of each line of a batch")
            wrong += unnamed(trial.program.out / "out.jsonl.errors.jsonl")
        else:
            row.count("refused in one line")
            wrong += wrong_with_refusal(outcome)
        if ASK_AGAIN not in outcome.err:  # its answers are there, and are not overwritten
            wrong += trial.wrong_after_next_run()
        for one in wrong:
            row.find(f"{nbytes / 2**20:.0f} MiB of addresses: {one}")
        trial.program.restore()


def wrong_with_refusal(outcome):
    """Where it is not one line that names memory."""
    is_named = "memory" in outcome.err.lower()
    return misreported(outcome) + ([] if is_named else [f"does not name it: {outcome.err[-400:]}"])


def unnamed(errors):
    """Failures of a batch's lines that do not say that memory was short."""
    lines = errors.read_text("utf-8").splitlines()
    return [line[-300:] for line in lines if "memory" not in line.lower()]


@pytest.fixture
def group():
    """A control group of this test's own."""
    with memory_group(f"aipc-{os.getpid()}") as made:
        if made is None:
            pytest.skip("making a control group is not permitted here")
        yield made


@of_works
def test_a_control_group_without_memory_leaves_nothing_half_made(
    row, make_trial, group, name, most
):
    """The kernel ends a process there, which then can't say a line."""
    trial = make_trial(name)
    for draw in row.cases(most):
        nbytes = int(LEAST_IN_GROUP * (MOST_IN_GROUP / LEAST_IN_GROUP) ** draw.random())
        group.limit(nbytes)
        outcome = trial.run(group=group)
        group.limit(UNLIMITED)
        wrong = trial.wrong_now()
        if outcome.status == 0:
            row.count("done all the same")
        elif outcome.status == -signal.SIGKILL:
            row.count("ended by the system")
        else:
            row.count("refused in one line")
            wrong += wrong_with_refusal(outcome)
        for one in (*wrong, *trial.wrong_after_next_run()):
            row.find(f"{nbytes / 2**20:.0f} MiB in the group: {one}")
        trial.program.restore()


@pytest.mark.parametrize("most", [1, pytest.param(MOST, marks=pytest.mark.faults)])
def test_a_server_in_a_control_group_goes_on_when_its_model_is_ended(
    row, make_program, group, most
):
    program, places = make_program(f"grouped-{most}")
    assert program.run(*MADE.format_map(places).split()).status == 0
    model = (str(places["model"]), "--runtime", "onnx")
    with (
        served(program.store, *model, limit=group.entering) as server,
        httpx2.Client(base_url=server.url, timeout=120, trust_env=False) as client,
    ):
        server.wait_for("is ready")
        question = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
        question["model"] = client.get("/v1/models").json()["data"][0]["id"]
        for draw in row.cases(most):
            for worker in processes.descendants(server.process.pid):
                os.kill(worker, signal.SIGKILL)
            processes.settle(processes.descendants(server.process.pid))
            group.limit(group.used + int(draw.uniform(4, 128) * 2**20))
            starved = client.post("/v1/chat/completions", json=question)
            group.limit(UNLIMITED)
            row.count("refused" if starved.status_code >= 400 else "answered all the same")
            if starved.status_code >= 400 and not starved.json()["error"]["message"]:
                row.find(starved.text)
            fed = client.post("/v1/chat/completions", json=question)
            if fed.status_code != 200:
                row.find(f"afterwards {fed.text}")


@pytest.mark.faults
def test_a_server_goes_on_when_a_model_finds_no_memory(row, make_program):
    """The worker has what the server has, which is little; later it has enough."""
    program, places = make_program("starved")
    made = program.run(*MADE.format_map(places).split())
    assert made.status == 0, made.err
    with (
        served(program.store, str(places["model"]), "--runtime", "onnx") as server,
        httpx2.Client(base_url=server.url, timeout=120, trust_env=False) as client,
    ):
        pid = server.process.pid
        question = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
        question["model"] = client.get("/v1/models").json()["data"][0]["id"]
        for draw in row.cases(MOST):
            for worker in processes.descendants(pid):
                os.kill(worker, signal.SIGKILL)
            nbytes = processes.address_bytes(pid) + int(draw.uniform(8, 256) * 2**20)
            limit_addresses(pid, nbytes)
            starved = client.post("/v1/chat/completions", json=question)
            limit_addresses(pid, resource.RLIM_INFINITY)
            row.count("refused" if starved.status_code >= 400 else "answered all the same")
            wrong = []
            if starved.status_code >= 400 and not starved.json()["error"]["message"]:
                wrong.append(starved.text)
            if client.get("/health").status_code != 200:
                wrong.append("the server is not well")
            fed = client.post("/v1/chat/completions", json=question)
            if fed.status_code != 200:
                wrong.append(f"afterwards {fed.text}")
            for one in wrong:
                row.find(f"{nbytes / 2**20:.0f} MiB of addresses: {one}")


def limit_addresses(pid, nbytes):
    resource.prlimit(pid, resource.RLIMIT_AS, (nbytes, resource.RLIM_INFINITY))
