"""Two versions of aipc at one store: neither takes, damages or removes what the other one made."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("openvino_genai")
pytest.importorskip("onnxruntime_genai")
if sys.platform != "linux":
    pytest.skip("programs are limited as Linux limits them", allow_module_level=True)

from program import NEWER
from works import HUB_REPO, MADE, TUNE, misreported

RUN = "run Hello --max-new-tokens 4 --temperature 0 -m {model} --device cpu --runtime onnx"
MAKING = (
    MADE,
    f"pull {HUB_REPO}",
    "cache prebuild {model} --device cpu",
    RUN,
    f"tune {{model}} {' '.join(TUNE)}",
)
USING = (
    *("models --json", "verify --json", "cache list --json", RUN, MADE),
    *("cache prune", "devices --json", f"run Hi --max-new-tokens 2 -m {HUB_REPO} --runtime onnx"),
)
VERSIONS = {"older first": (None, NEWER), "newer first": (NEWER, None)}
MOST = 20


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("newer first", 2),
        *(pytest.param(name, MOST, marks=pytest.mark.faults) for name in VERSIONS),
    ],
)
def test_what_another_version_made_is_let_be(row, make_program, name, most):
    first, second = VERSIONS[name]
    program, places = make_program(f"versions-{name}-{most}".replace(" ", "-"))

    def run(command, stand_in):
        return program.run(*command.format_map(places).split(), stand_in=stand_in)

    for command in MAKING[: 1 if most == 2 else None]:
        outcome = run(command, first)
        assert outcome.status == 0, outcome.err
    answer = run(RUN, first)
    program.keep()
    made = kept(program)
    for draw in row.cases(most):
        commands = draw.sample(USING, 3)
        with ThreadPoolExecutor(2) as pool:
            beside = pool.submit(run, RUN, first)
            outcomes = [run(command, second) for command in commands]
            again = beside.result()
        row.count("commands", len(commands))
        for command, outcome in zip(commands, outcomes, strict=True):
            if outcome.status != 0:
                for one in misreported(outcome):
                    row.find(f"{command}: {one}")
        if (again.status, again.out) != (0, answer.out):
            row.find(f"beside {commands}: {again.status}, {again.out!r}, {again.err[-300:]}")
        after = run(RUN, first)
        if after.out != answer.out:
            row.find(f"after {commands}: {after.out!r}, {after.err[-300:]}")
        for lost in sorted(made - kept(program)):
            row.find(f"after {commands}: {lost[0]} is gone or another")
        program.restore()


def kept(program):
    """Models and what was made of them: what takes long to make."""
    folders = tuple(f"home/{name}/" for name in ("artifacts", "checkpoints", "blobs", "tuned"))
    return {item for item in program.contents().items() if item[0].startswith(folders)}
