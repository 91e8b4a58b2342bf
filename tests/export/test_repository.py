from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

from aipc.artifact import manifest
from aipc.errors import ArtifactError
from aipc.export.graph import FILE as GRAPH
from aipc.export.repository import add_version, serve_version

FILES = {
    "openvino_model.bin": b"weights",
    "openvino_model.xml": b"<net/>",
    "generation_config.json": b"{}",
    "1_Pooling/config.json": b"{}",
}


@pytest.fixture
def artifact(tmp_path):
    folder = tmp_path / "store" / "artifact"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    manifest.write(folder, "artifact", "artifact", {"recipe": {}})
    return folder


@pytest.fixture
def root(tmp_path):
    return tmp_path / "ovms"


def add(root, artifact, graph="graph\n", name="phi"):
    return add_version(root, name, artifact, graph, {"a": 1})


def versions(root, name="phi"):
    return sorted(path.name for path in (root / name).iterdir() if not path.name.startswith("."))


def test_a_version_holds_the_artifact_and_its_graph(root, artifact):
    made = add(root, artifact)
    assert (made.path, made.number, made.reused) == (root / "phi" / "1", 1, False)
    assert {name: (made.path / name).read_bytes() for name in FILES} == FILES
    assert (made.path / GRAPH).read_text() == "graph\n"
    assert manifest.verify(made.path) == []
    assert manifest.read(made.path).facts == {"a": 1}


def test_weights_are_linked_and_what_may_be_edited_is_copied(root, artifact):
    made = add(root, artifact)
    weights, config = "openvino_model.bin", "generation_config.json"
    assert (made.path / weights).samefile(artifact / weights)
    assert not (made.path / config).samefile(artifact / config)


def test_where_links_can_not_be_made_weights_are_copied(root, artifact, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    made = add(root, artifact)
    assert not (made.path / "openvino_model.bin").samefile(artifact / "openvino_model.bin")
    assert manifest.verify(made.path) == []


def test_the_same_again_is_no_new_version(root, artifact):
    add(root, artifact)
    again = add(root, artifact)
    assert (again.number, again.reused) == (1, True)
    assert versions(root) == ["1"]


def test_a_change_is_the_next_version_and_the_last_one_stays(root, artifact):
    add(root, artifact)
    assert add(root, artifact, "another graph\n").number == 2
    (artifact / "generation_config.json").write_text('{"top_k": 1}')
    manifest.write(artifact, "artifact", "artifact", {})
    assert add(root, artifact, "another graph\n").number == 3
    assert (root / "phi" / "1" / GRAPH).read_text() == "graph\n"
    assert versions(root) == ["1", "2", "3"]


def test_a_damaged_version_is_not_taken_for_the_newest(root, artifact):
    made = add(root, artifact)
    (made.path / GRAPH).write_text("")
    assert add(root, artifact).number == 2


def test_a_vendors_folder_and_an_exported_one(root, artifact, tmp_path):
    (artifact / manifest.FILE).unlink()
    (artifact / ".cache").mkdir()
    (artifact / ".cache" / "lock").touch()
    made = add(root, artifact)
    assert set(manifest.read(made.path).files) == {*FILES, GRAPH}
    assert add(root, made.path, name="other").path == root / "other" / "1"
    assert (root / "other" / "1" / GRAPH).read_text() == "graph\n"


def test_what_fails_midway_leaves_no_version(root, artifact, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", fail)
    with pytest.raises(ArtifactError, match="no space left"):
        add(root, artifact)
    assert versions(root) == []


def test_a_killed_process_leaves_no_version(root, artifact, tmp_path):
    script = textwrap.dedent("""
        import os, shutil, sys
        from pathlib import Path
        from aipc.export.repository import add_version
        shutil.copyfile = lambda *_: os._exit(9)
        add_version(Path(sys.argv[1]), "phi", Path(sys.argv[2]), "graph\\n", {})
    """)
    done = subprocess.run([sys.executable, "-c", script, str(root), str(artifact)], check=False)
    assert done.returncode == 9
    assert versions(root) == []
    assert add(root, artifact).number == 1
    assert [path.suffix for path in (root / "phi").glob(".*")] == [".lock"]


def test_config_names_the_version_and_keeps_other_models(root, artifact):
    add(root, artifact)
    others = {
        "model_config_list": [{"config": {"name": "resnet", "base_path": "/models/resnet"}}],
        "monitoring": {"metrics": {"enable": True}},
    }
    (root / "config.json").write_text(json.dumps(others))
    serve_version(root, "phi", 1)
    serve_version(root, "phi", 2)
    config = json.loads((root / "config.json").read_text())
    assert config["monitoring"] == others["monitoring"]
    assert config["model_config_list"] == [
        *others["model_config_list"],
        {"config": {"name": "phi", "base_path": "phi/2"}},
    ]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"model_config_list": {}}', '{"model_config_list": [1]}']
)
def test_a_config_that_is_not_the_servers_stays(root, text):
    root.mkdir()
    (root / "config.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"config\.json"):
        serve_version(root, "phi", 1)
    assert (root / "config.json").read_text() == text
