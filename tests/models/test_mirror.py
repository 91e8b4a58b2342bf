from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import textwrap
import threading

import pytest
from mirror_server import serving

from aipc.artifact import manifest
from aipc.errors import (
    AccessDenied,
    ArtifactError,
    DownloadFailed,
    ModelNotFound,
    UnsafeModel,
    UsageError,
)
from aipc.models import mirror, transfer
from aipc.models.source import HubSource, describe
from aipc.models.store import Store

SOURCE = HubSource("org/tiny")
KEY = "org--tiny--main-openvino-int4-4"
WEIGHTS = bytes(range(256)) * 2000


def make(folder, name=KEY, *, kind="artifact", weights=WEIGHTS, source=SOURCE, more=()):
    folder.mkdir(parents=True)
    (folder / "openvino_model.bin").write_bytes(weights)
    (folder / "openvino_model.xml").write_text("<net/>")
    (folder / "templates").mkdir()
    (folder / "templates" / "chat é.jinja").write_text("{{ messages }}", "utf-8")
    (folder / "empty.txt").touch()
    for file in more:
        (folder / file).write_bytes(b"x")
    manifest.write(folder, kind, name, {"source": describe(source)})
    return folder


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(transfer, "PAUSE_S", 0.001)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def theirs(tmp_path):
    """The store that is the mirror."""
    made = tmp_path / "theirs"
    make(made / "artifacts" / KEY)
    return made


@pytest.fixture
def folder(theirs):
    return theirs / "artifacts" / KEY


@pytest.fixture
def server(theirs):
    with serving(theirs) as started:
        yield started


def fetch(address, store, names=(KEY,), **options):
    return mirror.fetch(str(address), names, store, **options)


def assert_nothing_made(store, partial=False):
    """Nothing but locks, and with ``partial`` what is to be gone on with."""
    assert store.entries() == []
    left = [path for path in store.home.glob("*/*") if path.suffix != ".lock"]
    assert [path.name for path in left] == ([f".{KEY}.partial"] if partial else [])


def rewrite(folder, change):
    file = folder / manifest.FILE
    table = json.loads(file.read_text("utf-8"))
    table.pop("hash", None)
    change(table)
    file.write_text(json.dumps(table), "utf-8")


def test_over_http_it_is_the_same_model(server, folder, store):
    path = fetch(server.url, store)
    assert path == store.artifact_path(KEY)
    assert manifest.verify(path) == []
    assert (path / manifest.FILE).read_bytes() == (folder / manifest.FILE).read_bytes()
    assert (path / "openvino_model.bin").read_bytes() == WEIGHTS


