from __future__ import annotations

import sys

import pytest

from aipc.errors import MeasurementError, UsageError
from aipc.measure.peers.peers import find_peer, find_python, install, peers, read_python, read_spec
from aipc.models.store import Store


@pytest.mark.parametrize("name", peers())
def test_every_peer_has_a_script_that_needs_no_aipc(name):
    peer = find_peer(name)
    text = peer.script.read_text("utf-8")
    assert "import aipc" not in text
    assert "from aipc" not in text
    assert "def load(options" in text
    assert peer.source.startswith("https://")
    assert bool(peer.packages) == bool(peer.costs)


def test_a_peer_as_the_command_line_names_it(tmp_path):
    entry = read_spec(f"openvino_genai:defaults={tmp_path}")
    assert (entry.name, entry.defaults, entry.artifact) == (
        "openvino_genai:defaults",
        True,
        tmp_path,
    )
    assert read_spec("llama_cpp").artifact is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("llamacpp", "unknown peer 'llamacpp'; did you mean 'llama_cpp'"),
        ("openvino_genai:fast", "write openvino_genai:defaults"),
        ("llama_cpp=/nowhere/x.gguf", "there is no '/nowhere/x.gguf'"),
    ],
)
def test_a_peer_that_can_not_be_meant(text, complaint):
    with pytest.raises(UsageError, match=complaint):
        read_spec(text)


def test_a_virtual_environments_python_is_kept_as_it_was_named(tmp_path):
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    assert read_python(f"optimum={python}") == ("optimum", str(python))
    with pytest.raises(UsageError, match="is no NAME=PYTHON"):
        read_python("optimum")
    with pytest.raises(UsageError, match="there is no '/nowhere'"):
        read_python("optimum=/nowhere")


def test_a_peer_without_packages_of_its_own_runs_here(tmp_path):
    assert find_python(find_peer("openvino_genai"), Store(tmp_path)) == sys.executable


def test_a_peer_that_is_not_installed_says_what_installing_it_costs(tmp_path):
    with pytest.raises(MeasurementError, match=r"1.8 GB.*aipc bench --install-peer optimum"):
        find_python(find_peer("optimum"), Store(tmp_path))


def test_an_environment_counts_only_with_the_packages_that_are_listed_now(tmp_path):
    peer, home = find_peer("transformers"), tmp_path / "peers" / "transformers"
    home.mkdir(parents=True)
    (home / "complete").write_text("torch==1.0\n", encoding="utf-8")
    with pytest.raises(MeasurementError, match="is not installed"):
        find_python(peer, Store(tmp_path))
    (home / "complete").write_text("\n".join(peer.packages) + "\n", encoding="utf-8")
    assert find_python(peer, Store(tmp_path)).startswith(str(home))
    told = []
    install(peer, Store(tmp_path), told.append)
    assert told == ["transformers is here already"]
