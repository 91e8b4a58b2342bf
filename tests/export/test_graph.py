from __future__ import annotations

import json

import pytest
from mediapipe_graphs import options_of, read_graph

from aipc.export.graph import embedding_graph, text_graph

PROPERTIES = {"KV_CACHE_PRECISION": "u8", "odd": 'a "quoted" \\ back\nslash', "prompt_lookup": True}


def test_a_text_graph_is_the_documented_one():
    graph = read_graph(text_graph({"device": "CPU"}))
    (node,) = graph.node
    assert list(graph.input_stream) == ["HTTP_REQUEST_PAYLOAD:input"]
    assert list(graph.output_stream) == ["HTTP_RESPONSE_PAYLOAD:output"]
    assert node.calculator == "HttpLLMCalculator"
    assert list(node.input_side_packet) == ["LLM_NODE_RESOURCES:llm"]
    assert set(node.input_stream) == {"LOOPBACK:loopback", "HTTP_REQUEST_PAYLOAD:input"}
    assert set(node.output_stream) == {"LOOPBACK:loopback", "HTTP_RESPONSE_PAYLOAD:output"}
    (info,) = node.input_stream_info
    assert (info.tag_index, info.back_edge) == ("LOOPBACK:0", True)
    handler = node.input_stream_handler
    assert handler.input_stream_handler == "SyncSetInputStreamHandler"
    assert "LOOPBACK:0" in str(handler.options)


def test_options_come_out_as_they_went_in():
    wanted = {"device": "GPU", "cache_size": 4, "enable_prefix_caching": False}
    found = options_of(read_graph(text_graph({**wanted, "plugin_config": PROPERTIES})))
    assert json.loads(found.pop("plugin_config")) == PROPERTIES
    assert found == {"models_path": "./", **wanted}


@pytest.mark.parametrize("pooling", ["CLS", "LAST", "MEAN"])
def test_an_embedding_graph(pooling):
    options = {"normalize_embeddings": False, "pooling": pooling, "target_device": "CPU"}
    graph = read_graph(embedding_graph(options))
    (node,) = graph.node
    assert node.calculator == "EmbeddingsCalculatorOV"
    assert list(node.input_side_packet) == ["EMBEDDINGS_NODE_RESOURCES:embeddings_servable"]
    assert list(graph.input_stream) == list(node.input_stream) == ["REQUEST_PAYLOAD:input"]
    assert list(graph.output_stream) == list(node.output_stream) == ["RESPONSE_PAYLOAD:output"]
    found = options_of(graph)
    assert found["pooling"] == ["CLS", "LAST", "MEAN"].index(pooling)
    assert (found["normalize_embeddings"], found["target_device"]) == (False, "CPU")
