"""Faults of files that were reported of other programs since 2025, each tried here.

- Sizes of a GGUF tensor whose product wraps: llama.cpp, GHSA-vgg9-87g3-85w8 and pull requests
  18674 and 24759, issues 15711 and 27203.
- A GGUF tensor that ends beyond its file, read all the same: Ollama, CVE-2026-7482.
- Byte tokens of a GGUF vocabulary that are no bytes: llama.cpp, issue 27226 and pull request 25969.
- Special tokens beyond it, and a vocabulary too small for its own: llama.cpp, pull requests 25475
  and 14145.
- Scores and types of tokens in arrays of narrower numbers: llama.cpp, pull request 26690.
- An answer that takes a reader of tool calls or of thinking quadratic time: vLLM, pull requests
  18454, 18960 and 55473.
- Alignments that are none, types below 0, keys twice: llama.cpp, pull requests 19856 and 26318.
- A chat template in a GGUF file that runs code: SGLang, CVE-2026-5760.
- ``auto_map`` that has a checkpoint's own code run, though nobody allowed it: vLLM, CVE-2026-22807.
- External data of an ONNX file that is elsewhere, by its name, a link or a hard link: onnx,
  CVE-2026-27489 and CVE-2026-34446.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import suppress

import hostile_gguf
import pytest
import thinking_templates
import tiny
from hostile_gguf import BOOL, FLOAT32, INT32, STRING, UINT32, UINT64

from aipc.checkpoint import open_checkpoint
from aipc.convert.onnx.plan import plan_onnx
from aipc.convert.openvino.plan import plan_openvino
from aipc.convert.recipe import Recipe
from aipc.errors import AipcError, ArtifactError, CheckpointError, GenerationError
from aipc.generate.structured.call_reader import CallReader
from aipc.generate.structured.tool_format import format_of
from aipc.generate.template import ChatTemplate
from aipc.generate.thinking.marks import marks_of_template
from aipc.generate.thinking.reader import ThinkingReader
from aipc.generate.tokenizer import Tokenizer
from aipc.runtimes.onnx.folder import open_folder


def write_gguf(folder, metadata=None, tensors=None):
    file = folder / "model.gguf"
    stated = hostile_gguf.SOUND | (metadata or {})
    file.write_bytes(hostile_gguf.encoded(stated, tensors or hostile_gguf.tensors()))
    return file


def patched(folder, name, axes, offset=None):
    """The file with other sizes, or another place, of one tensor in its list."""
    file = write_gguf(folder)
    data = bytearray(file.read_bytes())
    at = data.index(name.encode()) + len(name) + 4
    for number, axis in enumerate(axes):
        data[at + 8 * number : at + 8 * number + 8] = axis.to_bytes(8, "little")
    if offset is not None:
        place = at + 8 * len(axes) + 4
        data[place : place + 8] = offset.to_bytes(8, "little")
    file.write_bytes(data)
    return file


def test_the_file_that_the_others_are_made_of_is_sound(tmp_path):
    with open_checkpoint(write_gguf(tmp_path)) as checkpoint:
        assert checkpoint.rows("model.norm.weight").shape == (hostile_gguf.HIDDEN,)


@pytest.mark.parametrize(
    "axes",
    [
        (32, 2**42 + 1),
        (2**63 - 1, 2),
        (2**62, 4),
        ((2**64 - 4) // 4, 1),
        (2**32, 2**32),
        (0, 2**64 - 1),
    ],
)
def test_sizes_whose_product_wraps(tmp_path, axes):
    with pytest.raises(CheckpointError):
        open_checkpoint(patched(tmp_path, "token_embd.weight", axes))


@pytest.mark.parametrize("offset", [2**20, 2**63, 2**64 - 32, 2**64 - 1])
def test_a_tensor_that_ends_beyond_the_file(tmp_path, offset):
    with pytest.raises(CheckpointError):
        open_checkpoint(patched(tmp_path, "output_norm.weight", (32,), offset))


@pytest.mark.parametrize(
    "alignment",
    [
        *((UINT32, number) for number in (0, 3, 2**31)),
        *((UINT64, 2**63), (INT32, -32), (FLOAT32, 32.0), (STRING, "32")),
    ],
)
def test_an_alignment_that_is_none(tmp_path, alignment):
    with pytest.raises(CheckpointError):
        open_checkpoint(write_gguf(tmp_path, {"general.alignment": alignment}))


def test_a_type_below_0(tmp_path):
    file = write_gguf(tmp_path)
    data = bytearray(file.read_bytes())
    at = data.index(b"output_norm.weight") + len("output_norm.weight") + 4 + 8
    data[at : at + 4] = b"\xff" * 4
    file.write_bytes(data)
    with pytest.raises(CheckpointError):
        open_checkpoint(file)


PIECES = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "a"]
SENTENCEPIECE = {
    "tokenizer.ggml.model": (STRING, "llama"),
    "tokenizer.ggml.tokens": (STRING, PIECES),
    "tokenizer.ggml.scores": (FLOAT32, [0.0] * len(PIECES)),
    "tokenizer.ggml.token_type": (INT32, [2, 3, 3, *[6] * 256, 1]),
}
"""A vocabulary of 260 tokens with one for each byte."""


def tokenizes(file, folder):
    """Whether a text goes through the file's tokenizer and back."""
    with open_checkpoint(file) as checkpoint:
        checkpoint.write_text_files(folder)
    tokenizer = Tokenizer.from_folder(folder)
    return tokenizer.decode(tokenizer.encode("a", add_special_tokens=False)).endswith("a")


