"""Real runtimes on a tiny model, and what goes wrong with a GPU that is planted."""

from __future__ import annotations

import re
import socket

import pytest

from aipc.measure.prove.record import FAILED, NOT_PLACED, OK, SLOW, WRONG, to_json
from aipc.measure.prove.summary import summary


def gpu_of(proof):
    (gpu,) = [one for one in proof.devices if one.device == "GPU"]
    return gpu


def test_a_device_that_computes_as_the_cpu_is_ok(planted):
    proof, said = planted("none")
    cpu, gpu = proof.devices
    assert (cpu.verdict, gpu.verdict) == (OK, OK), said
    assert gpu.faults == ()
    assert gpu.cut == ()
    assert (gpu.name, gpu.driver, gpu.claim) == ("Planted GPU", "1.2", "measured")
    assert [one.what for one in gpu.agreements] == [
        "questions",
        "questions",
        "16 tokens",
        "128 tokens",
        "512 tokens",
        "2,000 tokens",
        "a question after a cancel",
        "a long answer",
        "a question after a reload",
    ]
    assert all(one.agreed >= 0.8 * one.tokens for one in gpu.agreements)
    assert gpu.speed.runs == 5
    assert gpu.cancel.same_after
    assert gpu.same_after_reload
    assert gpu.starts.again_s > 0
    assert gpu.judge == "openvino"
    assert gpu.judged_same_weights


def test_neither_file_holds_a_path_a_name_or_a_prompt(
    planted, tiny_model, proof_store, monkeypatch
):
    monkeypatch.setenv("HOME", "/home/jane.doe")
    monkeypatch.setenv("LOGNAME", "jdoe")
    monkeypatch.setattr(socket, "gethostname", lambda: "janes-laptop")
    proof, _ = planted("none", device="cpu", minutes=1.0)
    assert [one.device for one in proof.devices] == ["CPU"]
    assert proof.model.name == "another"
    for text in (to_json(proof), summary(proof)):
        for personal in ("jane", "jdoe", tiny_model.name, str(proof_store.home), "France", "bread"):
            assert personal not in text
        assert not re.search(r"(?<![\w)/])/\w+/|\w:\\\\", text)


def test_a_kernel_that_is_wrong_past_512_tokens_is_found_and_the_prompt_named(planted):
    gpu = gpu_of(planted("shifted past 512")[0])
    assert gpu.verdict == WRONG
    (fault,) = gpu.faults
    assert fault.words.startswith("after a prompt of 2,000 tokens the CPU would have chosen ")
    counts = {one.what: one.agreed / one.tokens for one in gpu.agreements}
    assert counts["512 tokens"] >= 0.8
    assert counts["2,000 tokens"] <= 0.2


def test_a_slow_device_is_found_and_compared_with_the_cpu(planted):
    gpu = gpu_of(planted("slow")[0])
    assert gpu.verdict == SLOW
    assert " times as long as on the CPU through openvino (" in gpu.faults[0].words
    assert gpu.faults[0].words.startswith("a token takes ")


def test_a_device_whose_counter_says_that_it_rests_is_not_placed(planted):
    gpu = gpu_of(planted("counted idle")[0])
    assert gpu.verdict == NOT_PLACED
    assert gpu.faults[0].words.startswith("its counter shows it 0.3% busy while it answered, and")
    assert gpu.placement.busy_share == pytest.approx(0.003)


def test_a_device_that_crashes_costs_only_itself(planted):
    proof, _ = planted("crashes")
    assert [one.verdict for one in proof.devices] == [OK, FAILED]
    assert gpu_of(proof).faults[0].words == "its process crashed (status 134) at: loading"
