"""Schemas as zod 4, pydantic, TypeBox and OpenAPI tools write them, drawn by a seed.

The forms were read from the libraries' own output; only names and bounds are drawn.
"""

from __future__ import annotations

import random

SAFE = 2**53 - 1
EMAIL = (
    r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]"
    r"@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$"
)
UUID = (
    r"^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
    r"|00000000-0000-0000-0000-000000000000|ffffffff-ffff-ffff-ffff-ffffffffffff)$"
)
DATE = (
    r"(?:(?:\d\d[2468][048]|\d\d[13579][26]|\d\d0[48]|[02468][048]00|[13579][26]00)-02-29"
    r"|\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"
    r"|(?:02)-(?:0[1-9]|1\d|2[0-8])))"
)
DATETIME = rf"^{DATE}T(?:(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?:Z))$"
DECIMAL = r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"
IPV4 = (
    r"^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])\.){3}"
    r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])$"
)
BASE64 = r"^$|^(?:[0-9a-zA-Z+/]{4})*(?:(?:[0-9a-zA-Z+/]{2}==)|(?:[0-9a-zA-Z+/]{3}=))?$"
WORDS = ("name", "age", "tags", "kind", "price", "note", "items", "score", "url", "größe", "a b")


def draw_schema(seed):
    """A whole schema, an object mostly."""
    return _Drawer(random.Random(seed)).whole()


