from __future__ import annotations

import pytest

from aipc.artifact import manifest
from aipc.errors import AccessDenied, DownloadFailed, ModelNotFound, UnsafeModel
from aipc.models import hub as client_hub
from aipc.models.hub import Listing, choose
from aipc.models.source import HubAdapterSource, HubSource
from aipc.models.transfer import RemoteFile

SOURCE = HubSource("org/model")
WANTED = {
    "LICENSE",
    "config.json",
    "generation_config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
}


@pytest.fixture
def repo(hub, make_repo, checkpoint_files):
    hub.repos["org/model"] = make_repo(checkpoint_files)
    return hub.repos["org/model"]


def test_fetch_brings_the_checkpoint_and_nothing_else(store, repo, checkpoint_files):
    folder = store.fetch(SOURCE)
    assert {path.name for path in folder.iterdir()} == WANTED | {"aipc.json"}
    for name in WANTED:
        assert (folder / name).read_bytes() == checkpoint_files[name]
    assert manifest.verify(folder) == []


def test_named_chat_templates_come_in_their_folder(store, hub, repo):
    name = "additional_chat_templates/tool_use.jinja"
    repo.files |= {name: b"T", "additional_chat_templates/run.py": b"no", "other/x.jinja": b"no"}
    folder = store.fetch(SOURCE)
    assert (folder / name).read_bytes() == b"T"
    assert {path.name for path in folder.iterdir()} - WANTED == {
        "aipc.json",
        "additional_chat_templates",
    }
    assert manifest.verify(folder) == []


def test_what_sentence_transformers_says_of_the_model_comes_too(store, repo):
    settings = {
        "modules.json",
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "2_Dense/model.safetensors",
        "config_sentence_transformers.json",
        "sentence_bert_config.json",
    }
    others = {
        "2_Dense/pytorch_model.bin",
        "1_Pooling/run.py",
        "onnx/config.json",
        "sentence_bert_config.py",
    }
    repo.files |= dict.fromkeys(settings | others, b"{}")
    folder = store.fetch(SOURCE)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == WANTED | settings | {"aipc.json"}


def test_an_adapters_repository_says_what_it_is(store, hub, make_repo):
    files = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"}
    hub.repos["org/model"] = make_repo(files)
    with pytest.raises(ModelNotFound, match=r"'org/model' is a LoRA adapter, no whole model;"):
        store.fetch(SOURCE)


def test_an_adapter_is_fetched_without_what_it_needs_not(store, hub, make_repo):
    files = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"}
    hub.repos["org/model"] = make_repo(files | {"README.md": b"r", "optimizer.bin": b"o"})
    folder = store.fetch(HubAdapterSource("org/model"))
    assert {path.name for path in folder.iterdir()} == {*files, "aipc.json"}


@pytest.mark.parametrize(
    ("files", "kind", "line"),
    [
        (["adapter_config.json", "adapter_model.bin"], UnsafeModel, "weights only as a pickle"),
        (["config.json", "model.safetensors"], ModelNotFound, "'org/model' is no adapter"),
        (["adapter_config.json", "../adapter_model.safetensors"], UnsafeModel, "outside the repo"),
    ],
)
def test_a_repository_that_holds_no_adapter(files, kind, line, store, hub, make_repo):
    hub.repos["org/model"] = make_repo(dict.fromkeys(files, b"{}"))
    with pytest.raises(kind, match=line):
        store.fetch(HubAdapterSource("org/model"))


@pytest.mark.parametrize("has_other", [True, False])
def test_mistrals_tokenizer_comes_where_there_is_no_other(has_other):
    names = ["config.json", "model.safetensors", "tekken.json"]
    names += ["tokenizer.json"] if has_other else []
    chosen = choose("org/model", [RemoteFile(name, 1, None, "0") for name in names])
    assert ("tekken.json" in {file.name for file in chosen}) != has_other


def test_the_manifest_says_where_it_came_from(store, repo):
    facts = manifest.read(store.fetch(SOURCE)).facts
    assert facts["source"] == {"kind": "hub", "repo": "org/model", "revision": "main"}
    assert facts["commit"] == repo.commit


