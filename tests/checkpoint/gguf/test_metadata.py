from pathlib import Path

import numpy as np
import pytest

from aipc.checkpoint.gguf.metadata import Metadata
from aipc.errors import CheckpointError, UnsupportedModel


def metadata(**values):
    return Metadata(Path("m.gguf"), {"general.architecture": "llama", **values})


def test_a_key_may_stand_for_the_architecture():
    found = Metadata(Path("m"), {"general.architecture": "phi3", "phi3.block_count": 32})
    assert found.size("{arch}.block_count") == 32
    assert "{arch}.block_count" in found
    assert "{arch}.other" not in found


def test_defaults_stand_in_for_what_is_missing():
    assert metadata().integer("n", 3) == 3
    assert metadata().text("t", "x") == "x"
    assert metadata().flag("f", default=True) is True


@pytest.mark.parametrize("read", ["integer", "size", "number", "text", "texts", "numbers"])
def test_a_missing_value_is_named(read):
    with pytest.raises(CheckpointError, match=r"'m.gguf' is damaged: its metadata lacks 'llama.n'"):
        getattr(metadata(), read)("{arch}.n")


@pytest.mark.parametrize(
    ("read", "value"),
    [
        *[("integer", value) for value in (-1, 2**31, 1.5, True, "1", np.array([], np.int32))],
        *[("size", value) for value in (0, -1, 2**40)],
        *[("number", value) for value in (0.0, -1.0, float("nan"), 1e300, 1e-300, True, "1")],
        *[("text", value) for value in (1, ["a"])],
        *[("texts", value) for value in ("a", np.array([1]))],
        *[("numbers", value) for value in (1, ["a"])],
    ],
)
def test_a_value_of_another_kind_is_named(read, value):
    with pytest.raises(CheckpointError, match=r"'n' is .* in its metadata"):
        getattr(metadata(n=value), read)("n")


def test_flags_are_no_numbers():
    with pytest.raises(CheckpointError):
        metadata(f=1).flag("f", default=True)


def test_numbers_come_in_their_shortest_form():
    assert metadata(eps=float(np.float32(1e-5))).number("eps") == 1e-5


def test_one_number_a_layer_counts_as_one_if_all_are_equal():
    assert metadata(n=np.array([4, 4], np.int32)).integer("n") == 4
    with pytest.raises(UnsupportedModel, match=r"'n' in 'm.gguf' differs from layer to layer"):
        metadata(n=np.array([4, 8], np.int32)).integer("n")
