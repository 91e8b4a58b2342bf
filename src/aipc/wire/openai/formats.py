"""What form an answer shall have: free text, JSON, or JSON that fits a schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, Tag

from aipc.wire.refusals import by_member
from aipc.wire.schemas import RequestPart

Schema = dict[str, Any]
_ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


class TextFormat(RequestPart):
    type: Literal["text"]


class JsonFormat(RequestPart):
    type: Literal["json_object"]
    schema_: Schema | None = Field(
        default=None, alias="schema", description="extension, as llama.cpp's"
    )


class SchemaBody(RequestPart):
    name: str | None = None
    description: str | None = None
    schema_: Schema | None = Field(default=None, alias="schema")
    strict: bool | None = Field(
        default=None, description="true: refused where a part can't be enforced; else it is checked"
    )


class SchemaFormat(RequestPart):
    """Chat's: the schema in a member of its own, or beside the type, as llama.cpp has it."""

    type: Literal["json_schema"]
    json_schema: SchemaBody | None = None
    schema_: Schema | None = Field(default=None, alias="schema")
    strict: bool | None = None


class FlatSchemaFormat(SchemaBody):
    """Responses'."""

    type: Literal["json_schema"]


Format = Annotated[
    Annotated[TextFormat, Tag("=text")]
    | Annotated[JsonFormat, Tag("=json_object")]
    | Annotated[SchemaFormat, Tag("=json_schema")],
    by_member("type", "text", "json_object", "json_schema"),
]
FlatFormat = Annotated[
    Annotated[TextFormat, Tag("=text")]
    | Annotated[JsonFormat, Tag("=json_object")]
    | Annotated[FlatSchemaFormat, Tag("=json_schema")],
    by_member("type", "text", "json_object", "json_schema"),
]


class StructuredOutputs(RequestPart):
    """vLLM's; of its kinds of constraints JSON alone."""

    model_config = ConfigDict(extra="forbid")

    json_: Schema | None = Field(default=None, alias="json")
    json_object: bool | None = None

    @property
    def schema_given(self) -> Mapping[str, Any] | None:
        return self.json_ or (_ANY_OBJECT if self.json_object else None)


def schema_of(form: Format | FlatFormat | None) -> Mapping[str, Any] | None:
    """The JSON schema of the answer; None where it is free."""
    if form is None or isinstance(form, TextFormat):
        return None
    inner = form.json_schema if isinstance(form, SchemaFormat) else None
    return (inner.schema_ if inner else None) or form.schema_ or _ANY_OBJECT


def path_in(form: Format | FlatFormat | None) -> str:
    """Where in it the schema stands."""
    is_inner = isinstance(form, SchemaFormat) and form.json_schema and form.json_schema.schema_
    return "json_schema.schema" if is_inner else "schema"


def is_strict(form: Format | FlatFormat | None) -> bool:
    """Whether what of the schema can't be enforced is refused: as at OpenAI, where it says so."""
    if isinstance(form, SchemaFormat):
        return True in {form.strict, form.json_schema.strict if form.json_schema else None}
    return isinstance(form, FlatSchemaFormat) and form.strict is True