def test_a_vocabulary_of_bytes_is_sound(tmp_path):
    assert tokenizes(write_gguf(tmp_path, SENTENCEPIECE), tmp_path / "texts")


@pytest.mark.parametrize("token", ["<0x-1>", "<0x-f>", "<0xZZ>", "<0x>", "<0x100>", "<0x 1>", ""])
def test_a_byte_token_that_is_no_byte(tmp_path, token):
    pieces = [*PIECES[:-2], token, PIECES[-1]]
    stated = SENTENCEPIECE | {"tokenizer.ggml.tokens": (STRING, pieces)}
    with suppress(AipcError):
        assert tokenizes(write_gguf(tmp_path, stated), tmp_path / "texts")


@pytest.mark.parametrize("kind", ["bos", "eos", "unknown", "padding", "eot"])
@pytest.mark.parametrize("number", [(UINT32, 260), (UINT32, 2**32 - 1), (INT32, -1)])
def test_a_special_token_beyond_the_vocabulary(tmp_path, kind, number):
    key = f"tokenizer.ggml.{kind}_token_id"
    with suppress(AipcError):
        assert tokenizes(write_gguf(tmp_path, SENTENCEPIECE | {key: number}), tmp_path / "texts")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_vocabulary_that_is_too_small(tmp_path, count):
    stated = {
        key: (kind, value[:count]) if isinstance(value, list) else (kind, value)
        for key, (kind, value) in SENTENCEPIECE.items()
    }
    with pytest.raises(AipcError):
        tokenizes(write_gguf(tmp_path, stated), tmp_path / "texts")


@pytest.mark.parametrize("key", ["scores", "token_type"])
@pytest.mark.parametrize("kind", [BOOL, STRING, UINT64])
def test_arrays_of_tokens_in_other_types(tmp_path, key, kind):
    values = ["0"] * len(PIECES) if kind == STRING else [1] * len(PIECES)
    stated = SENTENCEPIECE | {f"tokenizer.ggml.{key}": (kind, values)}
    with suppress(AipcError):
        tokenizes(write_gguf(tmp_path, stated), tmp_path / "texts")


