"""The examples run as they are, as scripts and as notebooks, with the small real model.

AIPC_EXAMPLE_MODEL names another one for them.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
EXTRA = "transformers' models need torch: pip install 'aipc[transformers]'"
DEMOS = {
    "npu_demo": ("torch", EXTRA),
    "directml_demo": ("onnxruntime_genai", "ONNX Runtime needs Python 3.11"),
    "openvino_demo": ("torch", EXTRA),
}
"""The package beyond aipc's own that each needs."""
EXECUTE = "from nbclient.cli import main; main()"


@pytest.fixture(scope="module")
def environment(smollm_gguf, tmp_path_factory):
    """As a user's, with a store that all examples share."""
    kept = {name: value for name, value in os.environ.items() if name != "AIPC_DEVICE"}
    kept.setdefault("AIPC_EXAMPLE_MODEL", str(smollm_gguf))
    return kept | {"AIPC_HOME": str(tmp_path_factory.mktemp("examples-home"))}


@pytest.fixture(params=DEMOS)
def demo(request):
    package, reason = DEMOS[request.param]
    pytest.importorskip(package, reason=reason)
    return EXAMPLES / request.param


def run(environment, *arguments):
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment | {"PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_hello(environment):
    done = run(environment, EXAMPLES / "hello.py", environment["AIPC_EXAMPLE_MODEL"])
    assert "Paris" in done.stdout
    assert "running on" in done.stderr


def test_batch_eval_scores_every_kind_of_question(environment, tmp_path):
    asked = (environment["AIPC_EXAMPLE_MODEL"], "--questions", "18", "--keep", tmp_path)
    done = run(environment, EXAMPLES / "batch_eval.py", *asked)
    rows = dict(re.findall(r"^(\w+) +(\d+ of +\d+) +\d+%", done.stdout, re.MULTILINE))
    assert len(rows) == 10
    assert rows["capital"] in {"1 of   2", "2 of   2"}
    assert rows["all"].endswith("of  18")
    assert len((tmp_path / "answers.jsonl").read_text("utf-8").splitlines()) == 18


def test_batch_extract_fills_the_columns_of_every_row(environment):
    done = run(environment, EXAMPLES / "batch_extract.py", environment["AIPC_EXAMPLE_MODEL"])
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [row["id"] for row in rows] == ["1001", "1002", "1003"]
    for row in rows:
        assert row["mood"] in {"pleased", "neutral", "annoyed"}
        assert row["topic"] in {"delivery", "product", "order"}


def test_a_demo_answers_as_a_script(demo, environment):
    answer = run(environment, demo.with_suffix(".py")).stdout
    assert answer.startswith("running on ")
    assert "capital of France" in answer


def test_a_demo_answers_as_a_notebook(demo, environment, tmp_path):
    pytest.importorskip("nbclient", reason="needs nbclient and ipykernel: pip install 'aipc[dev]'")
    executed = tmp_path / "executed.ipynb"
    run(environment, "-c", EXECUTE, f"--output={executed}", demo.with_suffix(".ipynb"))
    answer = "".join(
        "".join(output["text"])
        for cell in json.loads(executed.read_text("utf-8"))["cells"]
        for output in cell.get("outputs", ())
        if output.get("name") == "stdout"
    )
    assert answer.startswith("running on ")
    assert "capital of France" in answer


def test_the_notebooks_are_the_scripts():
    spec = importlib.util.spec_from_file_location("notebooks", EXAMPLES / "notebooks.py")
    notebooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(notebooks)
    assert {script.stem for script in notebooks.scripts()} == DEMOS.keys()
    for script in notebooks.scripts():
        wanted = notebooks.notebook_of(script.read_text("utf-8"))
        assert script.with_suffix(".ipynb").read_text("utf-8") == wanted, (
            f"{script.stem}.ipynb is older than its script: python examples/notebooks.py"
        )


def test_every_example_is_tested():
    tested = Path(__file__).read_text("utf-8")
    assert all(path.stem in tested for path in EXAMPLES.iterdir() if path.is_file())
