from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import sys
from pathlib import Path
from aipc.runtimes.onnx.runtime import ONNXRuntime
ONNXRuntime().open(Path(sys.argv[1]), "cpu", {}).close()
"""
QUIET_BY_THEMSELVES = ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD", "ORT_DISABLE_TELEMETRY")


def test_onnx_runtime_keeps_nothing_to_send(tiny_onnx, tmp_path):
    """Otherwise it writes a number for this machine, and events, into the user's cache folder."""
    kept = {name: value for name, value in os.environ.items() if name not in QUIET_BY_THEMSELVES}
    places = ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA")
    nowhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tiny_onnx("llama-gqa")[0])],
        env=kept | nowhere | dict.fromkeys(places, str(tmp_path)),
        check=True,
    )
    assert list(tmp_path.iterdir()) == []
