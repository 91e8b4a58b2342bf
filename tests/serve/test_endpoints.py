from __future__ import annotations

import re

import pytest

from aipc.serve.endpoints import PAGE

FILES = sorted(file for file in PAGE.rglob("*") if file.is_file())
OWN = [file for file in FILES if "lib" not in file.relative_to(PAGE).parts]
"""All but the libraries, which come as they were published."""


def test_scripts_are_scripts_whatever_the_system_calls_them(client, monkeypatch) -> None:
    monkeypatch.setattr("starlette.responses.guess_type", lambda _: ("text/plain", None))
    kinds = {"app.js": "text/javascript", "style.css": "text/css", "icon.svg": "image/svg+xml"}
    for name, kind in kinds.items():
        content_type = client.get(f"/page/{name}").headers["content-type"]
        assert content_type == f"{kind}; charset=utf-8"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PAGE).as_posix())
def test_every_file_is_served_and_names_only_what_is_there(client, file) -> None:
    reply = client.get(f"/page/{file.relative_to(PAGE).as_posix()}")
    assert reply.content == file.read_bytes()
    assert reply.headers["cache-control"] == "no-cache"
    text = file.read_text("utf-8")
    named = re.findall(r'from "\./(.+?)"', text) + re.findall(r'(?:href|src)="page/(.+?)"', text)
    assert {PAGE / name for name in named} <= set(FILES)


def test_the_page_names_no_other_place_and_holds_no_script_or_style_of_its_own() -> None:
    for file in OWN:
        text = file.read_text("utf-8")
        assert not re.search(r'(?:href|src|from|import)[=(\s]+"(?:https?:)?//', text), file
        assert "innerHTML" not in text
        assert not re.search(r"<style|<script>|\sstyle=|\son[a-z]+=\"", text), file


@pytest.mark.parametrize("path", ["../app.py", "..%2fapp.py", "%2e%2e/app.py", "", "none.js"])
def test_nothing_else_is_served(client, path) -> None:
    assert client.get(f"/page/{path}").status_code == 404
