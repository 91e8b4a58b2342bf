"""graph.pbtxt: how OpenVINO Model Server loads one model, in protobuf's text format.

Source: docs.openvino.ai, "Efficient LLM Serving", for the LLM calculator; the export_model.py of
github.com/openvinotoolkit/model_server for the embeddings one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

FILE = "graph.pbtxt"
_ENUMS = {"pooling"}
"""Options whose values are names of an enumeration, which stand without quotes."""


def text_graph(options: Mapping[str, Any]) -> str:
    """For a model that writes text; ``options`` are those of its LLMCalculatorOptions."""
    lines = (
        *_streams("HTTP_REQUEST_PAYLOAD", "HTTP_RESPONSE_PAYLOAD"),
        "node: {",
        '  name: "LLMExecutor"',
        '  calculator: "HttpLLMCalculator"',
        '  input_stream: "LOOPBACK:loopback"',
        '  input_stream: "HTTP_REQUEST_PAYLOAD:input"',
        '  input_side_packet: "LLM_NODE_RESOURCES:llm"',
        '  output_stream: "LOOPBACK:loopback"',
        '  output_stream: "HTTP_RESPONSE_PAYLOAD:output"',
        '  input_stream_info: { tag_index: "LOOPBACK:0" back_edge: true }',
        *_options("LLMCalculatorOptions", options),
        "  input_stream_handler {",
        '    input_stream_handler: "SyncSetInputStreamHandler"',
        "    options {",
        "      [mediapipe.SyncSetInputStreamHandlerOptions.ext] {",
        '        sync_set { tag_index: "LOOPBACK:0" }',
        "      }",
        "    }",
        "  }",
        "}",
    )
    return "\n".join(lines) + "\n"


def embedding_graph(options: Mapping[str, Any]) -> str:
    """For a model that makes vectors of texts; of its EmbeddingsCalculatorOVOptions."""
    lines = (
        *_streams("REQUEST_PAYLOAD", "RESPONSE_PAYLOAD"),
        "node: {",
        '  name: "EmbeddingsExecutor"',
        '  calculator: "EmbeddingsCalculatorOV"',
        '  input_stream: "REQUEST_PAYLOAD:input"',
        '  input_side_packet: "EMBEDDINGS_NODE_RESOURCES:embeddings_servable"',
        '  output_stream: "RESPONSE_PAYLOAD:output"',
        *_options("EmbeddingsCalculatorOVOptions", options),
        "}",
    )
    return "\n".join(lines) + "\n"


def _streams(request: str, response: str) -> tuple[str, str]:
    return f'input_stream: "{request}:input"', f'output_stream: "{response}:output"'


def _options(kind: str, options: Mapping[str, Any]) -> Iterator[str]:
    """The model lies beside the graph, which the server reads paths relative to."""
    yield "  node_options: {"
    yield f"    [type.googleapis.com/mediapipe.{kind}]: {{"
    for name, value in {"models_path": "./", **options}.items():
        yield f"      {name}: {_value(name, value)}"
    yield "    }"
    yield "  }"


def _value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or name in _ENUMS:
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value)
    return json.dumps(text)  # the escapes of JSON are among those of the text format
