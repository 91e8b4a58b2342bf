from __future__ import annotations

from aipc.runtimes.json_schema import subschemas, values_of


def test_places_name_where_a_schema_stands():
    schema = {"properties": {"a": {"anyOf": [{}, True]}}, "$defs": {"B": {}}}
    places = [place for _, place in subschemas(schema)]
    assert places == [
        "#",
        "#/properties/a",
        "#/properties/a/anyOf/0",
        "#/$defs/B",
    ]


def test_what_is_added_on_the_way_is_walked_too():
    places = []
    for node, place in subschemas({"type": "array"}):
        places.append(place)
        if "type" in node:
            node["items"] = {}
    assert places == ["#", "#/items"]


def test_values_are_those_that_are_listed():
    assert values_of({"const": None}) == [None]
    assert values_of({"enum": [1, 2]}) == [1, 2]
    assert values_of({"type": "null"}) is None
