"""The program of the process in which `GrammarCheck` has grammars compiled.

It reads a JSON object a line, a constraint's kind and text, and answers each with a line: the
vendor's complaint, or nothing.  The vendor compiles a grammar only while it generates, so a
network without weights stands in for the model.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aipc import disk
from aipc.child import answer_lines, limit_memory
from aipc.errors import EngineError
from aipc.runtimes.base import Decoding
from aipc.runtimes.openvino.generation import generation_config, token_tensor
from aipc.runtimes.openvino.tokenizer import open_tokenizer
from aipc.runtimes.vendor_errors import reason_line

MEMORY = 2 * 2**30  # bytes that grammars may take: more would be the model's
PROCESSOR_S = 2.0
"""Seconds of processor time that one may take: a step of the model's pipeline compiles the grammar
once more, and all its requests wait."""


def main() -> None:
    """Serve the folder that is the first argument, until stdin ends."""
    answer_lines(_start)


def _start() -> Callable[[Any], str]:
    import openvino_genai

    pipeline, stop = _pipeline(Path(sys.argv[1])), frozenset({0})
    limit_memory(MEMORY)

    def complaint(constraint: Any) -> str:
        config = generation_config(Decoding(1), stop)
        structured = {constraint["kind"]: constraint["text"]}
        config.structured_output_config = openvino_genai.StructuredOutputConfig(**structured)
        try:
            _limit_time(PROCESSOR_S)
            pipeline.generate(token_tensor([0]), config)
        except Exception as error:  # noqa: BLE001 - any complaint is the answer
            return reason_line(error)
        finally:
            _limit_time(0)
        return ""

    return complaint


def _pipeline(artifact: Path) -> Any:
    import numpy as np
    import openvino
    import openvino_genai

    tokenizer = open_tokenizer(artifact)
    with disk.scratch(EngineError) as folder:
        graph = folder / "model.xml"
        openvino.save_model(_network(max(tokenizer.get_vocab().values()) + 1), graph)
        weights = openvino.Tensor(np.fromfile(graph.with_suffix(".bin"), np.uint8))
        text = graph.read_text("utf-8")
    return openvino_genai.LLMPipeline(text, weights, tokenizer, "CPU", ATTENTION_BACKEND="SDPA")


def _network(vocabulary: int) -> Any:
    """Gives every token the score 0."""
    import numpy as np
    import openvino
    from openvino import opset13 as opset

    ids = opset.parameter([-1, -1], np.int64, name="input_ids")
    mask = opset.parameter([-1, -1], np.int64, name="attention_mask")
    beam = opset.parameter([-1], np.int32, name="beam_idx")
    inputs = [ids, mask, beam]
    for each in inputs:
        each.output(0).set_names({each.get_friendly_name()})
    shape = opset.concat([opset.shape_of(ids), opset.constant(np.array([vocabulary], np.int64))], 0)
    scores = opset.broadcast(opset.constant(np.float32(0)), shape)
    scores.output(0).set_names({"logits"})
    return openvino.Model([opset.result(scores)], inputs, "none")


def _limit_time(seconds: float) -> None:
    """Die after so many of processor time; 0 lifts the limit.  Windows has none like it."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)


if __name__ == "__main__":
    main()
