from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from held_files import DENIED, SHARED, Held

from aipc import disk
from aipc.artifact import manifest
from aipc.errors import ArtifactError, ConversionError, DownloadFailed
from aipc.models.staging import BusyError, Outputs, leftovers, locked, remove, staged, tidy


def fill(folder, content=b"weights"):
    (folder / "model.bin").write_bytes(content)
    manifest.write(folder, "artifact", "name", {})


def make(final, **options):
    with staged(final, **options) as folder:
        if folder is not None:
            fill(folder)
        return folder is not None


def fail(final, failure, **options):
    with staged(final, **options) as folder:
        (folder / "part").write_bytes(b"half")
        raise failure


def hidden(final):
    roles = ("partial", "discarded")
    return [role for role in roles if final.with_name(f".{final.name}.{role}").exists()]


def run(script, *arguments):
    """A process of its own; it prints what it has to say."""
    code = textwrap.dedent(script)
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def final(tmp_path):
    return tmp_path / "store" / "thing"


def test_it_appears_whole_and_last(final):
    with staged(final) as folder:
        assert folder.parent == final.parent
        (folder / "model.bin").write_bytes(b"weights")
        assert not final.exists()
        manifest.write(folder, "artifact", "name", {})
        assert not final.exists()
    assert manifest.find(final) is not None
    assert manifest.verify(final) == []
    assert hidden(final) == []


def test_what_is_whole_is_not_made_again(final):
    assert make(final)
    assert not make(final)


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()])
def test_nothing_is_left_of_what_failed(final, error):
    with pytest.raises(type(error)):
        fail(final, error)
    assert not final.exists()
    assert hidden(final) == []
    assert make(final)


def test_a_download_that_failed_is_gone_on_with(final):
    with pytest.raises(RuntimeError):
        fail(final, RuntimeError(), resume=True)
    assert not final.exists()
    with staged(final, resume=True) as folder:
        assert (folder / "part").read_bytes() == b"half"
        fill(folder)
    assert manifest.find(final) is not None


def test_a_download_that_brought_nothing_leaves_nothing(final):
    with pytest.raises(RuntimeError), staged(final, resume=True):
        raise RuntimeError
    assert hidden(final) == []


def test_without_resume_the_remains_of_others_are_swept(final):
    with pytest.raises(RuntimeError):
        fail(final, RuntimeError(), resume=True)
    assert make(final)
    assert not (final / "part").exists()


def test_a_block_without_a_manifest_makes_nothing(final):
    with pytest.raises(ArtifactError, match="without a manifest"), staged(final) as folder:
        (folder / "model.bin").write_bytes(b"weights")
    assert not final.exists()
    assert hidden(final) == []


def test_what_is_not_whole_is_replaced(final):
    make(final)
    (final / "model.bin").write_bytes(b"cut")
    assert make(final)
    assert manifest.verify(final) == []
    assert hidden(final) == []


def test_an_empty_folder_of_the_user_may_be_filled(final):
    final.mkdir(parents=True)
    assert make(final)


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_aipc_did_not_make_is_never_discarded(final, kind):
    final.parent.mkdir()
    precious = final / "thesis.tex" if kind == "folder" else final
    precious.parent.mkdir(exist_ok=True)
    precious.write_text("years of work")
    with pytest.raises(ConversionError, match=r"aipc did not make it; choose a new folder"):
        make(final)
    assert precious.read_text() == "years of work"


def test_in_the_store_whatever_is_not_whole_is_discarded(final):
    final.mkdir(parents=True)
    (final / "junk").write_text("")
    assert make(final, owned=True)
    assert not (final / "junk").exists()


def test_a_disk_that_fills_up_is_one_clear_error(final, monkeypatch):
    monkeypatch.setattr("aipc.disk.free", lambda _: 5_000)
    with pytest.raises(DownloadFailed, match=r"no space left .* 5\.0 kB free"):
        fail(final, OSError(errno.ENOSPC, "No space left on device"), error=DownloadFailed)
    assert not final.exists()
    assert hidden(final) == []


def test_too_little_room_is_said_before_the_work(final, monkeypatch):
    monkeypatch.setattr("aipc.disk.free", lambda _: 5_000)
    with pytest.raises(ConversionError, match=r"thing needs 9\.0 kB"):
        make(final, needed=9_000)


