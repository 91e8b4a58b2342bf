from __future__ import annotations

import pytest
from fsspec.core import url_to_fs

from aipc.batch.answers import new_answer
from aipc.batch.ray.shards import AnswerShards
from aipc.batch.run_key import RunKey
from aipc.errors import BatchError, UsageError

KEY = RunKey("0" * 64, "fake")


@pytest.fixture(params=["", "file://", "memory://"])
def shards(request, tmp_path):
    begun = AnswerShards(f"{request.param}{tmp_path.as_posix()}/out.shards")
    begun.begin(KEY)
    yield begun
    begun.remove()


def answers(*ids):
    return [new_answer(one, {"text": "ä\u2028"}, "req_1") for one in ids]


def test_what_is_written_is_read_and_again_by_the_same_name(shards):
    written = answers("a", "b")
    name = shards.write(written)
    assert shards.write(written) == name
    other = shards.write(answers("b", "a"))
    assert shards.names() == sorted([name, other])
    assert list(shards.read(name)) == written


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_a_torn_shard_answers_nothing(tmp_path, cut):
    shards = AnswerShards(str(tmp_path / "shards"))
    shards.begin(KEY)
    path = tmp_path / "shards" / shards.write(answers("a", "b"))
    path.write_bytes(path.read_bytes()[:-cut])
    assert list(shards.read(path.name)) == []


@pytest.mark.parametrize("scheme", ["", "file://", "memory://"])
def test_what_else_is_in_the_folder_is_neither_read_nor_removed(tmp_path, scheme):
    shards = AnswerShards(f"{scheme}{tmp_path.as_posix()}/mine")
    files, root = url_to_fs(shards.address)
    files.makedirs(f"{root}/sub")
    for name in ("in.jsonl", "sub/notes.txt"):
        files.pipe_file(f"{root}/{name}", b"mine")
    shards.begin(KEY)
    written = shards.write(answers("a"))
    shards.stop()
    assert shards.names() == [written]
    shards.remove()
    assert sorted(files.find(root)) == [f"{root}/in.jsonl", f"{root}/sub/notes.txt"]


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_folder_of_its_own_is_removed(tmp_path, scheme):
    shards = AnswerShards(f"{scheme}{tmp_path.as_posix()}/out.shards")
    shards.begin(KEY)
    name = shards.write(answers("a"))
    files, root = url_to_fs(shards.address)
    files.pipe_file(f"{root}/.{name}.0123456789abcdef.part", b"a killed node's")
    shards.remove()
    assert not files.exists(root)


def test_nodes_see_the_run_and_its_end(shards):
    node = AnswerShards(shards.address)
    node.check(KEY)
    assert not node.is_stopped
    shards.stop()
    assert node.is_stopped
    shards.begin(KEY)
    assert not node.is_stopped


def test_another_runs_shards_are_refused_with_the_difference(shards):
    with pytest.raises(BatchError, match="of another run: the input has changed"):
        shards.begin(RunKey("1" * 64, "fake"))
    with pytest.raises(BatchError, match=r"not the driver's folder .* all nodes share"):
        AnswerShards(shards.address).check(RunKey("1" * 64, "fake"))


def test_a_folder_that_a_node_does_not_see_is_told(tmp_path):
    with pytest.raises(BatchError, match="give --shards a folder that all nodes share"):
        AnswerShards(str(tmp_path / "elsewhere")).check(KEY)


def test_a_kind_of_url_that_nothing_opens_is_refused():
    with pytest.raises(UsageError, match=r"'nothing://x' is no address .*--shards"):
        AnswerShards("nothing://x")


def test_a_folder_that_can_not_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BatchError, match=r"can't use .*answers are kept"):
        AnswerShards(str(tmp_path / "file" / "shards")).begin(KEY)