def test_what_the_store_holds_is_not_asked_for_again(store, hub, repo):
    first = store.fetch(SOURCE)
    hub.requests.clear()
    assert store.fetch(SOURCE) == first
    assert hub.requests == []


def test_progress_counts_every_byte_once(store, repo, checkpoint_files):
    reports = []
    store.fetch(SOURCE, lambda *report: reports.append(report))
    total = sum(len(checkpoint_files[name]) for name in WANTED)
    downloading = [done for what, done, whole in reports if whole == total]
    assert downloading == sorted(downloading)
    assert downloading[0] == 0
    assert downloading[-1] == total


def test_files_are_asked_for_by_commit_so_that_a_moving_branch_can_not_mix_them(store, hub, repo):
    store.fetch(SOURCE)
    assert {request.path.split("/")[4] for request in hub.asked("/resolve/")} == {repo.commit}


def test_a_break_is_mended_with_the_missing_part_only(store, hub, repo):
    name = "model-00001-of-00002.safetensors"
    repo.cuts[name] = [100_000, 50_000]
    folder = store.fetch(SOURCE)
    assert (folder / name).read_bytes() == repo.files[name]
    ranges = [request.headers.get("range") for request in hub.asked(name)]
    assert ranges == [None, "bytes=100000-", "bytes=150000-"]


def test_the_next_run_goes_on_where_one_that_failed_stopped(store, hub, repo):
    name = "model-00002-of-00002.safetensors"
    repo.cuts[name] = [70_000, 0, 0, 0, 0]
    with pytest.raises(DownloadFailed, match="what has arrived is kept"):
        store.fetch(SOURCE)
    assert store.entries() == []
    hub.requests.clear()
    folder = store.fetch(SOURCE)
    assert manifest.verify(folder) == []
    asked = {request.path.split("/")[-1]: request.headers.get("range") for request in hub.requests}
    assert asked[name] == "bytes=70000-"
    assert "model-00001-of-00002.safetensors" not in asked


def test_a_hub_without_ranges_is_asked_for_the_whole_file(store, repo):
    name = "model-00002-of-00002.safetensors"
    repo.ranges = False
    repo.cuts[name] = [70_000]
    folder = store.fetch(SOURCE)
    assert (folder / name).read_bytes() == repo.files[name]


def test_part_of_another_commit_is_not_continued(store, repo):
    name = "model-00002-of-00002.safetensors"
    repo.cuts[name] = [70_000, 0, 0, 0, 0]
    with pytest.raises(DownloadFailed):
        store.fetch(SOURCE)
    repo.commit = "f" * 40
    repo.files[name] = b"\10" * 100_000
    folder = store.fetch(SOURCE)
    assert (folder / name).read_bytes() == repo.files[name]
    assert {path.name for path in folder.iterdir()} == WANTED | {"aipc.json"}
    assert manifest.read(folder).facts["commit"] == "f" * 40


@pytest.mark.parametrize("name", ["config.json", "model-00002-of-00002.safetensors"])
def test_wrong_bytes_are_refused_and_removed(store, repo, name):
    repo.sent[name] = bytes(len(repo.files[name]))
    with pytest.raises(DownloadFailed, match=f"'{name}' arrived damaged"):
        store.fetch(SOURCE)
    assert list(store.home.rglob(f"{name}*")) == []
    del repo.sent[name]
    assert manifest.verify(store.fetch(SOURCE)) == []


@pytest.mark.parametrize("change", [b"more", None])
def test_another_length_than_stated_is_refused(store, repo, change):
    stated = repo.files["model-00002-of-00002.safetensors"]
    sent = stated + change if change else stated[:-1]
    repo.sent["model-00002-of-00002.safetensors"] = sent
    with pytest.raises(DownloadFailed):
        store.fetch(SOURCE)
    assert store.entries() == []