def test_two_threads_make_one(final):
    made = []
    threads = [threading.Thread(target=lambda: made.append(make(final))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False, False, False, True]


def test_remove_takes_the_remains_too(final):
    make(final)
    final.with_name(".thing.partial").mkdir()
    remove(final)
    assert not final.exists()
    assert hidden(final) == []


def test_remove_does_not_wait_for_who_works_on_it(final):
    final.parent.mkdir()
    with locked(final), pytest.raises(BusyError, match="at work on 'thing'; wait for it"):
        remove(final)


def test_a_folder_that_a_scanner_looks_into_is_moved_all_the_same(final, monkeypatch):
    monkeypatch.setattr(disk.time, "sleep", lambda _: None)
    monkeypatch.setattr(Path, "replace", Held(Path.replace, DENIED, times=2))
    assert make(final)
    assert manifest.find(final) is not None


def test_a_model_in_use_is_not_removed_and_one_line_says_so(final, monkeypatch):
    """On Windows: its weights are mapped by a session."""
    make(final)
    monkeypatch.setattr(disk.time, "sleep", lambda _: None)
    monkeypatch.setattr(Path, "replace", Held(Path.replace, SHARED, times=99))
    with pytest.raises(ArtifactError, match=r"another program uses '.*thing'; close what has it"):
        remove(final)
    assert manifest.find(final) is not None
    assert hidden(final) == []


def test_leftovers_and_tidy(final):
    make(final)
    broken = final.with_name("broken.v1")
    for name in (".broken.v1.partial", ".broken.v1.discarded", ".thing.partial", "broken.v1"):
        final.with_name(name).mkdir()
    assert leftovers(final.parent) == {final, broken}
    tidy(broken)
    tidy(final)
    assert leftovers(final.parent) == set()
    assert not broken.exists()
    assert manifest.find(final) is not None


def test_everything_is_flushed_before_the_rename(final, monkeypatch):
    flushed = []
    monkeypatch.setattr(disk, "flush", lambda path: flushed.append(path.name))
    make(final)
    assert sorted(flushed[:2]) == ["aipc.json", "model.bin"]
    assert flushed[2:] == [".thing.partial", "store"]


RACE = """
    import sys, time
    from pathlib import Path
    from aipc.artifact import manifest
    from aipc.models.staging import staged

    with staged(Path(sys.argv[1]), progress=lambda what, *_: print(what)) as folder:
        if folder is not None:
            (folder / "model.bin").write_text(sys.argv[2])
            time.sleep(0.3)
            manifest.write(folder, "artifact", "name", {})
            print("made")
"""


def test_processes_that_want_the_same_make_it_once(final):
    said = [process.communicate(timeout=30)[0] for process in [run(RACE, final, n) for n in "123"]]
    assert sum("made" in text for text in said) == 1, said
    assert manifest.verify(final) == []
    assert hidden(final) == []


HOLD = """
    import sys, time
    from pathlib import Path
    from aipc.models.staging import staged

    with staged(Path(sys.argv[1]), resume=bool(sys.argv[2:])) as folder:
        (folder / "part").write_text("half")
        print("held", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("resume", [False, True])
def test_the_work_of_a_killed_process_is_taken_over(final, resume):
    holder = run(HOLD, final, *(["resume"] if resume else []))
    assert holder.stdout.readline() == "held\n"
    waiter = run(RACE, final, "second")
    assert "waiting for another process" in waiter.stdout.readline()
    holder.kill()
    holder.communicate(timeout=30)
    assert "made" in waiter.communicate(timeout=30)[0]
    assert manifest.verify(final) == []
    assert hidden(final) == []


KILL = """
    import os, signal, sys
    from pathlib import Path
    import filelock
    from aipc.artifact import manifest
    from aipc.models.staging import leftovers, staged

    final = Path(sys.argv[1])
    mode = sys.argv[2]
    left = None

    def count(event, arguments):
        global left
        changes = {"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove"}
        if left is not None and event in changes:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def make():
        with staged(final, resume=mode == "resume") as folder:
            if folder is not None:
                (folder / "model.bin").write_text("weights")
                (folder / "sub").mkdir(exist_ok=True)
                (folder / "sub" / "tokenizer.json").write_text("{}")
                manifest.write(folder, "artifact", "name", {})

    def spoil():
        if mode == "replace":
            make()
            (final / "model.bin").write_text("cut")
        elif final.exists():
            final.rename(final.with_name("gone%d" % deaths))

    sys.addaudithook(count)
    for deaths in range(1, 500):
        spoil()
        child = os.fork()
        if child == 0:
            left = deaths
            make()
            os._exit(0)
        killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
        whole = manifest.find(final)
        assert whole is None or manifest.verify(final) == [], deaths
        assert whole is not None or killed, deaths
        make()
        assert manifest.verify(final) == [], deaths
        assert leftovers(final.parent) == set(), deaths
        if not killed:
            break
    print("deaths", deaths)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks at every step")
@pytest.mark.parametrize("mode", ["fresh", "resume", "replace"])
def test_killed_at_any_step_it_is_whole_or_absent(final, mode):
    said = run(KILL, final, mode).communicate(timeout=60)[0]
    assert said.startswith("deaths"), said
    assert int(said.split()[1]) > 15


@pytest.mark.parametrize("kind", ["folder", "link", "dangling link"])
def test_what_stands_in_the_lock_s_place_is_named(final, kind):
    lock = final.with_name(f".{final.name}.lock")
    if kind == "folder":
        lock.mkdir(parents=True)
    else:
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.symlink_to(final.parent / ("nowhere" if kind == "dangling link" else "."))
        except OSError:
            pytest.skip("this system makes no links")
    with pytest.raises(ArtifactError, match=r"\.lock' is no file, .*; remove it"):
        make(final)


def test_what_a_kill_leaves_beside_an_output_is_removed_later(final, tmp_path):
    outputs = Outputs(tmp_path / "notes")
    final.mkdir(parents=True)
    (final / "own").write_text("the user's")
    for role in ("partial", "discarded"):
        final.with_name(f".{final.name}.{role}").mkdir()
    with outputs.noted(final):
        notes = list((tmp_path / "notes").iterdir())
        kept = notes[0].read_bytes()
    assert not notes[0].exists()
    notes[0].write_bytes(kept)  # as a killed process leaves it
    with locked(final):
        outputs.tidy()
        assert hidden(final) == ["partial", "discarded"]  # somebody is at work
    outputs.tidy()
    assert hidden(final) == []
    assert (final / "own").read_text() == "the user's"
    assert not notes[0].exists()


def test_a_note_that_names_another_folder_is_not_believed(final, tmp_path):
    outputs = Outputs(tmp_path / "notes")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "x.json").write_text(json.dumps({"output": str(final)}))
    final.with_name(f".{final.name}.partial").mkdir(parents=True)
    outputs.tidy()
    assert hidden(final) == ["partial"]


def test_a_note_that_the_disk_keeps_hides_no_error(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    def fail():
        with Outputs(tmp_path / "notes").noted(tmp_path / "made"):
            monkeypatch.setattr(Path, "unlink", refuse)
            raise ConversionError("what is wrong")

    with pytest.raises(ConversionError, match="what is wrong"):
        fail()
