"""Run an OpenVINO IR directly, numerics pinned: what its graph computes, nothing else."""

from __future__ import annotations

import numpy as np

EXACT = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}


class Scorer:
    def __init__(self, folder):
        import openvino

        model = openvino.Core().compile_model(folder / "openvino_model.xml", "CPU", EXACT)
        self.request = model.create_infer_request()
        self.past = 0

    def reset(self):
        self.request.reset_state()
        self.past = 0

    def logits(self, ids):
        """float32 [len(ids), vocabulary], after all ids given so far."""
        new = np.asarray([ids], np.int64)
        end = self.past + new.shape[1]
        outputs = self.request.infer(
            {
                "input_ids": new,
                "attention_mask": np.ones((1, end), np.int64),
                "position_ids": np.arange(self.past, end)[None],
                "beam_idx": np.zeros(1, np.int32),
            }
        )
        self.past = end
        return outputs["logits"][0].copy()

    def greedy(self, prompt, count):
        ids, answer = list(prompt), []
        for _ in range(count):
            answer.append(int(self.logits(ids)[-1].argmax()))
            ids = answer[-1:]
        return answer
