"""LoRA adapters that are damaged or hostile: their settings and their tensors."""

from __future__ import annotations

import json
import random
from pathlib import Path

import lora
import numpy as np
import tiny
from hostile_files import ESCAPES, VALUES, Models, changed_json, changed_safetensors

KEYS = (
    *("r", "lora_alpha", "target_modules", "rank_pattern", "alpha_pattern", "use_dora"),
    *("use_rslora", "fan_in_fan_out", "bias", "modules_to_save", "peft_type", "task_type"),
    *("layers_to_transform", "layers_pattern", "lora_bias", "base_model_name_or_path"),
)
PATTERNS = ("(a+)+$", "(", "[z-a]", "(?<=a)b", "\\", ".*" * 2000, "(.*)*x", ESCAPES)
"""Regular expressions that are none, or take long."""


def adapter(rng: random.Random, models: Models, folder: Path) -> Path:
    """The adapter; the checkpoint that it is for is beside it, in ``base``."""
    name = rng.choice(list(lora.CASES))
    lora.write_base(folder / "base", name)
    path = lora.write_case(folder / "adapter", name)
    settings, tensors = path / "adapter_config.json", path / "adapter_model.safetensors"
    kind = rng.randrange(5)
    if kind < 2:
        changed_json(rng, settings, KEYS, VALUES)
    elif kind == 2:
        stated = json.loads(settings.read_text())
        pattern = rng.choice(PATTERNS)
        places = ("target_modules", "rank_pattern", "alpha_pattern", "modules_to_save")
        place = rng.choice(places)
        stated[place] = {pattern: 3} if place.endswith("_pattern") else pattern
        settings.write_text(json.dumps(stated))
    elif kind == 3:
        changed_safetensors(rng, tensors)
    else:
        _rename(rng, path, name)
    return path


def _rename(rng, path, name):
    """Tensors of other names and shapes than their settings say."""
    values = lora.tensors(name, tiny.random_tensors(lora.base_config(name)))
    for one in rng.sample(sorted(values), min(2, len(values))):
        value = values.pop(one)
        other = rng.choice((one + "x", one.replace("layers.0", "layers.99"), ESCAPES, one))
        shapes = (value.T, value[:1], value[..., None], value.astype(np.float16), value * np.inf)
        values[other] = np.ascontiguousarray(rng.choice(shapes))
    lora.write_adapter(path, lora.stated(name), values)
