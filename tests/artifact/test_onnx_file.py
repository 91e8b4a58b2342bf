from __future__ import annotations

import pytest

from aipc.artifact.onnx_file import External, read_references
from aipc.errors import ArtifactError

onnx = pytest.importorskip("onnx", reason="writes the files to read")
helper = onnx.helper
FLOAT, FLOAT16 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


def external(location, **numbers):
    tensor = onnx.TensorProto(
        name="w", data_type=FLOAT, dims=[4], data_location=onnx.TensorProto.EXTERNAL
    )
    for key, value in {"location": location, **numbers}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def graph(nodes=(), tensors=(), inputs=()):
    return helper.make_graph(list(nodes), "g", list(inputs), [], initializer=list(tensors))


def written(tmp_path, graph, functions=()):
    model = helper.make_model(graph, functions=list(functions))
    file = tmp_path / "model.onnx"
    file.write_bytes(model.SerializeToString())
    return file


def locations(file):
    return {found.location for found in read_references(file).external}


def test_initializers_name_their_file_and_extent(tmp_path):
    file = written(
        tmp_path, graph(tensors=[external("a.data", offset=64, length=16), external("b.data")])
    )
    assert read_references(file).external == {
        External("a.data", 64, 16),
        External("b.data", 0, None),
    }


def test_what_is_kept_arranged_has_an_extent_too(tmp_path):
    tensor = external("a.data", offset=64, length=16, prepacked_0="Op+1|128;32;0|192;8;0")
    assert read_references(written(tmp_path, graph(tensors=[tensor]))).external == {
        External("a.data", 64, 16),
        External("a.data", 128, 32),
        External("a.data", 192, 8),
    }
    for damaged in ("Op+1|128", "Op+1|x;8;0"):
        tensor = external("a.data", prepacked_0=damaged)
        with pytest.raises(ArtifactError, match="no sound ONNX file"):
            read_references(written(tmp_path, graph(tensors=[tensor])))


def test_nothing_hides_in_nodes_branches_functions_or_sparse_tensors(tmp_path):
    constant = helper.make_node("Constant", [], ["c"], value=external("node"))
    listed = helper.make_node("Custom", [], ["l"], domain="x")
    listed.attribute.append(helper.make_attribute("many", [external("list")]))
    inner = graph([helper.make_node("Constant", [], ["i"], value=external("branch"))])
    branch = helper.make_node("If", ["c"], ["o"], then_branch=inner, else_branch=graph())
    function = helper.make_function(
        "x",
        "F",
        [],
        ["f"],
        [helper.make_node("Constant", [], ["f"], value=external("function"))],
        [],
    )
    whole = graph([constant, listed, branch])
    whole.sparse_initializer.add(values=external("values"), indices=external("indices"))
    file = written(tmp_path, whole, [function])
    assert locations(file) == {"node", "list", "branch", "function", "values", "indices"}
    assert read_references(file).operators == {"Constant", "Custom", "If"}


def test_weights_inside_are_no_reference(tmp_path):
    inside = helper.make_tensor("w", FLOAT, [4], [1.0, 2.0, 3.0, 4.0])
    assert read_references(written(tmp_path, graph(tensors=[inside]))).external == frozenset()


def test_inputs_tell_their_types(tmp_path):
    inputs = [
        helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["batch", "length"]),
        helper.make_tensor_value_info("past", FLOAT16, [1, 2, "past", 16]),
    ]
    assert read_references(written(tmp_path, graph(inputs=inputs))).input_types == {
        "ids": onnx.TensorProto.INT64,
        "past": FLOAT16,
    }


def test_damage_is_told_in_one_line(tmp_path):
    file = written(tmp_path, graph(tensors=[external("a.data", offset=64, length=16)]))
    whole = file.read_bytes()
    for content in (b"", whole[:-3], b"\xff" * 40, b"not an ONNX file at all"):
        file.write_bytes(content)
        with pytest.raises(ArtifactError, match=r"model\.onnx' is no sound ONNX file"):
            read_references(file)


def test_numbers_that_are_none_are_damage(tmp_path):
    file = written(tmp_path, graph(tensors=[external("a.data", offset="a lot")]))
    with pytest.raises(ArtifactError, match="no sound ONNX file"):
        read_references(file)


def field(number, content):
    size = len(content)
    return bytes([number << 3 | 2, size & 0x7F | 0x80, size >> 7]) + content


def test_endless_nesting_is_damage(tmp_path):
    inner = b""
    for _ in range(60):  # a graph in an attribute of a node of a graph
        inner = field(1, field(5, field(6, inner)))
    file = tmp_path / "model.onnx"
    file.write_bytes(field(7, inner))
    with pytest.raises(ArtifactError, match="nested too deeply"):
        read_references(file)
