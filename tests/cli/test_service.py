"""With a program in systemctl's place that notes what it is asked."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import lora
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd's")


@pytest.fixture
def systemctl(tmp_path, monkeypatch):
    """Makes the stand-in, which fails when asked what ``refused`` names; its notes."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    notes = tmp_path / "notes"

    def make(refused: str = "nothing"):
        program = tmp_path / "bin/systemctl"
        program.parent.mkdir(exist_ok=True)
        program.write_text(
            f'#!/bin/sh\necho "$*" >> "{notes}"\n'
            f'case "$*" in *{refused}*) echo "no bus" >&2; exit 1;; esac\n'
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        return notes

    return make


def unit(tmp_path) -> Path:
    return tmp_path / "config/systemd/user/aipc.service"


def test_it_is_installed_asked_for_and_removed(aipc, systemctl, tmp_path) -> None:
    notes = systemctl()
    outcome = aipc("service", "install", "-m", "phi-3-mini", "--port", "9000")
    assert outcome.status == 0
    assert outcome.stdout == f"installed: {unit(tmp_path)}\n"
    assert '"serve" "-m" "phi-3-mini" "--port" "9000"\n' in unit(tmp_path).read_text()
    assert f'Environment="AIPC_HOME={tmp_path / "home"}"' in unit(tmp_path).read_text()
    assert aipc("service", "status").stdout.startswith("running: ")
    assert aipc("service", "remove").stdout == f"removed: {unit(tmp_path)}\n"
    assert notes.read_text().splitlines() == [
        "--user daemon-reload",
        "--user enable aipc.service",
        "--user restart aipc.service",
        "--user is-active --quiet aipc.service",
        "--user disable --now aipc.service",
        "--user daemon-reload",
    ]
    outcome = aipc("service", "status")
    assert (outcome.status, outcome.stdout) == (1, "no service is installed\n")
    assert aipc("service", "remove").stdout == "no service is installed\n"


@pytest.mark.parametrize(
    ("own", "write"), [("own", lora.write_case), ("own.gguf", lora.write_gguf)]
)
def test_an_adapter_does_not_depend_on_where_it_was_given(
    own, write, aipc, systemctl, tmp_path, monkeypatch
) -> None:
    systemctl()
    write(tmp_path / own, "plain")
    monkeypatch.chdir(tmp_path)
    for written in (f"poet={own}:0.5", f"poet=./{own}:0.5"):
        outcome = aipc("service", "install", "--dry-run", "-m", "phi-3-mini", "--adapter", written)
        assert outcome.status == 0, outcome.stderr
        assert f'"--adapter" "poet={tmp_path / own}:0.5"' in outcome.stdout


def test_a_manager_that_refuses_is_one_line_and_leaves_nothing(aipc, systemctl, tmp_path) -> None:
    systemctl(refused="daemon-reload")
    outcome = aipc("service", "install")
    assert outcome.status == 1
    assert outcome.stderr == (
        "aipc: systemd refuses the service: no bus; "
        "to see more, run: systemctl --user daemon-reload\n"
    )
    assert not unit(tmp_path).exists()


def test_where_the_manager_refuses_another_the_service_is_as_it_was(
    aipc, systemctl, tmp_path
) -> None:
    systemctl()
    aipc("service", "install", "--port", "9000")
    before = unit(tmp_path).read_bytes()
    systemctl(refused="restart")
    assert aipc("service", "install", "--port", "9001").status == 1
    assert unit(tmp_path).read_bytes() == before


def test_one_that_the_manager_does_not_know_any_more_is_removed_all_the_same(
    aipc, systemctl, tmp_path
) -> None:
    systemctl()
    aipc("service", "install")
    systemctl(refused="--now*|*is-active")
    assert aipc("service", "remove").stdout == f"removed: {unit(tmp_path)}\n"
    assert not unit(tmp_path).exists()


def test_one_that_stopped_is_told_by_the_exit_status(aipc, systemctl) -> None:
    systemctl(refused="is-active")
    aipc("service", "install")
    outcome = aipc("service", "status")
    assert outcome.status == 1
    assert outcome.stdout.startswith("installed, not running: ")


def test_an_option_that_serve_does_not_take_is_refused_first(aipc, systemctl, tmp_path) -> None:
    notes = systemctl()
    outcome = aipc("service", "install", "--prot", "9000")
    assert outcome.status == 2
    assert "--prot" in outcome.stderr
    assert not notes.exists()
    assert not unit(tmp_path).exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "there is no key; give --api-key-file FILE"),
        (["--api-key-file", "missing"], "can't read the key from 'missing'"),
        (["--device", "gqu"], "unknown device 'gqu'"),
        (["--device", "cpu", "--emulate"], "--emulate is for the NPU"),
        (["-m", "phi-3-mimi"], "no model is called 'phi-3-mimi'"),
        (["--alias", "small"], "the alias 'small' leads to no model"),
        (["--allow-origin", "*"], "'*' is no origin"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_what_serve_refuses_is_not_installed(
    aipc, systemctl, tmp_path, monkeypatch, options: list[str], said: str
) -> None:
    notes = systemctl()
    monkeypatch.delenv("AIPC_API_KEY", raising=False)
    outcome = aipc("service", "install", *options)
    assert outcome.status != 0
    assert said in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert not notes.exists()
    assert not unit(tmp_path).exists()


def test_a_key_in_a_file_opens_it_to_other_machines(aipc, systemctl, tmp_path) -> None:
    systemctl()
    key = tmp_path / "key"
    key.write_text("a-key-of-sixteen-or-more")
    options = ("--host", "0.0.0.0", "--api-key-file", str(key))
    assert aipc("service", "install", *options).status == 0
    assert str(key) in unit(tmp_path).read_text()


def test_without_systemd_it_says_so(aipc, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("aipc.serve.service.service.shutil.which", lambda name, path=None: None)
    outcome = aipc("service", "install")
    assert outcome.stderr.startswith("aipc: there is no systemd here, which would run the service;")
    assert not unit(tmp_path).exists()


def test_a_path_holds_from_any_folder_and_a_dry_run_changes_nothing(
    aipc, systemctl, tmp_path, monkeypatch
) -> None:
    notes = systemctl()
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    Path("mine", "config.json").write_text("{}")
    outcome = aipc("service", "install", "--dry-run", "-m", "mine")
    assert f'"-m" "{tmp_path / "mine"}"' in outcome.stdout
    assert not notes.exists()
    assert not unit(tmp_path).exists()


def test_a_short_name_stays_one_beside_a_folder_of_that_name(
    aipc, systemctl, tmp_path, monkeypatch
) -> None:
    systemctl()
    monkeypatch.chdir(tmp_path)
    Path("phi-3-mini").mkdir()
    Path("key").write_text("0123456789abcdef")
    outcome = aipc("service", "install", "--dry-run", "-m", "phi-3-mini", "--api-key-file=key")
    assert f'"-m" "phi-3-mini" "--api-key-file={tmp_path / "key"}"\n' in outcome.stdout


def test_a_key_of_the_environment_is_never_left_out_silently(
    aipc, systemctl, tmp_path, monkeypatch
) -> None:
    systemctl()
    monkeypatch.setenv("AIPC_API_KEY", "0123456789abcdef")
    outcome = aipc("service", "install")
    assert outcome.status == 2
    assert "give --api-key-file FILE" in outcome.stderr
    assert not unit(tmp_path).exists()


def test_only_its_user_reads_the_file(aipc, systemctl, tmp_path) -> None:
    systemctl()
    aipc("service", "install")
    assert unit(tmp_path).stat().st_mode & 0o777 == 0o600
