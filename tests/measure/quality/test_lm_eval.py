"""The harness itself, where it is installed, on a task of its own and the small real model."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from aipc.generate import GREEDY, SamplingDefaults, resolve
from aipc.runtimes.base import Decoding
from aipc.runtimes.sampling import Sampling

pytest.importorskip("lm_eval", reason="pip install 'aipc[eval]'")

CAPITALS = ("France", "Paris"), ("Japan", "Tokyo"), ("Italy", "Rome"), ("Egypt", "Cairo")
CHOICE = """
task: aipc_capitals
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: multiple_choice
doc_to_text: "The capital of {{country}} is"
doc_to_target: 0
doc_to_choice: choices
metric_list: [{metric: acc}]
"""
ANSWER = """
task: aipc_answers
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: generate_until
doc_to_text: "Question: What is the capital of {{country}}?\\nAnswer: The capital of {{country}} is"
doc_to_target: "{{capital}}"
generation_kwargs: {until: ["."], max_gen_toks: 6}
filter_list:
  - name: word
    filter: [{function: regex, regex_pattern: "([A-Z][a-z]+)"}, {function: take_first}]
metric_list: [{metric: exact_match}]
"""
TEXT = """
task: aipc_text
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "The capital of {{country}} is {{capital}}."
metric_list: [{metric: word_perplexity}]
"""


@pytest.mark.parametrize(
    ("asked", "changed"),
    [
        ({}, {}),
        ({"do_sample": False, "temperature": 0.0, "top_p": 0.9}, {}),
        ({"do_sample": True, "temperature": None}, {"temperature": 1.0}),
        ({"do_sample": True, "temperature": 0.7, "top_k": 5}, {"temperature": 0.7, "top_k": 5}),
        ({"repetition_penalty": 1.1}, {"repetition_penalty": 1.1}),
    ],
)
def test_a_task_is_answered_as_it_asks_whatever_the_catalogue_has(asked, changed):
    from aipc.measure.quality.lm_eval import _sampling

    catalogue = {"temperature": 0.6, "top_p": 0.9, "repetition_penalty": 1.05}
    stated = [SamplingDefaults("the catalogue", catalogue)]
    decoding = resolve(Sampling(**_sampling(asked), seed=1), stated).decoding
    seed = decoding.seed
    assert decoding == Decoding(1024, **{**GREEDY, **changed}, seed=seed)


def test_the_harness_runs_every_kind_of_task(small_store, tmp_path):
    data = tmp_path / "capitals.json"
    data.write_text(
        "\n".join(
            json.dumps({"country": land, "capital": town, "choices": [town, "Quebec", "Lyon"]})
            for land, town in CAPITALS
        )
    )
    for name, task in (("choice", CHOICE), ("answer", ANSWER), ("text", TEXT)):
        (tmp_path / f"{name}.yaml").write_text(task.replace("DATA", json.dumps(str(data))))
    command = [sys.executable, "-m", "aipc.measure.quality.lm_eval", "run", "--model", "aipc"]
    command += [
        "--model_args",
        "model=smollm2-135m",
        "--device",
        "cpu",
        "--include_path",
        str(tmp_path),
    ]
    command += ["--tasks", "aipc_capitals,aipc_answers,aipc_text"]
    command += ["--output_path", str(tmp_path / "out")]
    done = subprocess.run(
        command, env=offline(small_store, tmp_path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (found,) = (tmp_path / "out").rglob("results*.json")
    results = json.loads(found.read_text())["results"]
    assert results["aipc_capitals"]["acc,none"] >= 0.75
    assert results["aipc_answers"]["exact_match,word"] >= 0.75
    assert 1 < results["aipc_text"]["word_perplexity,none"] < 1000


def offline(store, home):
    return {
        **os.environ,
        "AIPC_HOME": str(store.home),
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(home / "hf"),
        "HF_DATASETS_CACHE": str(home / "datasets"),
    }