def test_no_token_of_the_hub_is_sent(server, store, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    fetch(server.url, store)
    assert server.requests
    assert "secret" not in str(server.requests)
    assert all("authorization" not in headers for _, headers in server.requests)


@pytest.mark.parametrize("under", ["", "artifacts", f"artifacts/{KEY}"])
@pytest.mark.parametrize("way", ["http", "path", "fsspec"])
def test_a_store_a_folder_of_it_or_one_model(server, theirs, store, way, under):
    base = {"http": server.url, "path": str(theirs), "fsspec": theirs.as_uri()}[way]
    path = fetch(f"{base}/{under}", store)
    assert manifest.verify(path) == []


def test_pythons_own_server_is_enough(theirs, store):
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(command, cwd=theirs, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        port = program.stdout.readline().split("port ")[1].split()[0]
        try:
            path = fetch(f"http://127.0.0.1:{port}", store)
        finally:
            program.kill()
    assert manifest.verify(path) == []


def test_fsspec_opens_what_is_no_path(store, folder):
    from fsspec.implementations.memory import MemoryFileSystem

    system = MemoryFileSystem()
    system.put(str(folder), f"/lan/{KEY}", recursive=True)
    try:
        assert manifest.verify(fetch("memory://lan", store)) == []
    finally:
        system.rm("/lan", recursive=True)


def test_the_first_name_that_is_there_is_taken(server, store):
    path = fetch(server.url, store, ["org--tiny--main-onnx-cpu-int4-4", KEY])
    assert path.name == KEY


def test_a_checkpoint_goes_among_the_checkpoints(theirs, server, store):
    name = SOURCE.name
    make(theirs / "checkpoints" / name, name, kind="checkpoint")
    fetch(server.url, store, [name], source=SOURCE)
    assert store.holds(SOURCE)


def test_what_it_lacks_is_told_by_name(server, store):
    with pytest.raises(ModelNotFound, match="has none of: other-1, other-2"):
        fetch(server.url, store, ["other-1", "other-2"])
    assert_nothing_made(store)


def test_a_second_time_one_file_is_asked_for(server, store):
    fetch(f"{server.url}/artifacts/{KEY}", store)
    server.requests.clear()
    fetch(f"{server.url}/artifacts/{KEY}", store)
    assert [path.rpartition("/")[2] for path, _ in server.requests] == [manifest.FILE]


def test_another_model_of_that_name_in_the_store_is_told(server, folder, store):
    make(store.artifact_path(KEY), weights=b"other")
    with pytest.raises(ArtifactError, match=f"aipc rm {KEY}"):
        fetch(server.url, store)
    assert (store.artifact_path(KEY) / "openvino_model.bin").read_bytes() == b"other"


def test_the_hash_of_the_manifest_vouches_for_all(server, folder, store):
    sha256 = hashlib.sha256((folder / manifest.FILE).read_bytes()).hexdigest()
    with pytest.raises(UnsafeModel, match=f"has the SHA-256 {sha256}, not the one given"):
        fetch(server.url, store, sha256="0" * 64)
    assert_nothing_made(store)
    assert fetch(server.url, store, sha256=sha256.upper()).name == KEY


@pytest.mark.parametrize("content", [b"\1" + WEIGHTS[1:], WEIGHTS + b"more"])
def test_bytes_that_are_not_the_stated_ones_are_not_kept(server, store, content):
    server.sent["openvino_model.bin"] = content
    with pytest.raises(DownloadFailed, match=r"openvino_model\.bin"):
        fetch(server.url, store)
    assert_nothing_made(store, partial=True)
    partial = store.home / "artifacts" / f".{KEY}.partial"
    assert all(path.stat().st_size <= len(WEIGHTS) for path in partial.rglob("*.partial"))
    server.sent.clear()
    assert manifest.verify(fetch(server.url, store)) == []


@pytest.mark.parametrize(
    "name", ["../out", "/etc/out", "a/../../out", "C:out", "a\\b", "\x1b[31m", "aipc.json"]
)
def test_a_name_that_leaves_the_folder_is_refused(server, folder, store, tmp_path, name):
    rewrite(folder, lambda table: table["files"].update({name: table["files"]["empty.txt"]}))
    with pytest.raises(ArtifactError, match="outside its folder"):
        fetch(server.url, store)
    assert_nothing_made(store)
    assert not list(tmp_path.rglob("out"))


@pytest.mark.parametrize(
    "name",
    [
        *("model.pt", "other.bin", "evil.PKL", "other.BIN"),
        *("modeling.py", "a.dll", "libx.so.1", "x.pyd", "run.sh", "run.bat", "a.json.exe"),
        *("LICENSE.sh", "LICENSE-a.so.1", "README.py", "noname", ".hidden", "x.data"),
    ],
)
def test_what_is_neither_weights_nor_text_is_refused_unread(theirs, server, store, name):
    shutil.rmtree(theirs / "artifacts")
    make(theirs / "artifacts" / KEY, more=[name])
    with pytest.raises(UnsafeModel, match="is of no kind"):
        fetch(server.url, store)
    assert server.asked(name) == []
    assert_nothing_made(store)


def test_weights_in_two_spellings_are_refused_unread(theirs, server, store):
    """On Windows and macOS the one would take the other's place."""
    shutil.rmtree(theirs / "artifacts")
    folder = make(theirs / "artifacts" / KEY)
    facts = json.loads((folder / "aipc.json").read_bytes())["files"]["openvino_model.bin"]
    rewrite(folder, lambda table: table["files"].update({"openvino_model.BIN": facts}))
    with pytest.raises(ArtifactError, match="lists a name twice"):
        fetch(server.url, store)
    assert not any(server.asked(f"openvino_model.{end}") for end in ("bin", "BIN"))
    assert_nothing_made(store)


def test_what_checkpoints_are_made_of_is_copied(theirs, server, store):
    """As they are downloaded: the files that `aipc.models.hub` takes."""
    names = [
        *("model-00001-of-00002.safetensors", "model.safetensors.index.json", "config.json"),
        *("tokenizer.model", "merges.txt", "tekken.json", "chat_template.default.jinja"),
        *("LICENSE", "LICENSE.md", "LICENCE.txt", "LICENSE-APACHE-2.0", "LICENSE_MODEL"),
        *("NOTICE", "README.rst", "Phi-3.Q4_0.GGUF", "qwen.tiktoken", "vocab.txt"),
    ]
    make(theirs / "checkpoints" / SOURCE.name, SOURCE.name, kind="checkpoint", more=names)
    path = fetch(server.url, store, [SOURCE.name], source=SOURCE)
    assert {file.name for file in path.iterdir()} >= set(names)


@pytest.mark.parametrize("name", ["empty.txt/inner.txt", "x" * 201 + ".txt"])
def test_a_file_that_no_disk_can_hold_is_refused(server, folder, store, name):
    rewrite(folder, lambda table: table["files"].update({name: table["files"]["empty.txt"]}))
    with pytest.raises(UnsafeModel, match=r"is a file|no disk"):
        fetch(server.url, store)
    assert_nothing_made(store)


def test_another_model_under_that_name_is_refused(theirs, server, store):
    shutil.rmtree(theirs / "artifacts")
    make(theirs / "artifacts" / KEY, source=HubSource("org/other"))
    with pytest.raises(ModelNotFound, match="another model"):
        fetch(server.url, store, source=SOURCE)


def test_one_model_can_not_take_the_name_of_another(folder, store):
    rewrite(folder, lambda table: table.update(name="org--large--main-openvino-int4-4"))
    with pytest.raises(ModelNotFound, match="another model"):
        fetch(folder, store, source=SOURCE)
    rewrite(folder, lambda table: table.update(name="org--tiny--main-openvino-int8-4"))
    assert fetch(folder, store, source=SOURCE).name == "org--tiny--main-openvino-int8-4"


def test_names_that_are_no_folders_are_not_asked_for(server, store):
    with pytest.raises(ArtifactError, match="can't be a name in the store"):
        fetch(server.url, store, ["../../secret"])
    assert server.requests == []


@pytest.mark.parametrize("file", [manifest.FILE, "openvino_model.bin"])
def test_a_redirect_to_another_host_is_refused(server, folder, store, file):
    with serving(folder) as elsewhere:
        server.redirects[file] = f"{elsewhere.url}/{file}"
        with pytest.raises(DownloadFailed, match="which was not named"):
            fetch(server.url, store)
        assert elsewhere.requests == []
    assert store.entries() == []


def test_a_redirect_within_the_server_is_followed(theirs, server, store):
    theirs.joinpath("moved.bin").write_bytes(WEIGHTS)
    server.redirects["openvino_model.bin"] = "/moved.bin"
    assert manifest.verify(fetch(server.url, store)) == []


def test_a_file_that_is_not_there_is_told(server, store):
    server.missing.add("openvino_model.xml")
    with pytest.raises(DownloadFailed, match=r"lacks 'openvino_model\.xml'"):
        fetch(server.url, store)
    assert_nothing_made(store, partial=True)


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_wants_a_login_is_told(server, store, status):
    server.statuses[manifest.FILE] = [status]
    with pytest.raises(AccessDenied, match=f"{status}"):
        fetch(server.url, store)


def test_a_cut_connection_is_gone_on_with(server, store):
    server.cuts["openvino_model.bin"] = [100_000, 200_000]
    server.statuses["openvino_model.bin"] = [503]
    assert manifest.verify(fetch(server.url, store)) == []
    ranges = [headers.get("range") for headers in server.asked("openvino_model.bin")]
    assert ranges == [None, None, "bytes=100000-", "bytes=300000-"]


def test_without_ranges_it_begins_again(server, store):
    server.ranges = False
    server.cuts["openvino_model.bin"] = [100_000]
    seen = []
    path = fetch(server.url, store, progress=lambda what, done, total: seen.append((done, total)))
    assert manifest.verify(path) == []
    assert seen[-1] == (seen[-1][1], manifest.read(path).nbytes)


def test_one_that_stays_away_costs_what_came_nothing(server, store):
    server.cuts["openvino_model.bin"] = [100_000] + [0] * 20
    with pytest.raises(DownloadFailed, match=r"can't be read \(IncompleteRead"):
        fetch(server.url, store)
    assert_nothing_made(store, partial=True)
    server.cuts.clear()
    server.requests.clear()
    assert manifest.verify(fetch(server.url, store)) == []
    assert [one.get("range") for one in server.asked("openvino_model.bin")] == ["bytes=100000-"]


def test_what_an_earlier_model_left_is_not_mixed_in(theirs, server, store):
    server.cuts["openvino_model.bin"] = [100_000] + [0] * 20
    with pytest.raises(DownloadFailed):
        fetch(server.url, store)
    server.cuts.clear()
    shutil.rmtree(theirs / "artifacts")
    make(theirs / "artifacts" / KEY, weights=WEIGHTS[::-1])
    path = fetch(server.url, store)
    assert manifest.verify(path) == []
    assert (path / "openvino_model.bin").read_bytes() == WEIGHTS[::-1]


def test_a_server_that_is_not_there_is_one_line(store):
    with pytest.raises(DownloadFailed, match="can't be read"):
        fetch("http://127.0.0.1:9", store)
    assert_nothing_made(store)


def test_a_disk_that_is_too_small_is_told_before_a_byte_comes(server, store, monkeypatch):
    monkeypatch.setattr("aipc.disk.free", lambda _: 10_000)
    with pytest.raises(DownloadFailed, match="needs 512"):
        fetch(server.url, store)
    assert server.asked("openvino_model.bin") == []
    assert_nothing_made(store)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://", "no address"),
        ("https://user:secret@host/x", "no address"),
        ("http://host/x?token=1", "no address"),
        ("nonsense://x", "no address"),
        ("/not/there", "no folder"),
    ],
)
def test_an_address_that_is_none(store, address, why):
    with pytest.raises(UsageError, match=why):
        fetch(address, store)


