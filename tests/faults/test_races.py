"""Two programs at one store at once: one valid result, no crash, and the loser says so."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("openvino_genai")
pytest.importorskip("onnxruntime_genai")
if sys.platform != "linux":
    pytest.skip("programs are limited as Linux limits them", allow_module_level=True)

import httpx2
from program import NEWER
from served import served
from works import HUB_REPO, WORKS, misreported

MOST = 20


@dataclass(frozen=True)
class Race:
    """The work that wins or waits, and the command beside it, of the same aipc or a newer one."""

    work: str
    beside: str
    stand_in: Path | None = None


RACES = {
    "pull-pull": Race("pull", f"pull {HUB_REPO}"),
    "pull-rm": Race("pull", f"rm --yes {HUB_REPO}"),
    "convert-convert": Race("convert-onnx-rtn", WORKS["convert-onnx-rtn"].command),
    "convert-rm": Race("convert-onnx-rtn", "rm --yes {model}"),
    "convert-convert-o": Race("convert-o", WORKS["convert-o"].command),
    "convert-newer": Race("convert-onnx-rtn", WORKS["convert-onnx-rtn"].command, stand_in=NEWER),
    "pull-newer": Race("pull", f"pull {HUB_REPO}", stand_in=NEWER),
    "ready-ready": Race("ready-weights", WORKS["ready-weights"].command),
    "ready-prune": Race("ready-weights", "cache prune --all"),
    "ready-rm": Race("ready-weights", "rm --yes {model}"),
    "run-rm": Race("run", "rm --yes {model}"),
    "run-run": Race("run", WORKS["run"].command),
    "batch-batch": Race("batch", WORKS["batch"].command),
}
SHORT = ("convert-convert", "pull-rm")


@pytest.mark.parametrize(
    ("name", "most"),
    [
        *(pytest.param(name, 1, id=f"{name}-short") for name in SHORT),
        *(pytest.param(name, MOST, id=name, marks=pytest.mark.faults) for name in RACES),
    ],
)
def test_two_at_once_leave_one_valid_result(row, make_trial, name, most):
    race = RACES[name]
    trial = make_trial(race.work)
    program = trial.program
    beside = race.beside.format_map(trial.places).split()
    for draw in row.cases(most):
        at = draw.uniform(-0.5, 1) * trial.seconds
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(late, -at, trial.run)
            second = pool.submit(late, at, program.run, *beside, stand_in=race.stand_in)
            outcomes = first.result(), second.result()
        wrong = trial.wrong_now()
        for outcome in outcomes:
            row.count("done" if outcome.status == 0 else "told in one line")
            wrong += misreported(outcome) if outcome.status else []
        if race.stand_in:  # what the newer one made is not this one's
            outcome = trial.run()
            is_good = outcome.status == 0 or "another version of aipc" in outcome.err
            wrong += [] if is_good else [outcome.err[-400:]]
            wrong += trial.wrong_now()
        else:
            wrong += trial.wrong_after_next_run()
        for one in wrong:
            row.find(f"{at:+.2f} s: {one}")
        program.restore()


def late(seconds, work, *arguments, **more):
    time.sleep(max(seconds, 0))
    return work(*arguments, **more)


@pytest.mark.faults
def test_a_server_goes_on_whatever_is_removed_under_it(row, make_program):
    program, places = make_program("served")
    made = f"convert {places['model']} --runtime onnx --weight-format int8".split()
    assert program.run(*made).status == 0
    question = {"model": str(places["model"]), "messages": [{"role": "user", "content": "Hello"}]}
    asked = {**question, "max_tokens": 16, "temperature": 0}
    with (
        served(program.store, str(places["model"]), "--runtime", "onnx") as server,
        httpx2.Client(base_url=server.url, timeout=120, trust_env=False) as client,
    ):
        asked["model"] = client.get("/v1/models").json()["data"][0]["id"]

        def answer():
            return client.post("/v1/chat/completions", json=asked)

        wanted = answer().json()["choices"][0]["message"]["content"]
        for draw in row.cases(MOST):
            doomed = draw.choice(
                [["rm", "--yes", str(places["model"])], ["cache", "prune", "--all"]]
            )
            with ThreadPoolExecutor(2) as pool:
                beside = pool.submit(late, draw.uniform(0, 0.5), program.run, *doomed)
                answers = [answer() for _ in range(3)]
                outcome = beside.result()
            for one in [*answers, answer()]:
                row.count("answered" if one.status_code == 200 else "refused")
                content = one.json()
                if one.status_code == 200:
                    is_good = content["choices"][0]["message"]["content"] == wanted
                else:
                    is_good = bool(content["error"]["message"])
                if not is_good:
                    row.find(f"{doomed[0]}: {content}")
            if outcome.status != 0:
                for one in misreported(outcome):
                    row.find(f"{doomed[0]}: {one}")
            if client.get("/health").status_code != 200:
                row.find("the server is not well")
            assert program.run(*made).status == 0
