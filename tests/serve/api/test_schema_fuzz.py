"""Schemathesis reads our OpenAPI document and asks what it allows and what it does not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import fake_session
import pytest
from served import served

SUPPORT = Path(fake_session.__file__).parent
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
HANG_S = 60


def fuzz(url: str, model: str, folder: Path, *arguments: str) -> int:
    """How many cases it tried; fails with its report where one of them was answered wrongly."""
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", f"{url}/openapi.json"]
    command += ["--checks", ",".join(CHECKS), "--request-timeout", str(HANG_S)]
    environment = {
        **os.environ,
        "AIPC_FUZZ_MODEL": model,
        "PYTHONPATH": str(SUPPORT),
        "SCHEMATHESIS_HOOKS": "fuzz_hooks",
    }
    done = subprocess.run(
        [*command, *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return int(re.search(r"([\d,]+) generated", done.stdout)[1].replace(",", ""))


def test_a_hundred_cases_are_answered_as_the_document_says(server, tmp_path):
    limits = ("--phases", "fuzzing", "-n", "20", "--seed", "7")
    assert fuzz(server.url, "fake", tmp_path, *limits) >= 100


@pytest.mark.long
def test_a_thousand_cases_with_the_small_real_model(small_store, smollm_gguf, tmp_path):
    with served(small_store, "--device", "cpu") as running:
        running.wait_for("is ready on cpu")
        limits = ("--phases", "coverage,fuzzing", "-n", "60", "--continue-on-failure")
        assert fuzz(running.url, "smollm2-135m", tmp_path, *limits) >= 1000
        assert running.process.poll() is None
