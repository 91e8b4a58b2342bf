"""Where a loaded model really computes: ONNX Runtime's own profile of one run."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KERNEL = "kernel_time"
_TOKEN = 0  # of any kind: every vocabulary has it


def read_placement(model: Any) -> Mapping[str, int]:
    """Execution provider to the number of nodes that it computed for one token.

    ``model`` is an ``og.Model``: the profile is of the session that will answer, not of a copy.
    Providers fuse nodes, so numbers of two providers can't be compared.
    """
    import onnxruntime_genai

    params = onnxruntime_genai.GeneratorParams(model)
    params.set_search_options(max_length=2, batch_size=1, num_beams=1)
    generator = onnxruntime_genai.Generator(model, params)
    with tempfile.TemporaryDirectory(prefix="aipc-") as folder:
        generator.set_runtime_option("enable_profiling", str(Path(folder, "run")))
        generator.append_tokens([_TOKEN])
        generator.set_runtime_option("enable_profiling", "0")
        return _count(Path(folder))


def _count(folder: Path) -> Mapping[str, int]:
    counted: Counter[str] = Counter()
    for file in folder.iterdir():
        for event in json.loads(file.read_text("utf-8")):
            if event.get("cat") == "Node" and event["name"].endswith(KERNEL):
                counted[event["args"]["provider"]] += 1
    return dict(counted)
