"""Every method's weights against what its own library decodes."""

from __future__ import annotations

import numpy as np
import pytest
from quantized_cases import CASES, read_cases

WEIGHT = "layer.weight"


def rounded(values, dtype):
    """float32 as the library's own type has it."""
    if dtype == "F16":
        return values.astype(np.float16).astype(np.float32)
    if dtype == "BF16":
        bits = values.view(np.uint32)
        nearest = bits + 0x7FFF + ((bits >> 16) & 1)
        return (nearest >> 16 << 16).astype(np.uint32).view(np.float32)
    return values


@pytest.mark.parametrize("case", CASES)
def test_decodes_as_the_library_does(case, tmp_path):
    known = read_cases()[case]
    with known.open(tmp_path) as checkpoint:
        assert list(checkpoint.tensors) == [WEIGHT]
        found = checkpoint.rows(WEIGHT)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(rounded(found, known.dtype), known.decoded)
