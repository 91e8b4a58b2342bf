"""Tiny networks of every family, with what transformers answers for them.

`tests/convert/networks` holds, for each, its config and the shapes of its tensors, scores of some
positions and greedy answers: `make_networks.py` there wrote them, with torch.  The weights are
drawn here, so that they need not be kept.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import tiny

FOLDER = Path(__file__).parent.parent / "convert" / "networks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
MIXTURES = [
    name
    for name in NAMES
    if "moe" in name or name.startswith(("mixtral", "gpt_oss", "granite4-experts"))
]
NOT_FOR_ONNX = {"gemma4", "gemma4-dense"}
HYBRID = [name for name in NAMES if name.startswith(("lfm2", "qwen3_5"))]
"""Those in which some blocks do not attend."""
VOCABULARY = 260
SHORT = [72, 101, 108, 108, 111]
LONG = [int(one) for one in np.random.default_rng(11).integers(0, 256, 40)]
"""Prompts shorter and longer than every window, stretched context and step of the networks."""
PLACES = [0, 4, 7, 8, 12, 20, 31, 39]
"""Positions of `LONG` whose scores are kept."""
ANSWER = 60


def draw(name, shape, drawn):
    """A float16 number for each weight, in float32, spread so that answers vary.

    ``drawn`` says how: a ``seed``, the ``embedding``'s size, and the ``norm_offset`` that norm
    weights are stored less.
    """
    rng = np.random.default_rng([drawn["seed"], zlib.crc32(name.encode())])
    if "A_log" in name:  # a memory that lasts for some tens of tokens
        return tiny.as_float16(-2.5 + rng.standard_normal(shape))
    if len(shape) > 1:
        spread = 2 if ".q_proj" in name or ".k_proj" in name else 1
        spread = drawn["embedding"] if "embed_tokens" in name else spread
        return tiny.as_float16(spread * rng.standard_normal(shape) / np.sqrt(shape[1]))
    offset = 0 if "linear_attn.norm" in name else drawn["norm_offset"]
    centre = 1 - offset if "norm" in name or "scalar" in name else 0
    return tiny.as_float16(centre + 0.2 * rng.standard_normal(shape))


@dataclass(frozen=True)
class Stated:
    """A network by what the file NAME.json in ``folder`` states of it."""

    name: str
    folder: ClassVar[Path] = FOLDER

    @cached_property
    def _stated(self):
        return json.loads((self.folder / f"{self.name}.json").read_text("utf-8"))

    @property
    def config(self):
        return self._stated["config"]

    def write(self, folder):
        """The checkpoint, as a folder."""
        return tiny.write_checkpoint(folder, self.config, self.tensors())


class Expected(Stated):
    """What transformers says, in float32."""

    @property
    def answers(self):
        """Greedy token ids after `SHORT` and after `LONG`."""
        return self._stated["answers"]

    @cached_property
    def logits(self):
        """float32 [places, vocabulary]."""
        with np.load(FOLDER / "logits.npz") as file:
            return file[self.name]

    def tensors(self):
        shapes, drawn = self._stated["shapes"], self._stated["drawn"]
        return {name: draw(name, shape, drawn) for name, shape in shapes.items()}
