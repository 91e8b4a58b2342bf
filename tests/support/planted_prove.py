"""Programs that stand in for those of `aipc.measure.prove`, with a GPU that is none.

``planted_prove.py trial FAULT``: the CPU does the GPU's work, wrong as FAULT says.  The CPU itself
is slowed down a little, so that only a GPU that is slow on purpose is slower.
``planted_prove.py listing RUNTIME``: OpenVINO reaches the CPU and the GPU.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace

from aipc.devices import Device
from aipc.devices.counters.counter import Reading
from aipc.devices.counters.watch import watch
from aipc.errors import EngineError, NotPlaced
from aipc.measure.prove import listing, trial

GPU = Device(
    "GPU", "gpu", "Planted GPU", driver="1.2", memory_bytes=8 * 10**9, runtimes=("openvino",)
)
_VOCABULARY = 256
_open = trial.open_engine


class PlantedEngine:
    """The real engine, whose tokens are ``shift`` off after prompts longer than ``past``."""

    def __init__(self, engine, fault):
        self._engine = engine
        self._past = {"shifted past 512": 512}.get(fault, 10**9)
        self._delay = {"slow": 0.05, "the CPU's own": 0.005}.get(fault, 0.0)
        self.facts = engine.facts

    def start(self, prompt, decoding, stop_ids):
        stop_ids = frozenset() if len(prompt) > self._past else stop_ids
        return PlantedGeneration(
            self._engine.start(prompt, decoding, stop_ids), len(prompt) > self._past, self._delay
        )

    def close(self):
        self._engine.close()


class PlantedGeneration:
    def __init__(self, generation, shifted, delay):
        self._generation, self._shifted, self._delay = generation, shifted, delay

    def __iter__(self):
        return self

    def __next__(self):
        token = next(self._generation)
        time.sleep(self._delay)
        return (token + 100) % _VOCABULARY if self._shifted else token

    def cancel(self):
        self._generation.cancel()


class IdleGpu:
    """A counter by which the GPU has next to nothing to do."""

    def read(self, now):
        return Reading("gpu", "Planted GPU", "intel", busy_share=0.003)


def planted(task, tell):
    fault = sys.argv[2]
    if task.device != "GPU":
        engine, texts = _open(task, tell)
        return PlantedEngine(engine, "the CPU's own"), texts
    if fault == "crashes":
        os._exit(134)
    if fault == "hangs":
        time.sleep(600)
    if fault == "fails":
        raise EngineError("/home/somebody/model.xml could not be compiled")
    if fault == "taken by the CPU":
        raise NotPlaced("WEBGPU was requested and ONNX Runtime took CPUExecutionProvider")
    if fault == "counted idle":
        trial.watch = lambda kind: watch(kind, (IdleGpu(),))
    engine, texts = _open(replace(task, device="CPU"), tell)
    return PlantedEngine(engine, fault), texts


def list_planted():
    runtime = sys.argv.pop(1)
    assert runtime == "listing"
    real = listing.reachable_devices
    listing.reachable_devices = lambda runtimes: (
        (*real(runtimes), GPU) if "openvino" in runtimes else real(runtimes)
    )
    listing.main()


if sys.argv[1] == "listing":
    list_planted()
else:
    trial.open_engine = planted
    trial.main()
