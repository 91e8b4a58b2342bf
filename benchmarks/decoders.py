"""Decode speed of an artifact by the runtime that it was made for, at batch 1 on every core.

    python benchmarks/decoders.py FOLDER PROPERTIES

Loads it, warms it up and says ready; then times as many tokens as each line of its input asks for,
and answers with tokens a second, prompt excluded.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer

PROMPT = "Write a long story about a lighthouse and the people who kept it."
LONGEST = 512
MARK = "decoder: "
"""Begins every line that is an answer: some runtimes print lines of their own."""


def openvino(folder: Path, properties: dict[str, str]) -> Callable[[int], float]:
    import openvino_genai

    pipeline = openvino_genai.LLMPipeline(str(folder), "CPU", **properties)

    def speed(tokens: int) -> float:
        result = pipeline.generate([PROMPT], max_new_tokens=tokens, ignore_eos=True)
        return 1000 / result.perf_metrics.get_tpot().mean

    return speed


def onnx(folder: Path, _properties: dict[str, str]) -> Callable[[int], float]:
    import onnxruntime_genai

    model = onnxruntime_genai.Model(str(folder))
    options = onnxruntime_genai.GeneratorParams(model)
    options.set_search_options(max_length=LONGEST, min_length=LONGEST)

    def tokens() -> Iterator[None]:
        generator = onnxruntime_genai.Generator(model, options)
        generator.append_tokens(_prompt(folder))
        while True:
            generator.generate_next_token()
            yield

    return lambda count: _rate(tokens(), count)


def llama_cpp(folder: Path, _properties: dict[str, str]) -> Callable[[int], float]:
    import llama_cpp as vendor

    cores = os.cpu_count()
    model = vendor.Llama(
        str(folder / "model.gguf"), n_ctx=LONGEST, n_threads=cores, n_threads_batch=cores,
        verbose=False,
    )  # fmt: skip
    prompt = model.tokenize(PROMPT.encode(), add_bos=False)
    return lambda count: _rate(model.generate(prompt, temp=0.0, reset=True), count)


def _prompt(folder: Path) -> list[int]:
    return Tokenizer.from_file(str(folder / "tokenizer.json")).encode(PROMPT).ids


def _rate(tokens: Iterator[object], count: int) -> float:
    """Tokens a second between the first one and the last."""
    next(tokens)
    started = time.perf_counter()
    for _ in islice(tokens, count - 1):
        pass
    return (count - 1) / (time.perf_counter() - started)


def main() -> None:
    folder, properties = Path(sys.argv[1]), json.loads(sys.argv[2])
    kinds = {"openvino_model.xml": openvino, "model.onnx": onnx, "model.gguf": llama_cpp}
    kind = next(kind for file, kind in kinds.items() if (folder / file).exists())
    speed = kind(folder, properties)
    speed(8)  # the first inference repacks the weights
    print(f"{MARK}ready", flush=True)
    for line in sys.stdin:
        print(f"{MARK}{speed(int(line))}", flush=True)


if __name__ == "__main__":
    main()
