from __future__ import annotations

import pytest
import thinking_templates as templates

from aipc.generate.thinking.marks import marks_of_template, marks_of_tokens


@pytest.mark.parametrize(("source", "name"), templates.NAMES.items(), ids=lambda text: text[:9])
def test_a_family_is_known_by_its_template(source, name):
    marks = marks_of_template(source)
    assert marks.name == name
    assert marks.is_open(f"…{marks.opening}")
    assert marks.is_closed(f"…{marks.opening}{marks.closing}")
    assert not marks.is_open(f"…{marks.opening}{marks.closing}")


def test_a_template_without_marks_shows_none():
    assert marks_of_template(templates.CHATML) is None


def test_a_vocabulary_with_both_marks_tells_as_much():
    known = {"[THINK]": 7, "[/THINK]": 8, "<think>": 9}
    assert marks_of_tokens(known.get).name == "mistral"
    assert marks_of_tokens({"<think>": 9}.get) is None
    assert marks_of_tokens({"<think>": 9, "</think>": 10}.get).name == "think"
    assert marks_of_tokens({}.get) is None
