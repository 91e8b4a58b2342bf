from __future__ import annotations

import io
import os
import threading

import pytest

from aipc.serve.worker.channel import Outbox, batches, encode


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


def test_what_gathers_while_the_pipe_is_full_goes_as_one_frame(pipe):
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


def test_a_frame_cut_short_is_the_end():
    whole = encode([{"id": 1}])
    assert list(batches(io.BytesIO(whole + whole[:-1]))) == [[{"id": 1}]]
    assert list(batches(io.BytesIO(whole + b"\0"))) == [[{"id": 1}]]


def test_noise_is_no_frame():
    with pytest.raises(ValueError, match="a frame of"):
        list(batches(io.BytesIO(b"Warning: something\n")))
