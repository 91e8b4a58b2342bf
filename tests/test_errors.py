from pathlib import Path

import pytest

from aipc.errors import EngineError, damaged, is_out_of_memory, quoted, unreadable


def test_names_out_of_files_are_short_and_on_one_line():
    assert quoted("a.weight") == "'a.weight'"
    assert "\n" not in quoted("a\nb\u2028\x1b[31m")
    assert quoted("\ud800") == "'\\ud800'"
    assert len(quoted("x" * 10**6)) < 100


def test_errors_name_the_file_and_what_to_do():
    error = damaged(Path("model.gguf"), "it is empty")
    assert str(error) == "'model.gguf' is damaged: it is empty; fetch it again with 'aipc pull'"
    assert "Permission" in str(unreadable(Path("a"), PermissionError(13, "Permission denied")))
    assert "OSError" in str(unreadable(Path("a"), OSError()))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("Exception from core.cpp:117: std::bad_alloc"),
        ImportError("libonnx.so: failed to map segment from shared object"),
        EngineError("the model can't be loaded"),
    ],
)
def test_memory_that_ran_out_is_known_by_whatever_says_so(error):
    if isinstance(error, EngineError):
        error.__cause__ = MemoryError("Unable to allocate 2.00 GiB")
    assert is_out_of_memory(error)


def test_another_error_is_no_want_of_memory():
    assert not is_out_of_memory(RuntimeError("no such file"))
    assert not is_out_of_memory(None)
