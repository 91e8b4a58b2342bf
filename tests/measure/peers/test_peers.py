from __future__ import annotations

import shutil
import sys

import pytest

from aipc.errors import MeasurementError, UsageError
from aipc.measure.bench.runner import ParticipantProcess
from aipc.measure.peers.peers import (
    find_interpreter,
    find_peer,
    install,
    link_cuda_libraries,
    packages_folder,
    peers,
    read_python,
    read_spec,
)
from aipc.models.store import Store


@pytest.mark.parametrize("name", peers())
def test_every_peer_has_a_script_that_needs_no_aipc(name):
    peer = find_peer(name)
    text = peer.script.read_text("utf-8")
    assert "import aipc" not in text
    assert "from aipc" not in text
    assert ("def load(options" in text) == (peer.program == "python")
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
    with pytest.raises(UsageError, match="llama_cpp runs in node"):
        read_python(f"llama_cpp={python}")


def test_a_peer_without_packages_of_its_own_runs_here(tmp_path):
    assert find_interpreter(find_peer("openvino_genai"), Store(tmp_path)) == sys.executable


def test_a_peer_that_is_not_installed_says_what_installing_it_costs(tmp_path):
    with pytest.raises(MeasurementError, match=r"1.8 GB.*aipc bench --install-peer optimum"):
        find_interpreter(find_peer("optimum"), Store(tmp_path))


def test_an_environment_counts_only_with_the_packages_that_are_listed_now(tmp_path):
    peer, home = find_peer("transformers"), tmp_path / "peers" / "transformers"
    home.mkdir(parents=True)
    (home / "complete").write_text("torch==1.0\n", encoding="utf-8")
    with pytest.raises(MeasurementError, match="is not installed"):
        find_interpreter(peer, Store(tmp_path))
    (home / "complete").write_text("\n".join(peer.packages) + "\n", encoding="utf-8")
    assert find_interpreter(peer, Store(tmp_path)).startswith(str(home))
    told = []
    install(peer, Store(tmp_path), told.append)
    assert told == ["transformers is here already"]


def test_without_node_its_peer_says_what_to_install(tmp_path, monkeypatch):
    peer, store = find_peer("llama_cpp"), Store(tmp_path)
    with pytest.raises(
        MeasurementError, match=r"Node.js 20.*aipc bench --install-peer llama_cpp`$"
    ):
        find_interpreter(peer, store)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MeasurementError, match=r"there is no 'node' here; install Node.js 20"):
        install(peer, store, lambda _: None)
    home = packages_folder(peer, store)
    home.mkdir(parents=True)
    (home / "complete").write_text("\n".join(peer.packages) + "\n", encoding="utf-8")
    with pytest.raises(MeasurementError, match=r"there is no 'node' here"):
        find_interpreter(peer, store)


def test_the_binaries_are_of_the_same_release_as_what_loads_them():
    for peer in peers().values():
        names = [*peer.binaries.values(), *peer.cuda.values()]
        versions = {name.rpartition("@")[2] for name in names}
        assert versions == ({peer.packages[0].rpartition("@")[2]} if peer.binaries else set())


NODE_LLAMA_CPP = """
export async function getLlama(options) {
    options.logger("warn", "a vendor's chatter");
    const visible = process.env.CUDA_VISIBLE_DEVICES;
    const evaluate = async function* (prompt) {
        if (prompt[0] === 13) throw new Error("13 brings\\nbad luck");
        for (let at = 0; at < 9; at++) yield at;
    };
    const sequence = { evaluate, clearHistory: async () => {} };
    const createContext = async () => ({ getSequence: () => sequence });
    const loadModel = async ({ modelPath, gpuLayers }) => {
        if (modelPath === "layers.gguf") throw new Error(`${gpuLayers} layers on ${visible}`);
        if (modelPath !== "model.gguf") throw new Error(`no ${modelPath}`);
        return { createContext };
    };
    return { loadModel, gpu: options.gpu, llamaCppRelease: { release: "b1" } };
}
"""


@pytest.fixture
def llama_cpp(tmp_path):
    """Makes a runner of the peer's script, on a stand-in for its package."""
    if shutil.which("node") is None:
        pytest.skip("no Node.js here")
    home = tmp_path / "node_modules" / "node-llama-cpp"
    (home / "dist").mkdir(parents=True)
    (home / "package.json").write_text('{"type": "module", "version": "3.0.0"}', encoding="utf-8")
    (home / "dist" / "index.js").write_text(NODE_LLAMA_CPP, encoding="utf-8")
    made = []

    def runner(artifact, device="CPU"):
        options = {"artifact": artifact, "threads": 2, "tokens": 99, "packages": str(tmp_path)}
        options["device"] = device
        peer = find_peer("llama_cpp")
        made.append(ParticipantProcess("llama_cpp", shutil.which("node"), peer.script, options))
        return made[-1]

    yield runner
    for one in made:
        one.close()


def test_a_script_of_node_answers_as_those_of_python_do(llama_cpp):
    runner = llama_cpp("model.gguf")
    loaded = runner.load()
    assert loaded.facts["versions"] == {"node_llama_cpp": "3.0.0", "llama_cpp": "b1"}
    assert (loaded.facts["device"], loaded.facts["properties"]) == ("CPU", {"threads": 2})
    assert 0 < loaded.seconds < 100
    assert loaded.peak_memory_bytes > 10_000_000
    run = runner.run([[1, 2]], 3)
    assert [len(times) for times in run.times] == [3]
    assert 0 <= run.times[0][0] <= run.times[0][2] <= run.seconds
    with pytest.raises(MeasurementError, match="llama_cpp failed: Error: 13 brings bad luck"):
        runner.run([[13]], 3)
    with pytest.raises(MeasurementError, match="one sequence at a time"):
        runner.run([[1], [2]], 3)
    with pytest.raises(MeasurementError, match="gave 9 tokens where 10"):
        runner.run([[1]], 10)
    assert len(runner.run([[1]], 9).times[0]) == 9


def test_a_script_of_node_says_why_it_could_not_load(llama_cpp):
    with pytest.raises(MeasurementError, match=r"llama_cpp failed: Error: no other\.gguf"):
        llama_cpp("other.gguf").load()


def test_a_script_of_node_takes_the_gpu_that_was_asked_for_and_all_of_the_model_there(llama_cpp):
    assert llama_cpp("model.gguf", "CUDA").load().facts["device"] == "CUDA"
    with pytest.raises(MeasurementError, match=r"max layers on 1$"):
        llama_cpp("layers.gguf", "CUDA.1").load()


def test_the_libraries_of_cuda_are_put_beside_the_binaries_that_need_them(tmp_path, monkeypatch):
    libraries = tmp_path / "site" / "nvidia" / "cu13" / "lib"
    libraries.mkdir(parents=True)
    for name in ("libcudart.so.13", "libcublas.so.13", "libnvrtc.so.13"):
        (libraries / name).touch()
    packages = tmp_path / "node_modules" / "@node-llama-cpp"
    for name in ("linux-x64-cuda", "linux-x64"):
        (packages / name / "bins" / name).mkdir(parents=True)
    (packages / "linux-x64-cuda" / "bins" / "linux-x64-cuda" / "libggml-cuda.so").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    link_cuda_libraries(tmp_path)
    link_cuda_libraries(tmp_path)
    assert {link.name: link.resolve().parent for link in packages.glob("*/bins/*/libcu*")} == {
        "libcudart.so.13": libraries,
        "libcublas.so.13": libraries,
    }
