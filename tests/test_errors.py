from pathlib import Path

from aipc.errors import damaged, quoted, unreadable


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
