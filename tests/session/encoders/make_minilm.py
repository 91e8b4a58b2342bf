"""Write what sentence-transformers answers for a real model: python make_minilm.py FOLDER.

FOLDER is the checkpoint of `minilm.SOURCE`, unpacked.  Needs torch and sentence-transformers
(written with 2.13.0 and 6.2.0); run it from this folder with ``tests/support`` on PYTHONPATH.
Reading the results needs neither.
"""

from __future__ import annotations

import sys

import minilm
import numpy as np
from sentence_transformers import SentenceTransformer


def main(folder):
    model = SentenceTransformer(folder, device="cpu")
    vectors = model.encode(minilm.texts(), batch_size=1, convert_to_numpy=True)
    np.savez_compressed(minilm.VECTORS, vectors=vectors.astype(np.float16))


if __name__ == "__main__":
    main(sys.argv[1])
