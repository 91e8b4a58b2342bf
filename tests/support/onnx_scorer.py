"""Run an ONNX artifact directly on the CPU: what its graph computes, nothing else."""

from __future__ import annotations

import numpy as np
import pytest


class Scorer:
    """With ``exact``, products see their inputs unrounded, whatever accuracy the graph asks for."""

    def __init__(self, folder, exact=True):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        model = exactly(folder) if exact else folder / "model.onnx"
        with pytest.MonkeyPatch.context() as patch:
            if exact:  # QMoE of 8 bits rounds its inputs at every accuracy level
                patch.setenv("ORT_QMOE_CPU_QNBIT_GEMM", "fp32")
            self.session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        self.inputs = {one.name: one for one in self.session.get_inputs()}
        self.outputs = [one.name for one in self.session.get_outputs()]
        self.reset()

    def reset(self):
        self.past = 0
        self.cache = {
            name: np.zeros(
                [{"batch": 1, "past": 0}.get(size, size) for size in one.shape],
                numpy_type(one.type),
            )
            for name, one in self.inputs.items()
            if name.startswith("past")
        }

    def logits(self, ids):
        """float32 [len(ids), vocabulary], after all ids given so far."""
        new = np.asarray([ids], np.int64)
        end = self.past + new.shape[1]
        feeds = {"input_ids": new, "attention_mask": np.ones((1, end), np.int64), **self.cache}
        if "position_ids" in self.inputs:
            feeds["position_ids"] = np.arange(self.past, end)[None]
        found = dict(zip(self.outputs, self.session.run(None, feeds), strict=True))
        self.cache = {name: found[present(name)] for name in self.cache}
        self.past = end
        return found["logits"][0].astype(np.float32)

    def greedy(self, prompt, count):
        ids, answer = list(prompt), []
        for _ in range(count):
            answer.append(int(self.logits(ids)[-1].argmax()))
            ids = answer[-1:]
        return answer


def present(past):
    """The output that is the next call's input."""
    return past.replace("past_key_values", "present").replace("past", "present")


def exactly(folder):
    """A copy of the graph, beside it, without any accuracy level."""
    import onnx

    model = onnx.load(folder / "model.onnx", load_external_data=False)
    for node in model.graph.node:
        kept = [one for one in node.attribute if one.name != "accuracy_level"]
        del node.attribute[:]
        node.attribute.extend(kept)
    copy = folder / "exact.onnx"
    copy.write_bytes(model.SerializeToString())
    return copy


def numpy_type(name):
    return {"tensor(float)": np.float32, "tensor(float16)": np.float16}[name]
