"""What an artifact's weights take: all of them, and a weight of the blocks in bits."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path


def stored(folder: Path, checkpoint: Path) -> dict[str, float]:
    """``megabytes`` of all tensors; ``block_bits`` of a matrix's weight in the blocks.

    The bits count scales, zero points and norms, and leave out embedding and head, which every
    tool treats in its own way.
    """
    tensors = list(_tensors(folder))
    blocks = sum(nbytes for is_block, nbytes in tensors if is_block)
    return {
        "megabytes": sum(nbytes for _, nbytes in tensors) / 1e6,
        "block_bits": 8 * blocks / _block_weights(checkpoint),
    }


def _block_weights(checkpoint: Path) -> int:
    from aipc.checkpoint import open_checkpoint

    with open_checkpoint(checkpoint) as opened:
        shapes = {name: tensor.shape for name, tensor in opened.tensors.items()}
    return sum(prod(shape) for name, shape in shapes.items() if ".layers." in name)


def _tensors(folder: Path) -> Iterator[tuple[bool, int]]:
    """Of every tensor, whether it belongs to a block, and its bytes."""
    if (folder / "openvino_model.xml").exists():
        return _of_openvino(folder / "openvino_model.xml")
    if (folder / "model.onnx").exists():
        return _of_onnx(folder / "model.onnx")
    return _of_gguf(folder / "model.gguf")


def _of_openvino(path: Path) -> Iterator[tuple[bool, int]]:
    import openvino

    constants = [node for node in openvino.Core().read_model(path).get_ordered_ops()
                 if node.get_type_name() == "Constant"]  # fmt: skip
    vocabulary = max(node.get_output_shape(0)[0] for node in constants if node.get_output_shape(0))
    for node in constants:
        yield vocabulary not in node.get_output_shape(0), node.get_byte_size()


def _of_onnx(path: Path) -> Iterator[tuple[bool, int]]:
    import onnx

    for tensor in onnx.load(path, load_external_data=False).graph.initializer:
        outside = {entry.key: entry.value for entry in tensor.external_data}
        yield ".layers." in tensor.name, int(outside.get("length", len(tensor.raw_data)))


def _of_gguf(path: Path) -> Iterator[tuple[bool, int]]:
    import gguf

    for tensor in gguf.GGUFReader(path).tensors:
        yield tensor.name.startswith("blk."), int(tensor.n_bytes)
