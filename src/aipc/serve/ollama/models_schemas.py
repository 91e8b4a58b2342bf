"""The bodies of Ollama's paths about models: /api/tags, show, ps and version."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from aipc.wire.schemas import ApiModel, RequestPart


class NamedModel(RequestPart):
    """A request about a model; ``name`` is the older spelling of ``model``."""

    model: str | None = Field(default=None, max_length=300)
    name: str | None = Field(default=None, max_length=300)

    @model_validator(mode="after")
    def _is_one(self) -> NamedModel:
        if not (self.model or self.name):
            raise PydanticCustomError("missing_model", "name the model, as 'model'")
        return self

    @property
    def named(self) -> str:
        return self.model or self.name or ""


class ModelDetails(ApiModel):
    parent_model: str
    format: str = Field(description="openvino, onnx, gguf or safetensors; empty: not known yet")
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str
    context_length: int | None = None
    embedding_length: int | None = None


class TagBody(ApiModel):
    name: str
    model: str
    modified_at: str
    size: int = Field(description="bytes, about")
    digest: str = Field(description="SHA-256 of its files' hashes")
    details: ModelDetails
    capabilities: list[str]


class TagList(ApiModel):
    models: list[TagBody]


class RunningModel(ApiModel):
    name: str
    model: str
    size: int = Field(description="bytes of memory that it takes")
    digest: str
    details: ModelDetails
    expires_at: str
    size_vram: int = Field(description="bytes of them that another device than the CPU has")
    context_length: int


class RunningList(ApiModel):
    models: list[RunningModel]


class ShownModel(ApiModel):
    license: str
    modelfile: str
    parameters: str
    template: str
    details: ModelDetails
    model_info: dict[str, Any]
    capabilities: list[str]
    modified_at: str


class VersionBody(ApiModel):
    version: str = Field(description="of Ollama, whose API is answered")
    aipc: str = Field(description="of this server")
