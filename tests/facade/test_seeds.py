"""The seeds' programs, taken from their pages: only the imports and the model's name are changed.

The model is the small real one under Phi-3's names, in a folder as the programs have it. The
programs ask for an NPU and for GPU.0; AIPC_DEVICE says what stands in for them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from aipc.models.store import Store
from aipc.session.convert import convert

pytest.importorskip("torch", reason="needs torch: pip install 'aipc[transformers]'")

PAGES = Path(__file__).parent / "seeds"
ANSWER = "helpful AI assistant"
NPU_CHANGES = {
    "from intel_npu_acceleration_library import": "from aipc.facade import",
    "from intel_npu_acceleration_library.compiler import": "from aipc.facade.dtypes import",
}
OPENVINO_START = """\
from transformers import AutoConfig, AutoTokenizer
from aipc.facade import OVModelForCausalLM

model_dir = {folder!r}
"""
OPENVINO_END = """
tok = AutoTokenizer.from_pretrained(model_dir, trust_remote_code=True)
prompt = "<|system|>You are a helpful AI assistant.<|end|><|user|>can you introduce yourself?\
<|end|><|assistant|>"
input_tokens = tok(prompt, return_tensors="pt", add_special_tokens=False)
answer = ov_model.generate(**input_tokens, max_new_tokens=1024)
print(tok.batch_decode(answer, skip_special_tokens=True)[0])
"""
"""The page stops when the model is loaded; this is how its notebook goes on."""


def programs(page):
    """The Python blocks of a page, and the properties that its text gives."""
    text = (PAGES / f"{page}.md").read_text("utf-8")
    (properties,) = re.findall(r"\((ov_config = \{.*?\})\)", text)
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return [re.sub(r"[ \t]+$", "", block, flags=re.MULTILINE) for block in blocks], properties


def changed(program, changes):
    for old, new in changes.items():
        assert program.count(old) == 1, old
        program = program.replace(old, new)
    return program


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A store for all programs: the model is converted once."""
    return tmp_path_factory.mktemp("seeds-home")


@pytest.fixture
def run(home, tmp_path):
    def run(program, device):
        file = tmp_path / "program.py"
        file.write_text(program, "utf-8")
        return subprocess.run(
            [sys.executable, file],
            env=os.environ | {"AIPC_DEVICE": device, "AIPC_HOME": str(home)},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )

    return run


def test_both_translations_hold_the_same_programs():
    assert programs("sw") == programs("uk")
    assert len(programs("sw")[0]) == 3


def test_the_npu_program_prints_an_answer(run, phi3_checkpoint):
    (load, ask, _), _ = programs("sw")
    name = {'"microsoft/Phi-3-mini-4k-instruct"': repr(str(phi3_checkpoint))}
    done = run(changed(load, NPU_CHANGES | name) + ask, "emulate")
    assert done.returncode == 0, done.stderr
    assert ANSWER in done.stdout
    assert "AIPC_DEVICE=emulate: the program asks for npu" in done.stderr


def test_the_openvino_program_prints_an_answer(run, phi3_checkpoint, home):
    (_, _, load), properties = programs("uk")
    folder = str(convert(str(phi3_checkpoint), store=Store(home)).path)
    start = OPENVINO_START.format(folder=folder) + properties + "\n"
    done = run(start + load + OPENVINO_END, "cpu")
    assert done.returncode == 0, done.stderr
    answer = done.stdout.partition("<|assistant|>")[2]
    # which words come next is a near-tie, and differs between processors
    assert re.match(r"I'm a ([\w']+[ .,]+){10}", answer), done.stdout
    assert "AIPC_DEVICE=cpu: the program asks for GPU.0" in done.stderr
    assert "trust_remote_code has no effect" in done.stderr


def test_without_an_npu_the_program_says_what_to_do(run, phi3_checkpoint):
    from aipc.devices import reachable_devices

    if any(device.kind == "npu" for device in reachable_devices()):
        pytest.skip("this machine has an NPU")
    (load, _, _), _ = programs("uk")
    name = {'"microsoft/Phi-3-mini-4k-instruct"': repr(str(phi3_checkpoint))}
    done = run(changed(load, NPU_CHANGES | name), "")
    assert done.returncode == 1
    assert "no NPU" in done.stderr.splitlines()[-1]
    assert "AIPC_DEVICE=cpu" in done.stderr.splitlines()[-1]
