"""Damaged and hostile model files by a seed: for each format a grammar of what can be wrong.

A case is a folder or file that is a sound model but for one to three changes.  `CHECKPOINTS` has a
function for each format; it takes a random generator, sound models and an empty folder, and gives
the path to open.
"""

from __future__ import annotations

import copy
import json
import random
import shutil
import struct
from pathlib import Path

import hostile_gguf
import networks
from hostile_gguf import flipped

NAN, INFINITY = float("nan"), float("inf")
ESCAPES = "\x1b]0;owned\x07\x1b[2J\u202e\u2066\x9b31m\n\r\0"
"""Sets a terminal's title, clears it, turns the direction of the text and begins a new line."""
VALUES = (
    *(None, True, False, "", "x", ESCAPES, "../../x", "\ud800", "x" * 10**5),
    *(
        -1,
        0,
        1,
        2,
        3,
        7,
        255,
        2**16,
        10**6,
        2**31 - 1,
        2**31,
        2**32,
        2**63,
        2**64,
        10**400,
        -(2**63),
    ),
    *(NAN, INFINITY, -INFINITY, -0.0, 1e-320, 1e-30, 0.5, 1.5, -1.5, 1e30, 1e308),
    *([], {}, [1], [[]], [None], ["x"], {"x": 1}, {"": {}}, [1e308] * 64, ["x"] * 1000),
)
BASES = (
    "llama-yarn",
    "gemma3",
    "gemma4",
    "granite4",
    "lfm2",
    "olmo3",
    "phi4",
    "qwen3_5",
    "smollm3",
)
KEYS = (
    *("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size", "head_dim"),
    *("num_attention_heads", "num_key_value_heads", "max_position_embeddings", "rms_norm_eps"),
    *(
        "rope_theta",
        "rope_scaling",
        "rope_parameters",
        "sliding_window",
        "layer_types",
        "model_type",
    ),
    *("architectures", "eos_token_id", "bos_token_id", "pad_token_id", "hidden_act", "norm_eps"),
    *("tie_word_embeddings", "partial_rotary_factor", "quantization_config", "text_config"),
    *("original_max_position_embeddings", "block_multiple_of", "block_ffn_dim_multiplier"),
    *("full_attention_interval", "max_window_layers", "conv_L_cache", "linear_num_key_heads"),
    *(
        "no_rope_layers",
        "per_layer_config",
        "attention_multiplier",
        "temperature",
        "top_k",
        "top_p",
    ),
)


