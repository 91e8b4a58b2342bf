from __future__ import annotations

import json

import pytest

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def test_a_schema_is_json_or_a_file_of_it(aipc, stand_in, tmp_path) -> None:
    file = tmp_path / "city.json"
    file.write_text(json.dumps(SCHEMA))
    session = stand_in(answer='{{"city": "Paris"}}')
    for told in (json.dumps(SCHEMA), str(file)):
        outcome = aipc("run", "x", "--schema", told)
        assert (outcome.status, outcome.stdout) == (0, '{"city": "Paris"}\n')
    aipc("run", "x")
    assert session.schemas == [SCHEMA, SCHEMA, None]


def test_json_that_is_cut_is_a_failure(aipc, stand_in) -> None:
    stand_in(answer='{{"city": "Paris"}}')
    outcome = aipc("run", "x", "--schema", "{}", "--max-new-tokens", "5")
    assert outcome.status == 1
    assert outcome.stdout == '{"cit\n'
    assert "the JSON is cut after 5 tokens; raise --max-new-tokens" in outcome.stderr


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("{", "--schema is no JSON"),
        ("missing.json", "can't read the schema 'missing.json' (No such"),
    ],
)
def test_what_is_no_schema_is_wrong_usage(aipc, stand_in, told, reason) -> None:
    session = stand_in()
    outcome = aipc("run", "x", "--schema", told)
    assert outcome.status == 2
    assert reason in outcome.stderr
    assert not session.asked
