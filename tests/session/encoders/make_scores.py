"""Write what sentence-transformers makes of texts with tiny models: python make_scores.py.

Needs torch and sentence-transformers (written with 2.13.0 and 6.2.0); run it from this folder with
``tests/support`` on PYTHONPATH.  Reading the results needs neither.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tiny_encoder
from sentence_transformers import CrossEncoder, SentenceTransformer

NAMES = ("bert-score", "modernbert-mean", "modernbert-score", "xlm-roberta-score")


def main():
    query, documents = tiny_encoder.pairs()
    scores = {}
    for name in NAMES:
        with TemporaryDirectory() as folder:
            tiny_encoder.write_reader(Path(folder), name)
            model = CrossEncoder(folder, device="cpu")
            scores[name] = model.predict([(query, each) for each in documents])
    with TemporaryDirectory() as folder:
        tiny_encoder.write_judge(Path(folder))
        model = CrossEncoder(folder, device="cpu")
        scores["judge"] = model.predict([(query, each[:20]) for each in documents])
    np.savez_compressed(Path(__file__).parent / "scores.npz", **scores)
    vectors = {}
    for name, (pooling, modules) in tiny_encoder.EMBEDDERS.items():
        with TemporaryDirectory() as folder:
            tiny_encoder.write_reader(Path(folder), name, pooling=pooling, modules=modules)
            model = SentenceTransformer(folder, device="cpu")
            vectors[name] = model.encode(documents)
    for name in tiny_encoder.CHAINS:
        with TemporaryDirectory() as folder:
            tiny_encoder.write_chain(Path(folder), name)
            vectors[name] = SentenceTransformer(folder, device="cpu").encode(documents)
    np.savez_compressed(Path(__file__).parent / "vectors.npz", **vectors)


if __name__ == "__main__":
    main()
