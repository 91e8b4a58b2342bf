from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from aipc.child import Child, ChildEnded, Outbox, batches, encode, spared_ctrl_c


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as out, os.fdopen(writing, "wb") as into:
        yield out, into


def test_what_is_put_arrives_in_order_and_the_pipe_ends(pipe):
    out, into = pipe
    outbox = Outbox(into, "test")
    for number in range(500):
        outbox.put({"id": number, "text": "é🙂" * number})
    outbox.close()
    arrived = [message for batch in batches(out) for message in batch]
    assert [message["id"] for message in arrived] == list(range(500))
    assert arrived[-1]["text"] == "é🙂" * 499


def test_what_gathers_while_the_pipe_is_full_goes_as_one_line(pipe):
    out, into = pipe
    outbox = Outbox(into, "test")
    outbox.put({"big": "x" * 1_000_000})
    for number in range(100):
        outbox.put({"id": number})
    outbox.close()
    sizes = [len(batch) for batch in batches(out)]
    assert sum(sizes) == 101
    assert len(sizes) <= 4


def test_putting_never_blocks_though_nobody_reads(pipe):
    _, into = pipe
    outbox = Outbox(into, "test")
    putting = threading.Thread(
        target=lambda: [outbox.put({"big": "x" * 100_000}) for _ in range(50)]
    )
    putting.start()
    putting.join(5)
    assert not putting.is_alive()
    pipe[0].close()  # or the outbox would wait for ever


def test_a_line_cut_short_is_the_end():
    whole = encode([{"id": 1}])
    assert list(batches(io.BytesIO(whole + whole[:-1]))) == [[{"id": 1}]]
    assert list(batches(io.BytesIO(whole + b"\0"))) == [[{"id": 1}]]


@pytest.mark.parametrize("noise", [b"Warning: something\n", b'{"id": 1}\n', b"[1]\n"])
def test_noise_is_no_batch(noise):
    with pytest.raises(ValueError, match=r"batch|Expecting"):
        list(batches(io.BytesIO(noise)))


ECHO = """
import os, sys
from aipc.child import answer_lines
def answer(question):
    if question == "print":
        print("what a library prints")
    if question == "die":
        os._exit(3)
    if question == "hang":
        import time
        time.sleep(60)
    return {"said": question}
answer_lines(lambda: answer)
"""


@pytest.fixture
def child():
    child = Child([sys.executable, "-c", ECHO])
    assert child.answer(30) is None
    yield child
    child.end()


def test_a_child_answers_line_by_line_and_its_prints_are_no_answers(child):
    assert child.ask("print", 30) == {"said": "print"}
    assert child.ask({"text": "é\n\u2028"}, 30) == {"said": {"text": "é\n\u2028"}}


def test_a_child_that_dies_says_how(child):
    with pytest.raises(ChildEnded) as caught:
        child.ask("die", 30)
    assert caught.value.status == 3
    with pytest.raises(ChildEnded):
        child.ask("more", 30)


def test_a_child_that_hangs_is_ended(child):
    with pytest.raises(ChildEnded) as caught:
        child.ask("hang", 0.2)
    assert caught.value.status is None


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal there")
@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.03])
def test_ctrl_c_does_not_reach_what_still_imports(after_s):
    with spared_ctrl_c():
        command = [sys.executable, "-c", "import json, typing; print('whole')"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    assert (process.communicate()[0], process.returncode) == (b"whole\n", 0)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())  # as before


def test_what_a_child_writes_to_stderr_can_be_kept(tmp_path):
    with (tmp_path / "stderr").open("w+") as stderr:
        child = Child([sys.executable, "-c", "import sys; sys.exit('last words')"], stderr)
        with pytest.raises(ChildEnded):
            child.answer(30)
        stderr.seek(0)
        assert stderr.read() == "last words\n"


LIMITED = """
from aipc.child import limit_memory
limit_memory(2**28)
held = bytearray(2**27)
print("has", len(held), flush=True)
bytearray(2**28)
"""


@pytest.mark.skipif(sys.platform == "darwin", reason="no process is limited there")
def test_a_process_gets_what_it_is_allowed_and_no_more():
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], capture_output=True, text=True, check=False
    )
    assert done.stdout == f"has {2**27}\n"
    assert done.stderr.endswith("MemoryError\n")
