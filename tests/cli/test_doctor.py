from __future__ import annotations

import json

import pytest

from aipc.devices.checks import Check

OLD = Check("driver", "fail", "Intel NPU driver 1.5.1 is older than 1.10.0", "install the newest")
TIGHT = Check("memory", "warn", "3.0 GB of 8.0 GB available", "close programs")
FINE = Check("python", "pass", "Python 3.12.1, 64 bits")


@pytest.fixture
def checks(monkeypatch):
    """What the checks answer, in their place."""

    def install(*found: Check) -> None:
        monkeypatch.setattr("aipc.devices.checks.run_checks", lambda context: found)

    return install


def test_what_fails_is_told_with_its_fix_and_ends_with_1(aipc, checks) -> None:
    checks(FINE, TIGHT, OLD)
    outcome = aipc("doctor")
    assert outcome.status == 1
    lines = outcome.stdout.splitlines()
    assert lines[1] == "pass  python  Python 3.12.1, 64 bits"
    assert lines[3].startswith("fail  driver  Intel NPU driver 1.5.1 is older than 1.10.0: install")
    assert lines[-1] == "1 fail, 1 warn, 1 pass"
    assert outcome.stderr == ""


def test_a_warning_alone_ends_with_0(aipc, checks) -> None:
    checks(FINE, TIGHT)
    assert aipc("doctor").status == 0


def test_nothing_wrong(aipc, checks) -> None:
    checks(FINE)
    outcome = aipc("doctor")
    assert outcome.stdout.splitlines()[-1] == "all 1 checks pass"
    assert outcome.stderr == "which models fit this machine: `aipc models --available`\n"


def test_json_is_a_list_and_the_status_the_same(aipc, checks) -> None:
    checks(FINE, OLD)
    outcome = aipc("doctor", "--json")
    assert outcome.status == 1
    assert json.loads(outcome.stdout)[1] == {
        "name": "driver",
        "outcome": "fail",
        "what": OLD.what,
        "fix": OLD.fix,
    }


def test_this_machine(aipc) -> None:
    found = {check["name"]: check for check in json.loads(aipc("doctor", "--json").stdout)}
    assert found["runtime openvino"]["outcome"] == "pass"
    assert {"python", "memory", "disk", "packages"} <= found.keys()
