"""What users get wrong: the exit status, one line on stderr, and a remedy that works.

Every remedy that is a command is read by the command line itself, so that it can't be misspelt.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

import aipc.__main__
from aipc.cli.arguments.command_group import Invocation, commands
from aipc.errors import UsageError

CODE = re.compile(r"`(aipc [^`]*|aipc)`")
VALUES = {"-m": ["phi-3-mini"], "--json": []}
PLACEHOLDERS = {"...": "x", "…": "x", "MODEL": "phi-3-mini", "NAME": "phi-3-mini", "DIR": "x"}


@dataclass(frozen=True)
class Mistake:
    line: str
    says: tuple[str, ...]
    status: int = 2
    stdin: bytes = b""


TYPOS = (
    Mistake("rn hello", ("no such command 'rn'", "`aipc run`")),
    Mistake("RUN hello", ("no such command 'RUN'", "`aipc run`")),
    Mistake("chta", ("no such command 'chta'", "`aipc chat`")),
    Mistake("xyzzy", ("no such command 'xyzzy'", "`aipc --help`")),
    Mistake("list", ("no such command 'list'", "`aipc models`")),
    Mistake("ls", ("no such command 'ls'", "`aipc models`")),
    Mistake("ps", ("no such command 'ps'", "`aipc top`")),
    Mistake("show phi3", ("no such command 'show'", "`aipc models --json`")),
    Mistake("quantize phi3", ("no such command 'quantize'", "`aipc convert MODEL`")),
    Mistake("help", ("no such command 'help'", "`aipc --help`")),
    Mistake("cache ls", ("no such command 'ls'", "`aipc cache list`")),
    Mistake("phi3", ("a model's name and no command", "`aipc chat -m phi-3-mini`")),
    Mistake("'What is this?'", ("no such command", '`aipc run "What is this?"`')),
    Mistake("run --temp 1 hi", ("no such option '--temp'", "--temperature")),
    Mistake("run --TEMP 1 hi", ("no such option '--TEMP'", "--temperature")),
    Mistake("chat --temp 1", ("no such option '--temp'", "--temperature")),
    Mistake("run --temprature 1 hi", ("no such option '--temprature'", "--temperature")),
    Mistake("run -n 5 hi", ("no such option '-n'", "--max-new-tokens")),
    Mistake("run --max-tokens=5 hi", ("no such option '--max-tokens'", "--max-new-tokens")),
    Mistake("run -ngl 99 hi", ("no such option '-ngl'", "--device gpu")),
    Mistake("run -c 4096 hi", ("no such option '-c'", "the context is the model's own")),
    Mistake("run -p hi", ("no such option '-p'", '`aipc run "..." < FILE`')),
    Mistake("run --format json hi", ("no such option '--format'", "--schema")),
    Mistake("run --verbose hi", ("no such option '--verbose'", "--debug")),
    Mistake("convert phi-3-mini --bits 4", ("no such option '--bits'", "--weight-format")),
    Mistake("convert phi-3-mini --outdir x", ("no such option '--outdir'", "--output")),
    Mistake("rm -f phi-3-mini", ("no such option '-f'", "--yes")),
    Mistake("run --zzz hi", ("no such option '--zzz'", "`aipc run --help`")),
    Mistake("run --temperature", ("requires an argument", "`aipc run --help`")),
    Mistake("run --temperature warm hi", ("'warm' is not a valid float", "`aipc run --help`")),
    Mistake("run --temperature 3 hi", ("not in the range", "`aipc run --help`")),
    Mistake("run --device gqu hi", ("unknown device 'gqu'", "npu, gpu")),
    Mistake("run --runtime onyx hi", ("onyx", "openvino")),
    Mistake("convert phi-3-mini --weight-format int5", ("'int5' is not one of", "--help")),
    Mistake("chat -m phi-3-mimi", ("no model is called", "'phi-3-mini'"), 1),
    Mistake("pull phi-3-mimi", ("no model is called", "'phi-3-mini'"), 1),
    Mistake("pull https://huggingface.co/a/b", ("is an address", "org/name"), 1),
)
ORDER = (
    Mistake("--hlep", ("no such option '--hlep'", "`aipc --help`")),
    Mistake("run --hlep", ("no such option '--hlep'", "--help")),
    Mistake("chat -help", ("no such option '-help'", "--help")),
    Mistake("models available", ("unexpected argument 'available'", "--available")),
    Mistake("models foo", ("unexpected extra argument (foo)", "`aipc models --help`")),
    Mistake("pull llama3.3", ("no model is called 'llama3.3'", "'llama-3.2-3b' or", "org/name"), 1),
    Mistake("-m phi-3-mini run hi", ("before the command", "`aipc run -m ...`")),
    Mistake("--json models", ("before the command", "`aipc models --json ...`")),
    Mistake("run phi-3-mini", ("a model's name and no prompt", '`aipc run -m phi-3-mini "..."`')),
    Mistake("run Phi-3-Mini", ("a model's name and no prompt", '`aipc run -m phi-3-mini "..."`')),
    Mistake("run phi3 hi you", ("no prompt", '`aipc run -m phi-3-mini "hi you"`')),
    Mistake("run llama3.2:1b", ("no prompt", '`aipc run -m llama-3.2-1b "..."`')),
    Mistake("run microsoft/Phi-3-mini-4k-instruct", ("no prompt", "-m phi-3-mini")),
    Mistake("run what is this", ("in 3 parts", '`aipc run "what is this"`')),
    Mistake("run -m phi-3-mini a b", ("in 2 parts", '`aipc run -m phi-3-mini "a b"`')),
    Mistake("run", ("the prompt is empty", 'aipc run "..."')),
    Mistake("run '' ", ("the prompt is empty", 'aipc run "..."')),
    Mistake("convert", ("no model was named", "`aipc convert MODEL`")),
    Mistake("pull", ("no model was named", "`aipc pull MODEL`")),
    Mistake("eval", ("no model was named", "`aipc eval MODEL`")),
    Mistake("tune", ("no model was named", "`aipc tune MODEL`")),
    Mistake("rm", ("no model was named", "`aipc rm MODEL`")),
    Mistake("export --ovms x", ("no model was named", "`aipc export MODEL --ovms DIR`")),
    Mistake("cache prebuild", ("no model was named", "`aipc cache prebuild MODEL`")),
    Mistake("convert a -m b", ("two models are named, 'a' and 'b'", "name it once")),
    Mistake("chat a -m b", ("two models are named", "name it once")),
    Mistake("serve a -m b", ("two models are named", "name it once")),
    Mistake("verify a -m b", ("two models are named", "name it once")),
    Mistake("batch", ("missing argument", "`aipc batch --help`")),
    Mistake("rm smollm2-135m", ("the store has no", "it is empty"), 1),
    Mistake("verify smollm2-135m", ("the store has no", "it is empty"), 1),
    Mistake("pull phi-3-mini --sha256 ab", ("of a mirror is meant", "--from")),
    Mistake("convert phi-3-mini --calibration builtin", ("means nothing with", "awq or gptq")),
    Mistake("tune --list phi-3-mini", ("no effect beside --list", "leave one of the two out")),
    Mistake("run hi --keep-warm 5m --no-server", ("exclude each other", "give one of them")),
    Mistake("run hi --top-logprobs 3", ("with --json alone", "add --json")),
)
FILES = (
    Mistake("convert ./none", ("there is no './none'", "check the path"), 1),
    Mistake("convert none.gguf", ("there is no 'none.gguf'", "check the path"), 1),
    Mistake("run hi -m ./empty", ("holds no model", "config.json"), 1),
    Mistake("run hi -m notes.txt", ("is no model file", ".gguf file"), 1),
    Mistake("run hi -m ./outer", ("holds no model", "; name '", "outer/inner'"), 1),
    Mistake("run hi -m weights.bin", ("is a pickle", "safetensors or GGUF"), 1),
    Mistake("run hi -m broken.gguf", ("broken.gguf",), 1),
    Mistake("run ./outer/inner", ("a model's name and no prompt", "-m ./outer/inner")),
    Mistake("verify ./empty", ("has no aipc.json", "`aipc convert MODEL -o DIR`"), 1),
    Mistake("rm -y ./empty", ("is not in the store", "remove that yourself")),
    Mistake("report none.json", ("does not exist", "`aipc report --help`")),
    Mistake("report empty", ("holds no .json file", "name another")),
    Mistake("report notes.txt", ("notes.txt",), 1),
    Mistake("run hi --schema none.json", ("can't read the schema", "write the JSON itself")),
    Mistake("run hi --schema notes.txt", ("is no JSON", "write a JSON schema")),
    Mistake("batch none.jsonl out.jsonl", ("none.jsonl",), 1),
    Mistake("bench phi-3-mini -o notes.txt", ("exists already", "choose another name")),
    Mistake("run", ("not UTF-8", "save it as UTF-8"), stdin=b"\xff\xfe\x00binary"),
    Mistake("run -", ("the prompt is empty", "pipe text in")),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a user stands, with the wrong things in it."""
    place = tmp_path / "place"
    (place / "outer" / "inner").mkdir(parents=True)
    (place / "outer" / "inner" / "config.json").write_text('{"model_type": "llama"}')
    (place / "empty").mkdir()
    (place / "notes.txt").write_text("buy milk")
    (place / "weights.bin").write_bytes(b"\x80\x02")
    (place / "broken.gguf").write_bytes(b"GGUF\x03")
    monkeypatch.chdir(place)
    return place


