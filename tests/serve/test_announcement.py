from __future__ import annotations

import json
import os
import platform
import socket
import stat
import subprocess
import sys

import pytest

from aipc.serve import announcement
from aipc.serve.announcement import announced, proof, read_announcements
from aipc.serve.http.binding import Binding

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes of files")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "home" / "servers"


def rewritten(folder, **changed):
    """The announcement of this process with other fields, as a file beside it."""
    own = folder / f"{os.getpid()}.json"
    other = folder / f"{changed.get('pid', 1)}.json"
    other.write_text(json.dumps({**json.loads(own.read_text()), **changed}))
    other.chmod(0o600)
    return other


def test_a_server_is_announced_from_its_start_to_its_end(folder):
    binding = Binding("0.0.0.0", 9, api_key="a-key-that-nobody-guesses")
    notices = []
    with announced(folder, binding, notices.append):
        (about,) = read_announcements(folder, notices.append)
        assert (about.url, about.token) == ("http://127.0.0.1:9", binding.token)
        assert about.pid == os.getpid()
        assert binding.token not in repr(about)
    assert read_announcements(folder, notices.append) == ()
    assert [*folder.iterdir()] == notices == []


@posix
def test_only_this_user_can_read_it(folder):
    with announced(folder, Binding(port=9), print):
        (file,) = folder.iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_file_that_others_can_read_or_write_is_not_believed(folder, mode):
    notices = []
    with announced(folder, Binding(port=9), print):
        (file,) = folder.iterdir()
        file.chmod(mode)
        assert read_announcements(folder, notices.append) == ()
    assert "is not believed: others can read or write it; remove it" in notices[0]


@posix
def test_a_file_of_another_user_and_a_link_are_not_believed(folder, monkeypatch, tmp_path):
    with announced(folder, Binding(port=9), print):
        (file,) = folder.iterdir()
        monkeypatch.setattr(announcement.os, "getuid", lambda: file.stat().st_uid + 1)
        assert read_announcements(folder, print) == ()
        monkeypatch.undo()
        assert len(read_announcements(folder, print)) == 1
        elsewhere = file.rename(tmp_path / "elsewhere")
        file.symlink_to(elsewhere)
        assert read_announcements(folder, print) == ()


@posix
@pytest.mark.parametrize("made", [lambda at: os.mkfifo(at, 0o600), lambda at: at.mkdir(0o700)])
def test_what_is_no_file_is_not_waited_for(folder, made):
    folder.mkdir(parents=True)
    made(folder / "1.json")
    assert read_announcements(folder, print) == ()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"url": 1}', "[" * 100_000])
def test_what_is_no_announcement_is_passed_over(folder, content):
    folder.mkdir(parents=True)
    file = folder / "1.json"
    file.write_text(content)
    file.chmod(0o600)
    assert read_announcements(folder, print) == ()


def test_what_a_killed_process_left_is_removed(folder):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with announced(folder, Binding(port=9), print):
        left = [rewritten(folder, pid=gone.pid, process_started=None)]
        if sys.platform == "linux":  # where a number is told from its next process
            left.append(rewritten(folder, pid=1, process_started="1"))
        assert len(read_announcements(folder, print)) == 1
        assert not any(file.exists() for file in left)


def test_the_server_of_another_machine_is_left_alone(folder):
    with announced(folder, Binding(port=9), print):
        other = rewritten(folder, host=f"not-{platform.node()}", process_started="1")
        assert len(read_announcements(folder, print)) == 1
        assert other.exists()


def test_where_nothing_can_be_kept_from_others_nothing_is_announced(tmp_path):
    (tmp_path / "file").touch()
    notices = []
    with announced(tmp_path / "file", Binding(port=9), notices.append):
        assert len(notices) == 1
    assert notices[0].startswith("`aipc run` and `chat` won't find this server: ")


def test_a_proof_is_of_the_token_the_number_and_the_address():
    made = proof("token", "nonce", ("127.0.0.1", 9))
    assert made == proof("token", "nonce", ("127.0.0.1", 9))
    others = {
        proof("other", "nonce", ("127.0.0.1", 9)),
        proof("token", "other", ("127.0.0.1", 9)),
        proof("token", "nonce", ("127.0.0.2", 9)),
        proof("token", "nonce", ("127.0.0.1", 8)),
    }
    assert len({made, *others}) == 5


def test_it_is_announced_as_this_machine_reaches_it(folder):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with announced(folder, Binding(port=port), print):
            (about,) = read_announcements(folder, print)
            assert about.url == f"http://127.0.0.1:{port}"
