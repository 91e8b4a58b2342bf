"""Graphs of OpenVINO Model Server, read by protobuf's own parser.

The messages have the names and types that docs.openvino.ai states for the LLM calculator in
"Efficient LLM Serving", those of github.com/openvinotoolkit/model_server's own declaration for the
embeddings one and, around them, MediaPipe's; numbers of fields mean nothing in the text format.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, text_format

_FIELD = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "bool": _FIELD.TYPE_BOOL,
    "string": _FIELD.TYPE_STRING,
    "uint32": _FIELD.TYPE_UINT32,
    "uint64": _FIELD.TYPE_UINT64,
}
_LLM = {
    "models_path": "string",
    "max_num_batched_tokens": "uint64",
    "cache_size": "uint64",
    "max_num_seqs": "uint64",
    "dynamic_split_fuse": "bool",
    "device": "string",
    "plugin_config": "string",
    "best_of_limit": "uint32",
    "max_tokens_limit": "uint32",
    "enable_prefix_caching": "bool",
    "reasoning_parser": "string",
    "tool_parser": "string",
    "enable_tool_guided_generation": "bool",
}
_EMBEDDINGS = {
    "models_path": "string",
    "normalize_embeddings": "bool",
    "target_device": "string",
    "plugin_config": "string",
    "pooling": ".mediapipe.EmbeddingsCalculatorOVOptions.Pooling",
    "truncate": "bool",
}
_GRAPH = {
    "SyncSet": {"tag_index*": "string"},
    "SyncSetInputStreamHandlerOptions": {"sync_set*": ".mediapipe.SyncSet"},
    "HandlerOptions": {},
    "InputStreamHandlerConfig": {
        "input_stream_handler": "string",
        "options": ".mediapipe.HandlerOptions",
    },
    "InputStreamInfo": {"tag_index": "string", "back_edge": "bool"},
    "Node": {
        "name": "string",
        "calculator": "string",
        "input_stream*": "string",
        "output_stream*": "string",
        "input_side_packet*": "string",
        "input_stream_info*": ".mediapipe.InputStreamInfo",
        "node_options*": ".google.protobuf.Any",
        "input_stream_handler": ".mediapipe.InputStreamHandlerConfig",
    },
    "CalculatorGraphConfig": {
        "input_stream*": "string",
        "output_stream*": "string",
        "node*": ".mediapipe.Node",
    },
    "LLMCalculatorOptions": _LLM,
    "EmbeddingsCalculatorOVOptions": _EMBEDDINGS,
}


def read_graph(text: str) -> Any:
    """The message; an unknown field, a wrong type and bad syntax raise `text_format.ParseError`."""
    pool = _pool()
    found = pool.FindMessageTypeByName("mediapipe.CalculatorGraphConfig")
    message = message_factory.GetMessageClass(found)()
    return text_format.Parse(text, message, descriptor_pool=pool)


def options_of(graph: Any) -> dict[str, Any]:
    """The options of its only node that are stated."""
    (node,) = graph.node
    (packed,) = node.node_options
    pool = graph.DESCRIPTOR.file.pool
    name = packed.type_url.rpartition("/")[2]
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))()
    assert packed.Unpack(message)
    return {field.name: value for field, value in message.ListFields()}


def _pool() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="graph.proto", package="mediapipe", dependency=["google/protobuf/any.proto"]
    )
    for name, fields in _GRAPH.items():
        _add_message(file, name, fields)
    messages = {message.name: message for message in file.message_type}
    pooling = messages["EmbeddingsCalculatorOVOptions"].enum_type.add(name="Pooling")
    for number, name in enumerate(("CLS", "LAST", "MEAN")):
        pooling.value.add(name=name, number=number)
    messages["HandlerOptions"].extension_range.add(start=100, end=200)
    handler = messages["SyncSetInputStreamHandlerOptions"]
    handler.extension.add(
        name="ext",
        number=100,
        label=_FIELD.LABEL_OPTIONAL,
        type=_FIELD.TYPE_MESSAGE,
        type_name=".mediapipe.SyncSetInputStreamHandlerOptions",
        extendee=".mediapipe.HandlerOptions",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(any_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def _add_message(
    file: descriptor_pb2.FileDescriptorProto, name: str, fields: dict[str, str]
) -> None:
    message = file.message_type.add(name=name)
    for number, (spelled, kind) in enumerate(fields.items(), 1):
        is_repeated = spelled.endswith("*")
        field = message.field.add(name=spelled.rstrip("*"), number=number)
        field.label = _FIELD.LABEL_REPEATED if is_repeated else _FIELD.LABEL_OPTIONAL
        if kind in _TYPES:
            field.type = _TYPES[kind]
        else:
            field.type_name = kind
            is_enum = kind.endswith(".Pooling")
            field.type = _FIELD.TYPE_ENUM if is_enum else _FIELD.TYPE_MESSAGE