def check_one_line(stderr: str, says: tuple[str, ...]) -> None:
    assert stderr.endswith("\n")
    assert stderr.count("\n") == 1, stderr
    assert stderr.startswith("aipc: ")
    assert "internal error" not in stderr
    assert "Traceback" not in stderr
    for part in says:
        assert part in stderr


def check_remedies(text: str) -> None:
    """Every command that is named is one that the command line reads."""
    for code in CODE.findall(text):
        words = shlex.split(code.partition(" < ")[0])[1:]
        words = [PLACEHOLDERS.get(word, word) for word in words]
        if words[-1:] == ["x"]:
            words[-1:] = []  # of an option whose value is left out, if it takes one
            words += VALUES.get(words[-1], ["x"] if words[0] != "models" else [])
        if words not in (["--help"], ["--version"]):
            read(words, commands)


def read(words: list[str], command: click.Command) -> None:
    """Parse a line down to the last of its commands, which is not carried out."""
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command, obj=Invocation()), words[0])
        assert found is not None, words
        command, words = found, words[1:]
    if words != ["--help"]:
        command.make_context(command.name, words, obj=Invocation())


@pytest.mark.parametrize("mistake", [*TYPOS, *ORDER, *FILES], ids=lambda one: one.line)
def test_a_mistake_is_told_in_one_line_with_what_to_do(
    aipc, folder: Path, mistake: Mistake
) -> None:
    outcome = aipc(*shlex.split(mistake.line), stdin=mistake.stdin)
    assert outcome.stdout == ""
    assert outcome.status == mistake.status
    check_one_line(outcome.stderr, mistake.says)
    check_remedies(outcome.stderr)


