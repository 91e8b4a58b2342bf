from __future__ import annotations

import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from aipc.errors import UsageError
from aipc.generate.grammar.values import fits, misfit
from aipc.generate.structured.constraint import constrain

TRAP = "^(a+)+$"
NEARLY = "a" * 40 + "!"
"""What takes a backtracking search of `TRAP` for ever."""


def doubled(inner):
    """References that mean 2**29 of ``inner``."""
    defined = {
        f"a{level}": {"allOf": [{"$ref": f"#/$defs/a{level - 1}"}] * 2} for level in range(1, 30)
    }
    return {"$ref": "#/$defs/a29", "$defs": {"a0": inner, **defined}}


@pytest.mark.parametrize(
    ("schema", "name_fits"),
    [
        ({"propertyNames": {"pattern": TRAP}}, False),
        ({"patternProperties": {TRAP: False}}, True),
        ({"patternProperties": {"!$": False}}, False),
        ({"patternProperties": {TRAP: {}}, "additionalProperties": False}, False),
        ({"patternProperties": {TRAP: {}}, "additionalProperties": {"type": "string"}}, False),
        ({"properties": {NEARLY: {}}, "additionalProperties": False}, True),
    ],
)
def test_names_are_matched_without_backtracking(schema, name_fits):
    assert fits({NEARLY: 1}, schema, schema, time.thread_time() + 5) is name_fits
    assert (misfit(f'{{"{NEARLY}": 1}}', schema) == "") is name_fits


def test_a_draft_that_a_part_names_does_not_change_how_it_is_matched():
    part = {"$schema": "https://json-schema.org/draft/2020-12/schema", "pattern": TRAP}
    part["enum"] = [NEARLY, "aaa"]
    enforced = constrain({"type": "object", "properties": {"a": part}, "required": ["a"]})
    assert not enforced.unenforced


def test_what_takes_too_long_to_check_is_said_so():
    end = time.thread_time() + 0.1
    with pytest.raises(UsageError, match="too long to check"):
        fits(1, *[doubled({"type": "integer"})] * 2, end)
    looped = {"not": {"type": "string"}, "items": doubled({"type": "integer"})}
    looped = {**looped, "$defs": looped["items"].pop("$defs")}
    assert "could not be checked: the schema takes too long" in misfit("[1]", looped)


def test_names_that_patterns_and_other_keywords_share_are_not_checked():
    schema = {"allOf": [{"patternProperties": {TRAP: {}}}], "unevaluatedProperties": False}
    assert "'patternProperties' can't be checked" in misfit(f'{{"{NEARLY}": 1}}', schema)
    plain = {"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False}
    assert misfit('{"a": 1}', plain) == ""
    assert "'b' was unexpected" in misfit('{"b": 1}', plain)


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef", "$recursiveRef", "$id", "$schema"])
def test_nothing_is_fetched_that_a_schema_names(keyword):
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/schema"
        schema = {"enum": [1], keyword: address}
        with suppress(UsageError):  # where it is no note
            constrain(schema).misfit("1")
        with suppress(UsageError):
            constrain({**schema, "contains": {}}, strict=False).misfit("1")
        server.shutdown()
    assert asked == []
