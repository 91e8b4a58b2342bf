"""Compress a float OpenVINO IR with NNCF, as optimum-cli does for the same flags.

    PEER_PYTHON benchmarks/quality_nncf.py IR_FOLDER TARGET [--tokens 4096]

IR_FOLDER is what ``optimum-cli export openvino --weight-format fp16`` wrote; PEER_PYTHON is the
interpreter of the environment that `peers.py` makes.  TARGET's last part says how: ``int8_asym``
or MODE-WIDTH-METHOD (``int4_sym-g64-awq-scale-estimation``, ``int4_sym-row-data-free``).  The
methods that need data get the calibration text that aipc has.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino as ov
from tokenizers import Tokenizer

METHODS = {
    "data-free": {},
    "awq": {"awq": True},
    "scale-estimation": {"scale_estimation": True},
    "awq-scale-estimation": {"awq": True, "scale_estimation": True},
    "gptq": {"gptq": True},
    "gptq-scale-estimation": {"gptq": True, "scale_estimation": True},
}
WINDOW = 512
TEXT = Path(__file__).parents[1] / "src" / "aipc" / "convert" / "quantizers" / "calibration.txt"


def windows(folder: Path, tokens: int) -> nncf.Dataset:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = np.array(tokenizer.encode(TEXT.read_text("utf-8")).ids[:tokens], np.int64)
    return nncf.Dataset(
        [
            {
                "input_ids": window[None],
                "attention_mask": np.ones((1, WINDOW), np.int64),
                "position_ids": np.arange(WINDOW)[None],
                "beam_idx": np.zeros(1, np.int32),
            }
            for window in ids[: len(ids) // WINDOW * WINDOW].reshape(-1, WINDOW)
        ]
    )


def options(variant: str, source: Path, tokens: int) -> dict[str, Any]:
    """What ``nncf.compress_weights`` is called with."""
    mode, _, rest = variant.partition("-")
    kind = {"mode": nncf.CompressWeightsMode(mode)}
    if not rest:
        return kind
    width, _, method = rest.partition("-")
    group = -1 if width == "row" else int(width.removeprefix("g"))
    found = {**kind, "group_size": group, "ratio": 1.0, "all_layers": False, **METHODS[method]}
    if METHODS[method]:
        found |= {"dataset": windows(source, tokens), "subset_size": tokens // WINDOW}
    return found


def compress(source: Path, target: Path, tokens: int) -> None:
    ignored = shutil.ignore_patterns("openvino_model.*")
    shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)
    model = ov.Core().read_model(source / "openvino_model.xml")
    model = nncf.compress_weights(model, **options(target.name, source, tokens))
    ov.save_model(model, target / "openvino_model.xml", compress_to_fp16=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--tokens", type=int, default=4096)
    asked = parser.parse_args()
    compress(asked.source, asked.target, asked.tokens)


if __name__ == "__main__":
    main()
