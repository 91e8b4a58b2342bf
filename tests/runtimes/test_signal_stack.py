from __future__ import annotations

import subprocess
import sys

import pytest

CLOSE_AND_SIGNAL = """
import signal, sys
from pathlib import Path
from aipc.models.store import Store
from aipc.session.loading import load

with load(device="cpu", runtime="openvino", store=Store(Path(sys.argv[1]))) as session:
    session.generate("Hi", max_new_tokens=2)
signal.signal(signal.SIGINT, lambda *_: print("handled"))
signal.raise_signal(signal.SIGINT)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there a signal has no stack")
def test_a_signal_after_a_model_was_closed_is_handled(small_store):
    command = [sys.executable, "-c", CLOSE_AND_SIGNAL, str(small_store.home)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "handled\n"), ended.stderr