def test_a_busy_hub_is_asked_again(store, repo):
    listing = client_hub.look_up(SOURCE)
    repo.statuses += [503, 429]
    folder = store.home / "downloaded"
    folder.mkdir(parents=True)
    facts = client_hub.download(SOURCE, listing, folder)
    assert set(facts) == WANTED


def test_no_repository_names_near_ones(store, hub):
    with pytest.raises(ModelNotFound, match=r"did you mean .*'phi-3-mini'") as caught:
        store.fetch(HubSource("microsoft/Phi-3-mini-4k"))
    assert "\n" not in str(caught.value)
    assert not store.home.exists()


def test_a_hidden_repository_says_both_that_can_be(store, hub):
    hub.hidden_status = 401
    with pytest.raises(AccessDenied, match=r"check the name .* or log in with `hf auth login`"):
        store.fetch(SOURCE)


def test_an_unknown_revision(store, repo):
    with pytest.raises(ModelNotFound, match="no revision 'v9'"):
        store.fetch(HubSource("org/model", "v9"))


def test_a_gated_repository_says_where_its_licence_is(store, hub, repo):
    repo.gated = True
    with pytest.raises(AccessDenied, match=f"accept its licence at {hub.url}/org/model"):
        store.fetch(SOURCE)
    assert store.entries() == []


def test_a_token_opens_a_gated_repository(store, repo, monkeypatch):
    repo.gated = True
    monkeypatch.setenv("HF_TOKEN", "let-me-in")
    assert manifest.verify(store.fetch(SOURCE)) == []


def test_the_token_stays_with_the_hub_when_files_lie_elsewhere(
    store, start_hub, repo, make_repo, checkpoint_files, monkeypatch
):
    monkeypatch.setenv("HF_TOKEN", "let-me-in")
    other = start_hub()
    other.repos["org/model"] = make_repo(checkpoint_files)
    repo.elsewhere = other.url
    store.fetch(SOURCE)
    assert other.requests
    assert not any("authorization" in request.headers for request in other.requests)


def test_a_silent_hub_is_given_up(store, repo, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    repo.stalls = True
    with pytest.raises(DownloadFailed, match="did not answer"):
        store.fetch(SOURCE)


def test_no_hub_at_all(store, monkeypatch, hub):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadFailed, match=r"http://127.0.0.1:9 did not answer.*; check the net"):
        store.fetch(SOURCE)


def test_a_page_in_the_hubs_place(store, hub):
    hub.page = b"<html>Please log in to the hotel's network</html>"
    with pytest.raises(DownloadFailed, match="does not answer as a hub does"):
        store.fetch(SOURCE)


def test_an_endpoint_that_is_no_address(store, monkeypatch, hub):
    monkeypatch.setenv("HF_ENDPOINT", "huggingface.co")
    with pytest.raises(DownloadFailed, match=r"HF_ENDPOINT is 'huggingface\.co'"):
        store.fetch(SOURCE)


def test_offline_is_said_in_one_line(store, hub, repo, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadFailed, match="not in the store, and HF_HUB_OFFLINE"):
        store.fetch(SOURCE)
    assert hub.requests == []


def test_offline_does_not_matter_for_what_is_there(store, repo, monkeypatch):
    folder = store.fetch(SOURCE)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert store.fetch(SOURCE) == folder


def test_a_hub_that_answers_with_another_commit(store, repo):
    wanted = "a" * 40
    repo.revisions = (wanted,)
    with pytest.raises(DownloadFailed, match=f"with commit '{repo.commit}'"):
        store.fetch(HubSource("org/model", wanted))


def test_a_full_disk_is_seen_before_the_download(store, hub, repo, monkeypatch):
    monkeypatch.setattr("aipc.disk.free", lambda _: 1_000_000)
    repo.files["model-00001-of-00002.safetensors"] = bytes(2_000_000)
    with pytest.raises(DownloadFailed, match=r"needs 2.1 MB, .* has 1.0 MB"):
        store.fetch(SOURCE)
    assert hub.asked("/resolve/") == []


