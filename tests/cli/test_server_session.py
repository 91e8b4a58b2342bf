"""``aipc run`` and ``chat`` with a server of this user that has the small real model ready."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from linked_store import linked
from served import Served, served

from aipc.models.store import Store
from aipc.serve.announcement import read_announcements

MODEL = "smollm2-135m"
QUESTION = "Name the capital of France."
GREEDY = ("--temperature", "0", "--max-new-tokens", "12")
USING = "using the model that aipc serve has ready (pid {pid}, on cpu; --no-server loads it here)"


@pytest.fixture(scope="module")
def store(small_store, smollm_gguf, tmp_path_factory) -> Store:
    return linked(small_store, tmp_path_factory.mktemp("home"))


@pytest.fixture
def own_store(small_store, smollm_gguf, tmp_path) -> Store:
    return linked(small_store, tmp_path)


@pytest.fixture(scope="module")
def server(store) -> Iterator[Served]:
    with served(store, "-m", MODEL, "--device", "cpu", "--runtime", "openvino") as running:
        running.wait_for(f"{MODEL} is ready on cpu")
        yield running


@pytest.fixture
def near(aipc, store, monkeypatch):
    """A command on the store that the server is announced in, or on the one that is given."""

    def call(*arguments: str, store: Store = store, **more):
        monkeypatch.setenv("AIPC_HOME", str(store.home))
        return aipc(*arguments, **more)

    return call


@pytest.fixture
def nothing_is_loaded(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing is to be loaded here")

    monkeypatch.setattr("aipc.session.loading.load", refuse)


@pytest.mark.usefixtures("nothing_is_loaded")
def test_run_and_chat_use_the_warm_model_and_say_so(server, near):
    line = USING.format(pid=server.process.pid)
    told = near("run", QUESTION, *GREEDY)
    assert (told.status, "Paris" in told.stdout) == (0, True)
    assert told.stderr.splitlines()[0] == line
    told = near("chat", *GREEDY, stdin=f"{QUESTION}\n")
    assert (told.status, "Paris" in told.stdout) == (0, True)
    assert told.stderr.splitlines()[0] == line
    token = next(one.token for one in read_announcements(server.servers, print))
    assert token not in "".join(server.lines)


@pytest.mark.usefixtures("nothing_is_loaded")
@pytest.mark.parametrize(
    "flags",
    [("-m", MODEL), ("--device", "cpu"), ("--runtime", "openvino"), ("--server",)],
)
def test_what_is_so_may_be_asked_for(server, near, flags):
    assert USING.format(pid=server.process.pid) in near("run", QUESTION, *GREEDY, *flags).stderr


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("--ov-config", "NUM_STREAMS=1"), "was loaded with other properties"),
        (("--weight-format", "int8"), "was loaded with another recipe"),
        (("--device", "gpu"), "is on cpu, not on gpu"),
        (("-m", "phi-3-mini"), "has not 'phi-3-mini' ready"),
        (("--stop", "x" * 257), "a server takes at most 32 stop texts of 1 to 256 characters"),
    ],
)
def test_what_is_not_so_is_loaded_here(server, near, stand_in, flags, reason):
    session = stand_in(answer="here")
    told = near("run", "x", *flags)
    assert told.stdout == "here\n"
    assert "server" not in told.stderr
    assert session.closed
    told = near("run", "x", "--server", *flags)
    assert told.stdout == "here\n"
    assert f"{reason}; loading the model here" in told.stderr


def test_no_server_does_not_look(server, near, stand_in):
    stand_in(answer="here")
    told = near("run", "x", "--no-server")
    assert told.stdout == "here\n"
    assert "server" not in told.stderr


def test_without_a_server_nothing_is_said_and_nothing_imported(process, tmp_path):
    told = process("run", "x", answer="here")
    assert told.stdout == "here\n"
    assert "server" not in told.stderr
    assert "no `aipc serve` of yours runs; loading the model here" in (
        process("run", "x", "--server").stderr
    )
    code = (
        "import sys; import aipc.cli.run\n"
        "from aipc.cli.answering.server_session import find_server\n"
        "flags = {'server': None, 'server_url': None, 'model': None}\n"
        "assert find_server(flags, print) is None\n"
        "unwanted = {'http.client', 'httpx2', 'psutil', 'aipc.serve.client', 'aipc.choose'}\n"
        "assert not unwanted & {*sys.modules}"
    )
    home = {**os.environ, "AIPC_HOME": str(tmp_path)}  # another test's server may be in this one
    subprocess.run([sys.executable, "-c", code], check=True, env=home)


@pytest.mark.usefixtures("nothing_is_loaded")
def test_json_timings_and_reasons_are_the_servers_true_ones(server, near):
    told = near("run", QUESTION, *GREEDY, "--json", "--explain", "--timings")
    reply = json.loads(told.stdout)
    assert len(reply["tokens"]) == reply["usage"]["completion_tokens"] > 4
    assert reply["timings"]["is_cold"] is False
    assert [one["name"] for one in reply["timings"]["stages"]] == ["find the server"]
    assert reply["asked"] == {"device": "auto", "runtime": "auto"}
    assert (reply["device"], reply["runtime"], reply["server"]) == ("CPU", "openvino", server.url)
    assert reply["why"][0].startswith("CPU: ")
    assert f"- {reply['why'][0][:40]}" in told.stderr
    assert "- tokens are chosen by greedy" in told.stderr
    lines = told.stderr.splitlines()
    assert any(line.startswith("prompt to first token   ") for line in lines)


def test_flags_that_exclude_each_other_are_refused(aipc, stand_in):
    session = stand_in()
    for flags in (
        ("--no-server", "--server-url", "http://127.0.0.1:1"),
        ("--keep-warm", "1m", "--no-server"),
        ("--keep-warm", "1m", "--server-url", "http://127.0.0.1:1"),
        ("--keep-warm", "1 minute"),
    ):
        assert aipc("run", "x", *flags).status == 2
    assert session.loaded == {}


def test_a_server_that_was_killed_is_forgotten(own_store, near, stand_in):
    with served(own_store, "-m", MODEL, "--device", "cpu") as killed:
        killed.wait_for("is ready")
        assert killed.is_announced
    assert killed.is_announced
    stand_in(answer="here")
    told = near("run", "x", store=own_store)
    assert told.stdout == "here\n"
    assert not killed.is_announced


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to be told by")
def test_a_chat_goes_on_here_when_the_server_ends(own_store):
    command = [sys.executable, "-m", "aipc", "chat", *GREEDY]
    environment = {**os.environ, "AIPC_HOME": str(own_store.home)}
    pipe = subprocess.PIPE
    with served(own_store, "-m", MODEL, "--device", "cpu") as ending:
        ending.wait_for("is ready")
        with subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment
        ) as chat:
            chat.stdin.write(f"{QUESTION}\n")
            chat.stdin.flush()
            assert "Paris" in chat.stdout.readline()
            ending.process.send_signal(signal.SIGTERM)
            assert ending.process.wait(30) == 0
            assert not ending.is_announced
            answers, said = chat.communicate(f"{QUESTION}\n", timeout=120)
    assert "Paris" in answers
    assert "[the server has ended; loading the model here]" in said
    assert chat.returncode == 0


@pytest.fixture
def kept(own_store):
    """The servers that a test leaves behind; they are ended after it."""

    def announced() -> list[int]:
        return [one.pid for one in read_announcements(own_store.servers, print)]

    yield announced
    for pid in announced():
        os.kill(pid, signal.SIGTERM)


def test_a_server_is_left_behind_and_the_next_run_uses_it(own_store, near, kept, nothing_is_loaded):
    told = near("run", QUESTION, *GREEDY, "--keep-warm", "10m", "--asym", store=own_store)
    assert (told.status, "Paris" in told.stdout) == (0, True)
    (pid,) = kept()
    assert "keeps the model for 600 s after the last request" in told.stderr
    assert f"the server is ready (pid {pid}, on cpu)" in told.stderr
    if sys.platform != "win32":  # so that a Ctrl-C of this terminal is not its own
        assert os.getsid(pid) == pid
    told = near("run", QUESTION, *GREEDY, "--asym", store=own_store)
    assert USING.format(pid=pid) in told.stderr
    told = near("run", QUESTION, *GREEDY, "--asym", "--keep-warm", "1m", store=own_store)
    assert "it stays for 600 s after the last request, as it was started)" in told.stderr
    assert len(kept()) == 1


def test_a_server_that_is_left_behind_ends_by_itself(own_store, near, kept):
    told = near("run", QUESTION, *GREEDY, "--keep-warm", "1s", "--asym", store=own_store)
    assert "the server is ready" in told.stderr
    while kept():
        time.sleep(0.1)


def test_where_none_can_be_left_behind_the_reason_is_told(own_store, near, stand_in, kept):
    stand_in(answer="here")
    told = near("run", "x", "--keep-warm", "10m", "--device", "gpu.7", store=own_store)
    assert told.stdout == "here\n"
    (line,) = [line for line in told.stderr.splitlines() if "no server is left behind" in line]
    assert line.endswith("; loading the model here")
    assert "this machine has no GPU" in line
    while kept():
        time.sleep(0.1)
