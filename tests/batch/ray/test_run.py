"""Two nodes on this machine: what they answer, and what is left of a run that is stopped."""

from __future__ import annotations

import signal

import pytest
from batch_files import line, lines
from ray_cluster import needs_ray

from aipc.batch.output import partial_path
from aipc.errors import BatchError, ClusterError, UsageError

pytestmark = [needs_ray, pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")]


def texts(answers):
    return [
        (one.custom_id, one.body["choices"][0]["message"]["content"]) for one in answers.values()
    ]


def test_two_nodes_answer_as_one_does(run, read_answers, tmp_path):
    run(lines(60), "one", more={"max_actors": 1})
    summary = run(lines(60), "two")
    one, two = (read_answers(name) for name in ("one", "two"))
    assert texts(one) == texts(two) == [(f"id-{n}", f"question {n} ") for n in range(60)]
    assert two["id-7"].aipc.keys() == {"node", "device", "driver", "artifact"}
    assert two["id-7"].aipc["device"] == "CPU"
    assert (summary.answered, summary.generated, summary.is_whole) == (60, 120, True)
    assert not (tmp_path / "two.jsonl.shards").exists()


def test_a_run_that_is_stopped_is_gone_on_with(run, read_answers, tmp_path):
    slow = "".join(line(f"id-{n}", "count 2 every 0.1") for n in range(480))
    summary = run(slow, max_tokens_total=60, in_flight=8, more={"max_actors": 1})
    assert "--max-tokens-total" in summary.stopped
    assert 0 < summary.answered < 480
    with pytest.raises(BatchError, match="option exact was false, is true"):
        run(slow, exact=True)
    shards = sorted((tmp_path / "out.jsonl.shards").glob("*.jsonl"))
    partial_path(tmp_path / "out.jsonl").unlink()  # killed before it had read any
    shards[0].write_bytes(shards[0].read_bytes()[:-3])
    done = sum(path.read_bytes().count(b"custom_id") for path in shards[1:])
    summary = run(slow, in_flight=64, more={"max_actors": 1})
    assert (summary.before, summary.answered) == (done, 480 - done)
    assert list(read_answers()) == [f"id-{n}" for n in range(480)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_what_was_answered_is_kept(run, tmp_path, number):
    sent = []

    def interrupt(counts):
        if counts.done and not sent:
            sent.append(number)
            signal.raise_signal(number)

    slow = "".join(line(f"id-{n}", "count 2 every 0.1") for n in range(480))
    how = {"heeds_signals": True, "show_counts": interrupt, "max_actors": 1}
    summary = run(slow, in_flight=8, more=how)
    assert summary.stop_signal == number
    assert 0 < summary.answered < 480
    assert summary.stopped == f"stopped by {number.name}"
    assert partial_path(tmp_path / "out.jsonl").exists()


def test_what_no_node_can_do_is_told_with_the_node(run):
    with pytest.raises(ClusterError, match=r"node .* can't answer: the fake has no such device"):
        run(lines(3), loader="ray_runs:load_nothing")
    with pytest.raises(ClusterError, match=r"no node of the cluster has a device 'cuda'.*--device"):
        run(lines(3), "other", more={"device": "cuda"})
    with pytest.raises(ClusterError, match=r"can't answer.*not the driver's folder"):
        run(lines(3), "memory", more={"shards": "memory://elsewhere"})


def test_a_device_that_one_node_has_is_used_there(run, read_answers):
    run(lines(3), more={"device": "npu"})
    assert [one.aipc["device"] for one in read_answers().values()] == ["NPU"] * 3


def test_a_cluster_is_not_reached_from_outside(tmp_path):
    import ray_runs

    (tmp_path / "in.jsonl").write_text(lines(1))
    with pytest.raises(UsageError, match=r"run it on a node of the cluster, with --ray auto"):
        ray_runs.run(tmp_path, "out", "ray://127.0.0.1:10001")