def test_only_pickles(store, repo):
    repo.files = {"config.json": b"{}", "pytorch_model.bin": b"pickle", "README.md": b""}
    with pytest.raises(UnsafeModel, match=r"only as pickles.*1 \.bin"):
        store.fetch(SOURCE)


def test_no_request_tells_a_list_of_callers(store, hub, repo):
    store.fetch(SOURCE)
    assert {request.path.split("/")[1] for request in hub.requests} == {"api", "org"}
    assert hub.asked("agent") == []


def test_an_empty_file_is_a_file(store, repo):
    repo.files["LICENSE"] = b""
    assert (store.fetch(SOURCE) / "LICENSE").read_bytes() == b""


def names(*given):
    files = [RemoteFile(name, 10, None, "ab" * 20) for name in given]
    return [file.name for file in choose("org/model", files)]


def test_a_single_file_wins_over_shards_of_the_same():
    given = (
        "config.json",
        "model.safetensors",
        "model.safetensors.index.json",
        "model-00001-of-00001.safetensors",
    )
    assert names(*given) == ["config.json", "model.safetensors"]


def test_shards_without_their_index_are_no_weights():
    with pytest.raises(ModelNotFound, match=r"no weights \(found: 1 \.json, 1 \.safetensors\)"):
        names("config.json", "model-00001-of-00002.safetensors")


def test_other_safetensors_stay_where_they_are():
    given = ("config.json", "model.safetensors", "consolidated.safetensors", "adapter.safetensors")
    assert names(*given) == ["config.json", "model.safetensors"]


def test_every_text_file_that_a_tokenizer_needs():
    given = (
        "LICENSE.txt",
        "added_tokens.json",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "merges.txt",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "vocab.json",
    )
    assert names(*given, "configuration_phi3.py", "README.md", "sub/tokenizer.json") == list(given)


def test_a_single_gguf():
    assert names("model.Q4_1.gguf", "README.md", "config.json") == [
        "config.json",
        "model.Q4_1.gguf",
    ]


def test_a_gguf_in_parts_is_fetched_whole():
    parts = [f"m-0000{part}-of-00002.gguf" for part in (1, 2)]
    assert names(*parts, "mmproj-m.gguf", "README.md") == parts
    with pytest.raises(ModelNotFound, match=r"lacks 'm-00001-of-00002.gguf', one of 2 parts"):
        names(parts[1])


def test_several_ggufs_are_a_choice_that_only_the_user_can_make():
    with pytest.raises(ModelNotFound, match="2 GGUF files, not one; download the one you want"):
        names("a.gguf", "b.gguf")


def test_safetensors_without_a_config_are_no_model():
    with pytest.raises(ModelNotFound, match=r"no config\.json"):
        names("model.safetensors")


@pytest.mark.parametrize("pickle", ["pytorch_model.bin", "model.pt", "model.ckpt", "x/y.pth"])
def test_a_listing_of_only_pickles(pickle):
    with pytest.raises(UnsafeModel, match="pickles, which run code when opened") as caught:
        names("config.json", pickle)
    assert "safetensors" in caught.value.fix


def test_a_converted_model_is_said_to_be_one():
    with pytest.raises(ModelNotFound, match="holds a converted model"):
        names("config.json", "openvino_model.xml", "openvino_model.bin")


def test_an_empty_repository():
    with pytest.raises(ModelNotFound, match="no files"):
        names()


@pytest.mark.parametrize(
    "hostile", ["../config.json", "/etc/passwd", "a/../../b", "..\\x", "\\x", "", "a\\..\\b"]
)
def test_a_name_that_leaves_the_repository_stops_everything(hostile):
    with pytest.raises(UnsafeModel, match="outside the repository"):
        names("config.json", "model.safetensors", hostile)


def test_sizes_add_up():
    files = (RemoteFile("a", 3, "c" * 64, None), RemoteFile("b", 4, None, "d" * 40))
    assert Listing("org/model", "e" * 40, files).nbytes == 7
    assert [file.stated for file in files] == ["c" * 64, "d" * 40]