@pytest.mark.parametrize("piece", ["<tool_call>", "<tool_call>{", "[", '{"a":', "<", "</", " "])
def test_answers_are_read_in_time_that_grows_with_their_length(piece):
    marks = marks_of_template(thinking_templates.QWEN_3)

    def seconds(count):
        calls = CallReader(format_of(thinking_templates.QWEN_3), {"x"})
        thinking = ThinkingReader(marks, is_open=True)
        began = time.process_time()
        for _ in range(count):
            calls.feed(piece)
            thinking.feed(piece)
        calls.finish()
        thinking.finish()
        return time.process_time() - began

    seconds(100)
    assert seconds(8000) < 32 * max(seconds(1000), 0.01)


@pytest.mark.parametrize(
    "payload",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.popen('touch MARK').read() }}",
        "{{ self.__init__.__globals__.__builtins__.__import__('os').system('touch MARK') }}",
        "{{ joiner|attr('__init__')|attr('__globals__') }}",
        "{{ namespace.__init__.__globals__['sys'].modules['os'].system('touch MARK') }}",
        "{% for c in [].__class__.__base__.__subclasses__() %}{{ c }}{% endfor %}",
        "{{ ('{0.__class__.__init__.__globals__}').format(cycler) }}",
        "{{ 'x'.format_map.__self__.__class__ }}",
    ],
)
def test_a_template_that_runs_code(tmp_path, payload):
    mark = tmp_path / "mark"
    text = payload.replace("MARK", str(mark))
    file = write_gguf(tmp_path, {"tokenizer.chat_template": (STRING, text)})
    with open_checkpoint(file) as checkpoint:
        checkpoint.write_text_files(tmp_path / "texts")
    with suppress(GenerationError):
        template = ChatTemplate.from_folder(tmp_path / "texts", {})
        # what Jinja's sandbox does not give out is undefined, and written as nothing
        assert template.render([{"role": "user", "content": "a"}]) == ""
    assert not mark.exists()


def test_code_of_a_checkpoint_is_neither_run_nor_kept(tmp_path):
    folder, artifact, mark = tmp_path / "model", tmp_path / "artifact", tmp_path / "mark"
    named = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    config = tiny.LLAMA | {"auto_map": named, "trust_remote_code": True}
    tiny.write_checkpoint(folder, config, tiny.random_tensors(tiny.LLAMA))
    (folder / "code.py").write_text(f"open({str(mark)!r}, 'w')")
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    tokenizer |= {"auto_map": {"AutoTokenizer": ["code.Slow", None]}, "tokenizer_class": "Slow"}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    artifact.mkdir()
    with open_checkpoint(folder) as checkpoint:
        plan_openvino(checkpoint, Recipe("int8")).write(artifact)
    assert not mark.exists()
    assert not list(artifact.glob("*.py"))
    assert not any(b"auto_map" in file.read_bytes() for file in artifact.glob("*.json"))


@pytest.fixture(scope="module")
def onnx_artifact(tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    tiny.write_checkpoint(folder / "model", tiny.LLAMA, tiny.random_tensors(tiny.LLAMA))
    (folder / "artifact").mkdir()
    with open_checkpoint(folder / "model") as checkpoint:
        plan_onnx(checkpoint, Recipe("int8")).write(folder / "artifact")
    return folder / "artifact"


@pytest.mark.parametrize("location", ["../secret", "a/../../secret", "/etc/passwd", "nul"])
def test_external_data_elsewhere_by_its_name(onnx_artifact, tmp_path, location):
    name = b"model.onnx.data"
    folder = shutil.copytree(onnx_artifact, tmp_path / "artifact")
    data = (folder / "model.onnx").read_bytes()
    padded = location.encode().ljust(len(name), b".")[: len(name)]
    (folder / "model.onnx").write_bytes(data.replace(name, padded))
    with pytest.raises(ArtifactError):
        open_folder(folder)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_external_data_elsewhere_by_a_link(onnx_artifact, tmp_path, link):
    folder = shutil.copytree(onnx_artifact, tmp_path / "artifact")
    shutil.move(folder / "model.onnx.data", tmp_path / "secret")
    try:
        link(tmp_path / "secret", folder / "model.onnx.data")
    except OSError:
        pytest.skip("this system makes no such link")
    with pytest.raises(AipcError, match=r"link"):
        open_folder(folder)
