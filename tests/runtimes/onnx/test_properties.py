from __future__ import annotations

import json

import pytest

from aipc.artifact.providers import PROVIDERS, SESSION_OPTIONS
from aipc.errors import UsageError
from aipc.runtimes.onnx.properties import read_properties
from aipc.runtimes.onnx.provider import find_provider


def test_properties_are_sorted_and_typed():
    settings = read_properties(
        {
            "provider": "cuda",
            "intra_op_num_threads": "4",
            "enable_mem_pattern": "false",
            "session.set_denormal_as_zero": "true",
            "use_tf32": "0",
            "gpu_mem_limit": "1000",
        },
        find_provider("cuda"),
    )
    assert json.loads(settings.overlay())["model"]["decoder"]["session_options"] == {
        "intra_op_num_threads": 4,
        "enable_mem_pattern": False,
        "session.set_denormal_as_zero": "1",
    }
    assert settings.provider == {"use_tf32": "0", "gpu_mem_limit": "1000"}


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"intra_op_num_thread": "4"}, "CPU has no property intra_op_num_thread; did you mean"),
        ({"use_tf32": "1"}, "CPU has no property use_tf32"),
        ({"custom_ops_library": "x.so"}, "no property custom_ops_library"),
        ({"intra_op_num_threads": "many"}, "takes a whole number, not 'many'"),
        ({"enable_mem_pattern": "yes"}, "enable_mem_pattern takes 0 or 1, not 'yes'"),
    ],
)
def test_what_can_not_be_meant_is_refused(properties, message):
    with pytest.raises(UsageError, match=message):
        read_properties(properties, find_provider("cpu"))


def test_no_declared_property_names_a_file_or_a_library():
    from aipc.runtimes.onnx.folder import _OTHER_FILE

    names = [*SESSION_OPTIONS, *(name for provider in PROVIDERS for name in provider.options)]
    assert [name for name in names if _OTHER_FILE.search(name)] == []
