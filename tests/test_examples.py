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

import lora
import minilm
import numpy as np
import pytest
from tiny_encoder import write_reader

EXAMPLES = Path(__file__).parents[1] / "examples"
EXTRA = "transformers' models need torch: pip install -e '.[transformers]'"
DEMOS = {
    "npu_demo": ("torch", EXTRA),
    "directml_demo": ("onnxruntime_genai", "ONNX Runtime needs Python 3.11"),
    "openvino_demo": ("torch", EXTRA),
}
"""The package beyond aipc's own that each needs."""
NEEDS_TORCH = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason=EXTRA)
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


def test_semantic_search(environment, small_store, tmp_path):
    passages = tmp_path / "passages.txt"
    passages.write_text("Rice is cooked in water.\n\nPandas are bears.\nThey live in China.\n")
    ranker = write_reader(tmp_path / "ranker", "bert-score")
    question = ["Where do pandas live?", passages, "--top", "1"]
    embedder = ["--model", small_store.fetch(minilm.SOURCE)]
    example = EXAMPLES / "semantic_search.py"
    done = run(environment, example, *question, *embedder)
    assert done.stdout.endswith("  Pandas are bears. They live in China.\n")
    done = run(environment, example, *question, *embedder, "--reranker", ranker)
    assert re.fullmatch(r"0\.\d{3}  .+\n", done.stdout)


def test_adapters(environment, tmp_path):
    rng, where = np.random.default_rng(0), "base_model.model.model.layers.9.mlp.up_proj"
    values = {
        f"{where}.lora_A.weight": rng.standard_normal((2, 576)).astype(np.float32),
        f"{where}.lora_B.weight": rng.standard_normal((1536, 2)).astype(np.float32),
    }
    own = lora.write_adapter(
        tmp_path / "own", {"peft_type": "LORA", "r": 2, "lora_alpha": 2}, values
    )
    model = environment["AIPC_EXAMPLE_MODEL"]
    done = run(environment, EXAMPLES / "adapters.py", model, f"own={own}", f"none={own}:0")
    _, plain, own_answer, none = re.split(r"-- (?:no adapter|own|none)\n", done.stdout)
    assert plain == none != own_answer


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


@pytest.mark.parametrize("name", ["hello", "batch_eval", "batch_extract"])
def test_an_example_that_fails_says_why_in_one_line(name, tmp_path):
    store = {"AIPC_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", "org/model"],
        env=os.environ | store | {"PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("'org/model' is not in the store")
    assert "Traceback" not in done.stderr


def test_a_demo_answers_as_a_script(demo, environment):
    answer = run(environment, demo.with_suffix(".py")).stdout
    assert answer.startswith("running on ")
    assert "capital of France" in answer


def test_a_demo_answers_as_a_notebook(demo, environment, tmp_path):
    pytest.importorskip("nbclient", reason="needs nbclient and ipykernel: pip install -e '.[dev]'")
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


@pytest.mark.parametrize(
    ("name", "packages", "device", "told"),
    [
        ("npu_demo", ["torch"], "emulate", "this example needs torch: `"),
        (
            "npu_demo",
            ["torch", "transformers"],
            "npu",
            "this example needs torch and transformers: `",
        ),
        ("openvino_demo", ["torch"], "cpu", "this example needs torch: `"),
        pytest.param("openvino_demo", [], "gpu.7", "this machine has no ", marks=NEEDS_TORCH),
        ("directml_demo", [], "cuda", "no installed package brings ONNX Runtime to cuda; `"),
    ],
)
def test_a_demo_looks_for_what_it_needs_before_it_works(name, packages, device, told, tmp_path):
    """Nothing is fetched or converted, and a missing package is no traceback."""
    program = (
        "import runpy, sys; "
        f"sys.modules.update(dict.fromkeys({packages})); "
        f"runpy.run_path({str(EXAMPLES / (name + '.py'))!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "AIPC_HOME": str(tmp_path / "home"), "AIPC_DEVICE": device},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(told)
    assert done.stderr.count("\n") == 1
    kept = tmp_path / "home"
    assert not any((kept / kind).exists() for kind in ("checkpoints", "artifacts"))


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