def test_a_protocol_without_its_package_says_which(store):
    with pytest.raises(UsageError, match="s3fs"):
        fetch("s3://bucket/models", store)


def test_an_error_of_the_protocols_own_package_is_one_line(store):
    import fsspec

    class NoLogin(fsspec.AbstractFileSystem):
        protocol = "nologin"

        def open(self, *_, **__):
            raise RuntimeError("no credentials")

    fsspec.register_implementation("nologin", NoLogin, clobber=True)
    with pytest.raises(DownloadFailed, match="RuntimeError: no credentials"):
        fetch("nologin://bucket", store)


def test_a_manifest_without_an_end_is_not_read_whole(server, store):
    server.sent[manifest.FILE] = b" " * (manifest.LONGEST + 100)
    with pytest.raises(ArtifactError, match="longer than"):
        fetch(server.url, store)


def test_several_at_once_copy_it_once(server, store):
    address = f"{server.url}/artifacts/{KEY}"
    found, errors = [], []

    def run():
        try:
            found.append(fetch(address, store))
        except Exception as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert found == [store.artifact_path(KEY)] * 4
    assert len(server.asked("openvino_model.bin")) == 1


def test_a_killed_process_leaves_nothing_half_made(server, store, wait_until):
    server.cuts["openvino_model.bin"] = [100_000] * 50
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        from aipc.models import mirror, transfer
        from aipc.models.store import Store
        transfer.PAUSE_S = 30
        mirror.fetch(sys.argv[1], [sys.argv[2]], Store(Path(sys.argv[3])))
    """)
    arguments = [sys.executable, "-c", script, server.url, KEY, str(store.home)]
    with subprocess.Popen(arguments) as program:
        wait_until(lambda: server.asked("openvino_model.bin"))
        wait_until(lambda: any(store.home.rglob("openvino_model.bin.*.partial")))
        program.kill()
    assert_nothing_made(store, partial=True)
    server.cuts.clear()
    assert manifest.verify(fetch(server.url, Store(store.home))) == []
    assert store.prune() == []
