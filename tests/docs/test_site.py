"""The pages as a site: every page is in it, and every link and anchor leads somewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build(source: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("sphinx", reason="it is built with the extra docs")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", source, folder]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_site_is_built_without_a_warning(tmp_path):
    done = build(ROOT / "docs", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "start.html").is_file()
    assert (tmp_path / "searchindex.js").is_file()


def test_a_dead_link_is_found(tmp_path):
    (tmp_path / "conf.py").write_text((ROOT / "docs" / "conf.py").read_text("utf-8"), "utf-8")
    (tmp_path / "index.md").write_text("# A page\n\n[dead](nowhere.md#at-all)\n", "utf-8")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode == 1
    assert "nowhere.md" in done.stderr