class Models:
    """The sound models that cases are made of, each written once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def checkpoint(self, name: str) -> Path:
        folder = self._folder / name
        if not folder.is_dir():
            networks.Expected(name).write(folder)
        return folder


def config_json(rng: random.Random, models: Models, folder: Path) -> Path:
    """Members of config.json of other types, sizes and shapes."""
    return _with_changed_json(rng, models, folder, "config.json", KEYS)


def generation_config(rng: random.Random, models: Models, folder: Path) -> Path:
    keys = (
        "eos_token_id",
        "bos_token_id",
        "pad_token_id",
        "temperature",
        "top_k",
        "top_p",
        "min_p",
    )
    return _with_changed_json(rng, models, folder, "generation_config.json", keys)


def tokenizer_config(rng: random.Random, models: Models, folder: Path) -> Path:
    keys = ("bos_token", "eos_token", "chat_template", "unk_token", "model_max_length", "auto_map")
    return _with_changed_json(rng, models, folder, "tokenizer_config.json", keys)


def tokenizer_json(rng: random.Random, models: Models, folder: Path) -> Path:
    """A value anywhere in tokenizer.json."""
    return _with_changed_json(rng, models, folder, "tokenizer.json", ())


def json_text(rng: random.Random, models: Models, folder: Path) -> Path:
    """One of the JSON files cut, flipped, nested, repeated, or in another encoding."""
    source = models.checkpoint(rng.choice(BASES))
    shutil.copytree(source, folder, dirs_exist_ok=True)
    names = ("config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json")
    file = folder / rng.choice(names)
    data = file.read_bytes()
    file.write_bytes(
        rng.choice(
            (
                lambda: data[: rng.randrange(len(data))],
                lambda: flipped(rng, data, 5),
                lambda: b'{"a":' * 10**5,
                lambda: b"[" * 10**6,
                lambda: data.replace(b"{", b'{"x": 1, "x": 2, ', 1),
                lambda: data.decode().encode("utf-16"),
                lambda: data.replace(b'"', b'"\xff', 1),
                lambda: b"",
                lambda: b"\0" * 1000,
                lambda: b"null",
                lambda: data + data,
            )
        )()
    )
    return folder


def safetensors(rng: random.Random, models: Models, folder: Path) -> Path:
    """A header that lies about types, shapes and offsets; weights that are no numbers."""
    source = models.checkpoint(rng.choice(BASES))
    shutil.copytree(source, folder, dirs_exist_ok=True)
    changed_safetensors(rng, folder / "model.safetensors")
    return folder


def changed_safetensors(rng: random.Random, file: Path) -> None:
    """One thing is otherwise in a safetensors file."""
    data = bytearray(file.read_bytes())
    (length,) = struct.unpack_from("<Q", data)
    header, body = json.loads(data[8 : 8 + length]), bytes(data[8 + length :])
    kind = rng.randrange(7)
    if kind == 0:
        data = data[: rng.randrange(len(data))]
    elif kind == 1:
        struct.pack_into("<Q", data, 0, rng.choice((0, 1, 2**31, 2**63, 2**64 - 1, len(data))))
    elif kind == 2:
        data = bytearray(flipped(rng, bytes(data[: 8 + length]), 5)) + body
    elif kind == 3:  # weights that are no numbers
        at = 8 + length + 4 * rng.randrange(len(body) // 4)
        struct.pack_into("<f", data, at, rng.choice((NAN, INFINITY, -INFINITY, 3e38)))
    else:
        name = rng.choice([key for key in header if key != "__metadata__"])
        part = rng.choice(("dtype", "shape", "data_offsets", None))
        if part is None:
            header[rng.choice((name, name + "x", ESCAPES))] = rng.choice((*VALUES, header[name]))
        else:
            old = header[name][part]
            header[name][part] = rng.choice((*VALUES, "F8_E4M3", "U8", _twisted(rng, old)))
        text = json.dumps(header).encode("utf-8", "surrogatepass")
        data = bytearray(struct.pack("<Q", len(text)) + text + body)
    file.write_bytes(data)


def index_json(rng: random.Random, models: Models, folder: Path) -> Path:
    """An index whose shards are missing, elsewhere, or no files."""
    source = models.checkpoint("phi4")
    shutil.copytree(source, folder, dirs_exist_ok=True)
    (folder / "model.safetensors").rename(folder / "shard.safetensors")
    header = (folder / "shard.safetensors").read_bytes()
    names = json.loads(header[8 : 8 + struct.unpack_from("<Q", header)[0]])
    shards = (
        "../x.safetensors",
        "/etc/passwd",
        "x.safetensors",
        "NUL.safetensors",
        ESCAPES,
        1,
        None,
    )
    weights = {
        name: rng.choice(shards) if rng.random() < 0.1 else "shard.safetensors" for name in names
    }
    whole = rng.choice(({"weight_map": weights}, {"weight_map": rng.choice(VALUES)}, {}))
    _write(folder / "model.safetensors.index.json", whole)
    return folder


def gguf(rng: random.Random, models: Models, folder: Path) -> Path:
    """A GGUF file with other metadata, other counts, or flipped and lost bytes."""
    file = folder / "model.gguf"
    file.write_bytes(hostile_gguf.damaged(rng, VALUES))
    return file


def gguf_parts(rng: random.Random, models: Models, folder: Path) -> Path:
    """A GGUF model in parts that do not fit together, or are damaged by themselves."""
    return hostile_gguf.write_damaged_parts(rng, VALUES, folder)


TEMPLATES = (
    "{{ messages|length * 'x' * 10**9 }}",
    "{{ 'x'.center(10**9) }}",
    "{{ 'x'.ljust(10**10) }}",
    "{{ 'x' * 1000000 }}{{ ('x' * 1000000).replace('x', 'y' * 1000000) }}",
    "{% set n = namespace(a='x') %}{% for i in range(64) %}{% set n.a = n.a ~ n.a %}{% endfor %}",
    "{% set n = namespace(a=[1]) %}{% for i in range(64) %}{% set n.a = n.a + n.a %}{% endfor %}",
    "{{ messages|tojson(indent=10**9) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ 'x'|format }}{{ '%*d'|format(10**9, 1) }}",
    "{{ ('x' * 10**6)|join('y' * 10**6) }}",
    "{{ 'x'|indent(10**9) }}{{ 'x'|center(10**9) }}{{ 'x'|wordwrap(1) }}",
    "{{ ('x' * 10**6).join(range(100000)|map('string')) }}",
    "{{ range(10**9)|list }}",
    "{{ (range(100000)|list) * 1000 }}",
    "{{ 9**9**9 }}",
    "{{ messages[0].__class__.__mro__ }}",
    "{{ raise_exception('" + ESCAPES.replace("\n", "") + "') }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{{ 'x'.encode('utf-32').hex() }}{{ 'x'.translate({120: 'y' * 10**9}) }}",
    "{{ ''.join(['x' * 1000000] * 1000000) }}",
    "{{ 'a'.expandtabs(10**9) }}{{ '\\t'.expandtabs(10**9) }}{{ 'x'.zfill(10**9) }}",
    "{{ messages|batch(10**9, 'x')|list }}{{ messages|slice(10**9)|list }}",
    "{{ (1).to_bytes(10**9, 'big') }}{{ (7)|round(10**9) }}{{ 1 << 10**10 }}",
    "{{ 'x' * -1 }}{{ undefined.x.y }}",
    "{% include 'x' %}",
    "{{ cycler }}{{ joiner('x' * 9) }}{{ dict(a=1) }}{{ self }}",
)


def template(rng: random.Random, models: Models, folder: Path) -> Path:
    """A chat template that takes much, reaches out, or is none."""
    source = models.checkpoint(rng.choice(BASES))
    shutil.copytree(source, folder, dirs_exist_ok=True)
    text = rng.choice(TEMPLATES)
    if rng.random() < 0.3:
        text = text[: rng.randrange(len(text))]
    (folder / "chat_template.jinja").write_text(text + "{{ messages[0].content }}", "utf-8")
    return folder


CHECKPOINTS = {
    "config": config_json,
    "generation-config": generation_config,
    "tokenizer-config": tokenizer_config,
    "tokenizer": tokenizer_json,
    "json": json_text,
    "safetensors": safetensors,
    "index": index_json,
    "gguf": gguf,
    "gguf-parts": gguf_parts,
    "template": template,
}
"""What goes wrong in what is converted."""


def _with_changed_json(rng, models, folder, name, keys):
    source = models.checkpoint(rng.choice(BASES))
    shutil.copytree(source, folder, dirs_exist_ok=True)
    changed_json(rng, folder / name, keys, VALUES)
    return folder


def changed_json(rng, file, keys, values):
    """One to three members of a JSON file, ``keys`` of it or any, are others."""
    content = json.loads(file.read_text("utf-8"))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        value = copy.deepcopy(rng.choice(values))
        if keys and rng.random() < 0.5:
            content[rng.choice(keys)] = value
        else:
            where, key = rng.choice(list(_places(content)))
            where[key] = rng.choice((value, value, _twisted(rng, where[key])))
    _write(file, content)


def _places(tree):
    """Every place of a JSON tree, as what holds it and its key there; of long lists the first."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree[:20])
    for key, value in pairs:
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _twisted(rng, value):
    """Something near: another sign, size or length."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        value = value if abs(value) < 2**1000 else 1
        return rng.choice((-value, value + 1, value * 2, value * 10**6, value / 2, str(value)))
    if isinstance(value, str):
        return rng.choice((value[:-1], value + ESCAPES, value * 2, [value], value.upper()))
    if isinstance(value, list):
        return rng.choice((value[:-1], value[::-1], value * 2, [*value, None]))
    return {} if rng.random() < 0.5 else [value]


def _write(file, content):
    file.write_bytes(json.dumps(content).encode("utf-8", "surrogatepass"))
