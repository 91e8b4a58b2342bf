"""aipc whose NPU computes wrongly: each token of an answer is another one than the model's.

``python planted_npu.py ARGUMENT…``
"""

from __future__ import annotations

from aipc.__main__ import main
from aipc.runtimes.openvino.npu import NpuEngine

_VOCABULARY = 256
_start = NpuEngine.start


def wrong(generation):
    for token in generation:
        yield (token + 100) % _VOCABULARY


NpuEngine.start = lambda engine, *request: wrong(_start(engine, *request))
main()
