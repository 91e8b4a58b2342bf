"""Write what peft makes of the adapters of `lora`: python make_reference.py.

Needs torch, transformers and peft (written with 2.13.0, 5.5.4 and 0.21.2); run it from this folder
with ``tests/support`` on PYTHONPATH.  Reading the results needs none of them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import lora
import numpy as np
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def logits(name: str, folder: Path) -> np.ndarray:
    """Of the adapted network, not merged: float32 [2, vocabulary], at two places."""
    base = lora.write_base(folder / "base", name)
    adapter = lora.write_case(folder / "adapter", name)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    adapted = PeftModel.from_pretrained(model, adapter).eval()
    with torch.no_grad():
        return adapted(torch.tensor([lora.IDS])).logits[0, [4, -1]].numpy()


if __name__ == "__main__":
    found = {}
    for case in lora.CASES:
        with tempfile.TemporaryDirectory() as scratch:
            found[case] = logits(case, Path(scratch))
    np.savez_compressed(Path(__file__).with_name("peft.npz"), **found)
