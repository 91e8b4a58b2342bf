"""The files of others that the page has: as their makers published them, with their licenses."""

from __future__ import annotations

import hashlib

import pytest

from aipc.serve.endpoints import PAGE

LIB = PAGE / "lib"
SHA256 = {
    # npm: @highlightjs/cdn-assets 11.12.0, es/highlight.min.js, BSD-3-Clause
    "highlight/highlight.min.js": (
        "1ed8fc5256b738b8875b74e4d3f0754f60d6411fb034d618dfbc4e6e6c9999d7"
    ),
    # npm: temml 0.13.5, dist/temml.min.js, MIT
    "temml/temml.min.js": "1ab19148afe0dbc836b7a74f344071b3f3a70a7a8259ae4049e76894fcdf8d95",
    "temml/LICENSE": "12b4e5592a12baaf50637881f2cb9d66667b26b8d51a73cd8f0d6bcefe176ab6",
    "highlight/LICENSE": "6c081431591d9df696c82dc598fe1423765b8a299b200ed00b281afd0f64c490",
}


@pytest.mark.parametrize("name", SHA256)
def test_a_file_is_as_it_was_published(name) -> None:
    assert hashlib.sha256((LIB / name).read_bytes()).hexdigest() == SHA256[name]


def test_there_is_no_other_file_and_each_folder_has_its_license() -> None:
    files = {path.relative_to(LIB).as_posix() for path in LIB.rglob("*") if path.is_file()}
    assert files == set(SHA256)
    for folder in LIB.iterdir():
        assert (folder / "LICENSE").is_file()