def test_there_are_at_least_forty() -> None:
    mistakes = [*TYPOS, *ORDER, *FILES]
    assert len({one.line + repr(one.stdin) for one in mistakes}) == len(mistakes) >= 40


def test_the_check_of_remedies_can_fail() -> None:
    check_remedies("write `aipc convert MODEL`")
    for wrong in ("`aipc rnu`", "`aipc run --temp`", "`aipc cache ls`", "`aipc models a b`"):
        with pytest.raises((AssertionError, click.UsageError, UsageError)):
            check_remedies(wrong)


MUST_WRITE = ("pull smollm2-135m", "run hi", "convert smollm2-135m", "eval smollm2-135m")
READS = ("models", "verify", "rm -y x", "tune --list", "cache list", "serve --port 0")


@pytest.mark.parametrize("line", [*MUST_WRITE, *READS])
def test_a_file_in_the_store_s_place(
    aipc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AIPC_HOME", str(tmp_path / "file" / "store"))
    outcome = aipc(*line.split())
    assert (outcome.status, outcome.stdout) == (2, "")
    check_one_line(outcome.stderr, ("is a file", "set AIPC_HOME to a folder"))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc takes no files on Linux alone")
@pytest.mark.parametrize("line", MUST_WRITE)
def test_a_store_where_no_files_can_be(aipc, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setenv("AIPC_HOME", "/proc/aipc")
    outcome = aipc(*line.split())
    assert outcome.status == 1
    check_one_line(outcome.stderr, ("nothing can be written to /proc/aipc", "set AIPC_HOME"))


@pytest.mark.parametrize("command", ["doctor", "devices"])
def test_the_machine_s_commands_tell_it_too(
    aipc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AIPC_HOME", str(tmp_path / "file"))
    outcome = aipc(command)
    told = " ".join((outcome.stdout + outcome.stderr).split())
    assert "nothing can be written to" in told
    assert "is a file" in told
    assert "set AIPC_HOME to a folder that you may write to" in told


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A disk without room; only an administrator can make one."""
    place = tmp_path / "full"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount, check=False).returncode:
        pytest.skip("no disk can be made here")
    (place / "filler").write_bytes(b"x" * 65536)
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("line", MUST_WRITE)
def test_a_full_disk(aipc, full: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setenv("AIPC_HOME", str(full / "store"))
    outcome = aipc(*line.split())
    assert outcome.status == 1
    check_one_line(outcome.stderr, ("No space left on device", "set AIPC_HOME"))


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may do anything")
@pytest.mark.parametrize("line", [*MUST_WRITE, "models", "verify", "cache list"])
def test_a_store_that_is_another_s(
    aipc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0)
    monkeypatch.setenv("AIPC_HOME", str(locked / "store"))
    outcome = aipc(*line.split())
    assert outcome.status == 1
    check_one_line(outcome.stderr, ("ermission",))


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may do anything")
def test_a_store_that_others_may_only_read(aipc, filled_store: Path) -> None:
    place = filled_store / "artifacts"
    place.chmod(0o500)
    outcome = aipc("rm", "-y", "org--tiny--main-openvino-int4")
    place.chmod(0o700)
    assert outcome.status == 1
    check_one_line(outcome.stderr, ("no permission for", "check its owner"))


def test_cuda_without_an_nvidia_gpu_says_that_first(aipc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aipc.devices.device.read_adapters", tuple)
    outcome = aipc("run", "hi", "--device", "cuda")
    assert outcome.status == 1
    check_one_line(outcome.stderr, ("this machine has no NVIDIA GPU", "`aipc devices`"))
    what, _, fix = outcome.stderr.partition(";")
    assert "pip" not in what
    assert "on one that has" in fix


LINES = ("models --available", "devices", "doctor", "top --count 1", "bench --peer list")


@pytest.mark.parametrize("line", LINES)
def test_a_narrow_terminal_breaks_no_word(aipc, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """What is longer than the terminal is a single word, such as a path."""
    wide = set(aipc(*line.split()).stdout.split())
    monkeypatch.setenv("COLUMNS", "40")
    narrow = aipc(*line.split()).stdout
    for written in narrow.splitlines():
        assert len(written) <= 40 or len(written.split()[-1]) > 20, written
    if not line.startswith("top"):  # whose figures change
        assert {word.rstrip(":") for word in narrow.split()} <= {word.rstrip(":") for word in wide}


def test_ctrl_c_while_the_program_is_imported(tmp_path: Path) -> None:
    package = tmp_path / "aipc"
    (package / "cli").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "cli" / "__init__.py").write_text("raise KeyboardInterrupt")
    (package / "__main__.py").write_text(Path(aipc.__main__.__file__).read_text("utf-8"))
    done = subprocess.run(
        [sys.executable, "-m", "aipc"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def is_asleep(child: subprocess.Popen[str]) -> bool:
    """Whether it waits for something, for a second: it is not being started any more."""
    for _ in range(10):
        state = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state != "S":
            return False
        time.sleep(0.1)
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows that a program waits")
@pytest.mark.parametrize("line", ["run hi", "batch - out.jsonl", "top --interval 30 --count 9"])
def test_ctrl_c_is_silent(tmp_path: Path, line: str) -> None:
    """While it waits for stdin, or between two readings of the machine."""
    child = subprocess.Popen(
        [sys.executable, "-m", "aipc", *line.split()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "AIPC_HOME": str(tmp_path / "home")},
        text=True,
    )
    while not is_asleep(child):
        assert child.poll() is None
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Traceback" not in err
    assert err.count("\n") <= 1
    assert not out or line.startswith("top")