class _Drawer:
    def __init__(self, dice):
        self._dice = dice
        self._defs = {}

    def whole(self):
        dice = self._dice
        schema = dict(self._object(2))
        if dice.random() < 0.4:
            schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
        if self._defs:
            schema["$defs"] = self._defs
        return schema

    def _any(self, depth):
        dice = self._dice
        leaves = [
            self._integer,
            self._number,
            self._text,
            self._formatted,
            self._listed,
            self._plain,
        ]
        nested = [self._object, self._array, self._tuple, self._record, self._union, self._nullable]
        nested += [self._referred, self._tagged, self._set, self._all_of, self._recursive]
        if depth and dice.random() < 0.45:
            return self._noted(dice.choice(nested)(depth - 1))
        return self._noted(dice.choice(leaves)())

    def _noted(self, schema):
        notes = {"title": "Field", "description": "what it is", "x-order": 3, "examples": ["a"]}
        notes |= {"default": None, "deprecated": True, "readOnly": True, "markdownDescription": "b"}
        for name in self._dice.sample(sorted(notes), self._dice.choice([0, 0, 0, 1, 2])):
            schema = {**schema, name: notes[name]}
        return schema

    def _integer(self):
        dice = self._dice
        low = dice.choice([-100, -1, 0, 1, 2, 3, 10, 17, 1900])
        form = dice.choice(
            [
                {"minimum": -SAFE, "maximum": SAFE},
                {"minimum": 0, "maximum": SAFE},
                {"exclusiveMinimum": 0, "maximum": SAFE},
                {"minimum": low},
                {"maximum": low},
                {"exclusiveMinimum": low},
                {"exclusiveMaximum": low},
                {"minimum": low, "maximum": low + dice.choice([0, 1, 9, 150, 12345])},
                {"multipleOf": dice.choice([2, 5, 7, 10, 25, 100])},
                {"minimum": 0, "multipleOf": dice.choice([2, 3, 5, 60])},
                {"format": "int32"},
                {"minimum": -(2**31), "maximum": 2**31 - 1, "format": "int32"},
                {"minimum": -(2**63), "maximum": 2**63 - 1},
                {},
            ]
        )
        return {"type": "integer", **form}

    def _number(self):
        dice = self._dice
        low = dice.choice([-273.15, -1, -0.5, 0, 0.1, 0.25, 1, 3.5, 100])
        form = dice.choice(
            [
                {"minimum": 0, "maximum": 1},
                {"minimum": 0.0, "maximum": 1.0},
                {"exclusiveMinimum": 0},
                {"exclusiveMinimum": 0, "exclusiveMaximum": 1},
                {"minimum": low},
                {"maximum": low},
                {"exclusiveMaximum": low},
                {"minimum": low, "maximum": low + dice.choice([0.05, 0.5, 1, 90, 1000.75])},
                {"minimum": 0, "multipleOf": dice.choice([0.5, 0.25])},
                {"format": "double"},
                {},
            ]
        )
        return {"type": "number", **form}

    def _text(self):
        dice = self._dice
        most = dice.choice([1, 3, 10, 50, 80, 120, 255, 256, 500, 1000, 5000])
        form = dice.choice(
            [
                {"minLength": 1},
                {"maxLength": most},
                {"minLength": 1, "maxLength": most},
                {"minLength": 3, "maxLength": 20},
                {"minLength": 5, "maxLength": 5},
                {"pattern": "^[a-z]+$"},
                {"pattern": "^[A-Z]{2,3}-[0-9]{4}$"},
                {"pattern": r"^\+[1-9]\d{1,14}$"},
                {"pattern": r"^\S+$", "minLength": 2, "maxLength": 30},
                {"pattern": "^[a-z0-9]+(?:-[a-z0-9]+)*$", "maxLength": 40},
                {"pattern": r"\d"},
                {"pattern": "^abc.*"},
                {"pattern": ".*xyz$", "maxLength": 60},
                {"pattern": "^[^\"'<>]*$"},
                {"pattern": r"^(?=.*[A-Z])(?=.*\d).{8,}$"},
                {"pattern": DECIMAL},
                {"pattern": "^a|b$"},
                {"pattern": r"^\w+\s\w+$", "minLength": 5},
                {"allOf": [{"pattern": "^[a-z]"}, {"pattern": "[0-9]$"}]},
                {},
            ]
        )
        return {"type": "string", **form}

    def _formatted(self):
        form = self._dice.choice(
            [
                {"format": "email", "pattern": EMAIL},
                {"format": "uuid", "pattern": UUID},
                {"format": "date-time", "pattern": DATETIME},
                {"format": "date", "pattern": f"^{DATE}$"},
                {"format": "ipv4", "pattern": IPV4},
                {"format": "base64", "contentEncoding": "base64", "pattern": BASE64},
                {"format": "email"},
                {"format": "email", "minLength": 6, "maxLength": 254},
                {"format": "uuid"},
                {"format": "uuid4"},
                {"format": "date"},
                {"format": "time"},
                {"format": "date-time"},
                {"format": "duration"},
                {"format": "uri"},
                {"format": "uri", "minLength": 1, "maxLength": 2083},
                {"format": "hostname"},
                {"format": "ipv6"},
                {"format": "password", "writeOnly": True},
                {"format": "binary"},
                {"contentMediaType": "application/octet-stream"},
            ]
        )
        return {"type": "string", **form}

    def _listed(self):
        return self._dice.choice(
            [
                {"type": "string", "enum": ["red", "green", 'say "hi"', "größe"]},
                {"enum": ["a", 1, None, True]},
                {"const": "fixed"},
                {"type": "string", "const": "fixed"},
                {"type": "integer", "enum": [1, 2, 3]},
                {"type": "number", "const": 2.5},
                {"anyOf": [{"type": "string", "const": "a"}, {"type": "string", "const": "b"}]},
                {"type": "string", "enum": [f"value_{number}" for number in range(300)]},
                {"enum": ["long", "st"], "type": "string", "maxLength": 3},
            ]
        )

    def _plain(self):
        return self._dice.choice(
            [{"type": "boolean"}, {"type": "null"}, {}, {"type": "boolean", "nullable": True}]
        )

    def _object(self, depth):
        dice = self._dice
        names = dice.sample(WORDS, dice.choice([1, 2, 3, 4]))
        schema = {"type": "object", "properties": {name: self._any(depth) for name in names}}
        form = dice.choice(["all", "some", "none", "empty"])
        if form == "empty":
            schema["required"] = []
        elif form != "none":
            schema["required"] = names if form == "all" else names[: len(names) // 2]
        others = dice.choice([None, False, False, True, {"type": "integer"}, {}])
        if others is not None:
            schema["additionalProperties"] = others
        if dice.random() < 0.1:
            schema["minProperties"] = 1
        if len(names) > 1 and dice.random() < 0.1:
            schema["dependentRequired"] = {names[0]: [names[1]]}
        return schema

    def _array(self, depth):
        dice = self._dice
        form = dice.choice(
            [
                {},
                {"minItems": 1},
                {"maxItems": 3},
                {"minItems": 2, "maxItems": 2},
                {"maxItems": 100},
            ]
        )
        return {"type": "array", "items": self._any(depth), **form}

    def _tuple(self, depth):
        parts = [self._any(depth) for _ in range(self._dice.choice([1, 2, 3]))]
        count = len(parts)
        return self._dice.choice(
            [
                {"type": "array", "prefixItems": parts, "minItems": count, "maxItems": count},
                {"type": "array", "prefixItems": parts, "items": False},
                {"type": "array", "prefixItems": parts, "items": {"type": "string"}},
                {"type": "array", "prefixItems": parts},
            ]
        )

    def _record(self, depth):
        value = self._any(depth)
        text = {"type": "string"}
        return self._dice.choice(
            [
                {"type": "object", "propertyNames": text, "additionalProperties": value},
                {"type": "object", "additionalProperties": value},
                {"type": "object", "patternProperties": {"^(.*)$": value}},
                {"type": "object", "patternProperties": {"^x_[a-z]+$": value},
                 "additionalProperties": False},
                {"type": "object", "propertyNames": {"enum": ["a", "b"]},
                 "additionalProperties": value, "required": ["a", "b"]},
                {"type": "object", "propertyNames": {"type": "string", "pattern": "^[a-z]{2}$"},
                 "additionalProperties": value},
                {"type": "object", "additionalProperties": value, "minProperties": 1},
                {"type": "object"},
            ]
        )  # fmt: skip

    def _union(self, depth):
        return {"anyOf": [self._any(depth) for _ in range(self._dice.choice([2, 3]))]}

    def _nullable(self, depth):
        inner = self._any(depth)
        if isinstance(inner.get("type"), str) and "enum" not in inner and "const" not in inner:
            if self._dice.random() < 0.4 and inner["type"] != "null":
                return {**inner, "type": [inner["type"], "null"]}
            if self._dice.random() < 0.3:
                return {**inner, "nullable": True}
        return {"anyOf": [inner, {"type": "null"}], "default": None}

    def _referred(self, depth):
        name = f"Model{len(self._defs)}"
        self._defs[name] = {}
        self._defs[name] = {"title": name, **self._object(depth)}
        form = {"$ref": f"#/$defs/{name}"}
        return self._dice.choice([form, {**form, "description": "it"}, {"allOf": [form]}])

    def _tagged(self, depth):
        dice = self._dice
        keyword = dice.choice(["oneOf", "anyOf"])
        parts = [
            {
                "type": "object",
                "properties": {"type": {"type": "string", "const": tag}, tag: self._any(depth)},
                "required": ["type", tag],
                **dice.choice([{}, {"additionalProperties": False}]),
            }
            for tag in ("cat", "dog", "eel")
        ]
        if dice.random() < 0.5:
            return {keyword: parts}
        start = len(self._defs)
        for number, part in enumerate(parts):
            self._defs[f"Model{start + number}"] = part
        references = [f"#/$defs/Model{start + number}" for number in range(3)]
        mapping = dict(zip(("cat", "dog", "eel"), references, strict=True))
        return {
            "discriminator": {"propertyName": "type", "mapping": mapping},
            keyword: [{"$ref": reference} for reference in references],
        }

    def _set(self, depth):
        values = self._dice.choice([3, 12, 40])
        items = {"type": "string", "enum": [f"tag{number}" for number in range(values)]}
        counts = self._dice.choice([{}, {"minItems": 1}, {"minItems": 2, "maxItems": 3}])
        return {"type": "array", "items": items, "uniqueItems": True, **counts}

    def _all_of(self, depth):
        first, second = self._object(depth), self._object(depth)
        for part in (first, second):
            part.pop("additionalProperties", None)
        for name in first["properties"].keys() & second["properties"].keys():
            del second["properties"][name]
        second["required"] = [
            name for name in second.get("required", []) if name in second["properties"]
        ]
        return {"allOf": [first, second]}

    def _recursive(self, depth):
        name = f"Model{len(self._defs)}"
        self._defs[name] = {
            "type": "object",
            "properties": {
                "value": self._any(0),
                "children": {"type": "array", "items": {"$ref": f"#/$defs/{name}"}},
                "next": {"anyOf": [{"$ref": f"#/$defs/{name}"}, {"type": "null"}]},
            },
            "required": ["value"],
        }
        return {"$ref": f"#/$defs/{name}"}
