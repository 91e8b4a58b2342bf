"""Artifacts that are damaged or hostile: their JSON, OpenVINO's XML, ONNX's protocol buffers."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path

from hostile_files import VALUES, changed_json
from hostile_gguf import flipped

GRAPH, ONNX = "openvino_model.xml", "model.onnx"
ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
BOMB = f'<?xml version="1.0"?><!DOCTYPE net [<!ENTITY e0 "ha">{ENTITIES}]><net name="&e11;"/>'
OUTSIDE = (
    '<?xml version="1.0"?><!DOCTYPE net [<!ENTITY x SYSTEM "file:///etc/passwd">]><net name="&x;"/>'
)
NUMBERS = ("0", "-1", "-2", "2147483648", "4294967296", "9223372036854775807", "1e9", "x", "")
JSON_FILES = (
    *("config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json"),
    *("genai_config.json", "aipc.json"),
)


def json_file(rng: random.Random, sound: Path, folder: Path) -> Path:
    """A value in one of the JSON files; the manifest does not know of it."""
    _copied(sound, folder)
    there = [name for name in JSON_FILES if (folder / name).is_file()]
    name = rng.choice(there)
    changed_json(rng, folder / name, (), VALUES)
    if rng.random() < 0.5 and name != "aipc.json":  # as a folder that somebody else made
        (folder / "aipc.json").unlink()
    return folder


def graph(rng: random.Random, sound: Path, folder: Path) -> Path:
    """The graph's own file: bombs, sizes, references, lost and flipped bytes."""
    _copied(sound, folder)
    (folder / "aipc.json").unlink()
    if (folder / GRAPH).is_file():
        text = (folder / GRAPH).read_text("utf-8")
        (folder / GRAPH).write_text(_changed_xml(rng, text), "utf-8")
    else:
        data = (folder / ONNX).read_bytes()
        (folder / ONNX).write_bytes(_changed_onnx(rng, data))
    return folder


def weights(rng: random.Random, sound: Path, folder: Path) -> Path:
    """The file of the weights: cut, empty, flipped, a link out of the folder, a folder."""
    _copied(sound, folder)
    if rng.random() < 0.5:
        (folder / "aipc.json").unlink()
    there = ("openvino_model.bin", "model.onnx.data", "openvino_tokenizer.bin", "tokenizer.json")
    file = folder / rng.choice([name for name in there if (folder / name).is_file()])
    data = file.read_bytes()
    file.unlink()
    kind = rng.randrange(5)
    if kind == 0:
        file.write_bytes(data[: rng.randrange(len(data))])
    elif kind == 1:
        file.write_bytes(flipped(rng, data, 4))
    elif kind == 2:
        file.symlink_to("/dev/zero" if rng.random() < 0.5 else "/etc/passwd")
    elif kind == 3:
        file.mkdir()
    return folder


ARTIFACTS = {"artifact-json": json_file, "graph": graph, "weights": weights}
"""What goes wrong in what is loaded."""


def _copied(sound, folder):
    shutil.copytree(sound, folder, dirs_exist_ok=True)


def _changed_xml(rng, text):
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice((BOMB, OUTSIDE, "", "<net/>", '<net name="x" version="11"/>'))
    if kind == 1:
        return text[: rng.randrange(len(text))]
    if kind == 2:
        return "<a>" * 10**5 + text
    places = list(re.finditer(r'(?<==")[^"]*(?=")|(?<=<dim>)[^<]*', text))
    for _ in range(rng.choice((1, 1, 2))):
        place = rng.choice(places)
        other = rng.choice((*NUMBERS, rng.choice(places)[0]))
        text = text[: place.start()] + other + text[place.end() :]
        places = list(re.finditer(r'(?<==")[^"]*(?=")|(?<=<dim>)[^<]*', text))
    return text


def _changed_onnx(rng, data):
    kind = rng.randrange(4)
    if kind == 0:
        return data[: rng.randrange(len(data))]
    if kind == 1:
        return flipped(rng, data, 4)
    if kind == 2:  # weights elsewhere
        name = b"model.onnx.data"
        return data.replace(name, rng.choice((b"/etc/passwd....", b"../../../passwd", b"x" * 15)))
    at = rng.randrange(len(data))
    return data[:at] + rng.choice((b"\xff" * 10, b"\0" * 8)) + data[at + 8 :]
