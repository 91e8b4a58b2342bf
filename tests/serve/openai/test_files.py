from __future__ import annotations

import errno
import os
import socket
import stat
import threading
import time

import openai
import pytest

from aipc.serve.batches import file_store
from aipc.serve.batches.file_store import (
    FileDamaged,
    FileStore,
    FileTooLarge,
    StorageFull,
    new_record,
)
from aipc.serve.openai import files as files_module

LINES = b'{"custom_id": "a"}\n' * 500_000  # 9.5 MB, more than any other path takes


@pytest.fixture
def files(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client.files


def upload(client, content=b"{}\n", name="lines.jsonl", **fields):
    return client.post(
        "/v1/files", files={"file": (name, content)}, data={"purpose": "batch", **fields}
    )


def refused(reply, status, param=None, code=None):
    error = reply.json()["error"]
    assert reply.status_code == status, error
    assert (error["param"], error["code"]) == (param, code)
    return error["message"]


def folder_of(server):
    return server.pool.store.files


def test_openais_client_uploads_finds_reads_and_deletes(files):
    content = LINES
    made = files.create(
        file=("lines.jsonl", content),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert (made.object, made.purpose, made.filename) == ("file", "batch", "lines.jsonl")
    assert made.bytes == len(content)
    assert made.expires_at == made.created_at + 3600
    assert files.retrieve(made.id) == made
    assert made in list(files.list(purpose="batch"))
    assert list(files.list(purpose="vision")) == []
    assert files.content(made.id).read() == content
    assert files.delete(made.id).deleted
    for gone in (files.retrieve, files.content, files.delete):
        with pytest.raises(openai.NotFoundError):
            gone(made.id)


def test_a_file_that_cannot_be_removed_is_not_said_to_be_deleted(server, client):
    url = f"/v1/files/{upload(client).json()['id']}"
    content = folder_of(server) / f"{url[10:]}.data"
    content.unlink()
    content.mkdir()  # which no unlink removes
    message = refused(client.delete(url), 500, code="storage_failed")
    assert "can't remove" in message
    assert str(content.parent) not in message
    assert client.get(url).status_code == 200
    content.rmdir()
    assert client.delete(url).json()["deleted"]


def test_a_list_has_pages_in_either_order(files):
    made = [files.create(file=(f"{n}", b"{}"), purpose="batch").id for n in range(5)]
    ids = [one.id for one in files.list(limit=2)]  # the client asks for page after page
    assert set(made) <= set(ids)
    assert ids == [one.id for one in files.list(order="asc")][::-1]
    for file_id in ids:
        files.delete(file_id)


def test_only_this_user_can_read_them(server, client):
    file_id = upload(client).json()["id"]
    folder = folder_of(server)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for kept in (folder / f"{file_id}.data", folder / f"{file_id}.json"):
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/", "unnamed"),
        ("x" * 300, "x" * 255),
        ("übung.jsonl", "übung.jsonl"),
    ],
)
def test_a_path_in_the_name_leads_nowhere(client, name, shown):
    made = upload(client, name=name).json()
    assert made["filename"] == shown
    reply = client.get(f"/v1/files/{made['id']}/content")
    assert reply.content == b"{}\n"
    assert reply.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize("file_id", ["file-0", "..%2F..%2Fx", "file-" + "0" * 24, "a" * 200])
def test_what_is_no_id_is_not_here(client, file_id):
    for path in (file_id, f"{file_id}/content"):
        assert client.get(f"/v1/files/{path}").status_code == 404


def test_without_what_it_needs_it_is_refused(client):
    reply = client.post("/v1/files", files={"file": ("a", b"{}")})
    refused(reply, 400, "purpose", "invalid_value")
    refused(upload(client, purpose="vision"), 400, "purpose", "invalid_value")
    no_file = client.post("/v1/files", files={"purpose": (None, "batch")})
    assert "give a file" in refused(no_file, 400, "file", "invalid_value")
    short = upload(client, **{"expires_after[anchor]": "created_at", "expires_after[seconds]": "9"})
    refused(short, 400, "expires_after[seconds]", "invalid_value")


FORM = "multipart/form-data; boundary=x"
HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


@pytest.mark.parametrize(
    ("kind", "body", "says"),
    [
        ("multipart/form-data", HEAD, "no boundary"),
        (FORM, b"no form at all", "RFC 7578"),
        (FORM, b"", "ends too soon"),
        (FORM, HEAD + b"{}", "ends too soon"),
        (FORM, HEAD + b"{}\r\n--x\r\n" + HEAD[5:] + b"{}\r\n--x--", "more than one file"),
        (FORM, HEAD.replace(b"\r\n\r\n", b"\r\nX: " + b"y" * 9000 + b"\r\n\r\n"), ""),
        (FORM, HEAD.replace(b'="a"', b'="\xff"') + b"{}\r\n--x--", "not UTF-8"),
        (FORM, b"--x\r\n\r\n\r\n" * 40, ""),
        ("multipart/form-data; boundary=" + "x" * 500, HEAD, "boundary"),
    ],
)
def test_a_broken_form_is_refused_and_leaves_nothing(server, client, kind, body, says, caplog):
    before = sorted(folder_of(server).glob("*"))
    reply = client.post("/v1/files", content=body, headers={"Content-Type": kind})
    assert says in refused(reply, 400, None, "invalid_form")
    assert [one for one in caplog.records if "multipart" in one.name] == []
    assert sorted(folder_of(server).glob("*")) == before


def test_a_long_field_is_refused_by_its_name(client):
    reply = upload(client, metadata="x" * 5000)
    assert "metadata" in refused(reply, 400, "metadata", "invalid_value")


def test_json_is_no_form_and_a_form_no_json(client):
    assert client.post("/v1/files", json={"purpose": "batch"}).status_code == 415
    reply = client.post("/v1/chat/completions", files={"file": ("a", b"{}")})
    assert reply.status_code == 415


def test_a_page_of_another_site_can_not_upload(server):
    with server.client(Origin="https://elsewhere.example") as page:
        assert upload(page).status_code == 403


@pytest.mark.parametrize("is_chunked", [False, True])
def test_too_large_a_file_is_refused_while_it_comes(server, client, monkeypatch, is_chunked):
    monkeypatch.setattr(file_store, "MAX_FILE", 100_000)
    before = sorted(folder_of(server).glob("*"))
    body = HEAD + b"x" * 150_000 + b"\r\n--x--"
    content = iter([body]) if is_chunked else body
    reply = client.post("/v1/files", content=content, headers={"Content-Type": FORM})
    refused(reply, 413, "file", "file_too_large")
    assert sorted(folder_of(server).glob("*")) == before


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(server):
    with socket.create_connection(server.url.removeprefix("http://").split(":")) as connection:
        head = f"POST /v1/files HTTP/1.1\r\nHost: {server.url[7:]}\r\nContent-Type: {FORM}\r\n"
        length = files_module.MAX_UPLOAD + 1
        connection.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode())
        assert b" 413 " in connection.recv(4096)


def test_a_client_that_leaves_leaves_nothing(server):
    before = sorted(folder_of(server).glob("*"))
    host = server.url.removeprefix("http://")
    with socket.create_connection(host.split(":")) as connection:
        head = f"POST /v1/files HTTP/1.1\r\nHost: {host}\r\nContent-Type: {FORM}\r\n"
        connection.sendall(f"{head}Content-Length: 90000\r\n\r\n".encode() + HEAD + b"half")
        until(lambda: sorted(folder_of(server).glob("*")) != before)
    until(lambda: sorted(folder_of(server).glob("*")) == before)


def until(condition):
    deadline = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


def test_a_full_disk_is_told_without_a_path_and_leaves_nothing(server, client, monkeypatch):
    upload(client)
    before = sorted(folder_of(server).glob("*"))

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder_of(server)))

    monkeypatch.setattr(file_store.os, "fsync", full)
    reply = upload(client)
    message = refused(reply, 507, None, "storage_full")
    assert "No space left" in message
    assert str(folder_of(server)) not in message
    assert sorted(folder_of(server).glob("*")) == before


def test_all_together_they_have_a_limit(serve_fakes):
    server = serve_fakes(files_budget=0.1)  # GB
    content = b"x" * 60_000_000
    with server.client() as client:
        first = upload(client, content)
        assert first.status_code == 200
        refused(upload(client, content), 507, None, "storage_full")
        client.delete(f"/v1/files/{first.json()['id']}")
        assert upload(client, content).status_code == 200


def test_with_a_key_only_who_shows_it_sees_them(serve_fakes):
    key = "a-key-that-nobody-guesses"
    server = serve_fakes(api_key=key)
    with server.client(Authorization=f"Bearer {key}") as client:
        file_id = upload(client).json()["id"]
        assert client.get(f"/v1/files/{file_id}").status_code == 200
    with server.client(**{"X-Api-Key": key}) as client:
        assert client.get(f"/v1/files/{file_id}").status_code == 200
    with server.client() as client:
        assert client.get(f"/v1/files/{file_id}").status_code == 401
    store = FileStore(server.pool.store.files, 10**9)
    assert store.find("another owner", file_id) is None
    assert key not in (server.pool.store.files / f"{file_id}.json").read_text()


@pytest.fixture
def store(tmp_path):
    return FileStore(tmp_path / "files", 1000)


def keep(store, content=b"x", lasts_s=None):
    with store.begin(len(content)) as draft:
        draft.write(content)
        record = new_record("me", "name", "batch", draft.nbytes, lasts_s)
        return store.keep(draft, record)


@pytest.mark.parametrize("suffix", [".data", ".json"])
def test_a_damaged_file_is_found_and_never_given(store, suffix):
    record = keep(store, b"content")
    assert store.verify() == {record.id: []}
    damaged = store.content(record).with_suffix(suffix)
    data = damaged.read_bytes()
    damaged.write_bytes(data[:-5] + b"?" + data[-4:])
    assert len(store.verify()[record.id]) == 1
    found = store.find("me", record.id)
    if suffix == ".json":
        assert found is None
    else:
        with pytest.raises(FileDamaged):
            store.content(found)


def test_what_has_expired_is_gone_from_the_disk(store, tmp_path):
    record = keep(store, lasts_s=-1)
    assert store.find("me", record.id) is None
    assert list((tmp_path / "files").iterdir()) == []


def test_uploads_under_way_count(store):
    with store.begin(600), pytest.raises(StorageFull):
        store.begin(600)
    store.begin(600).__exit__()


def test_a_draft_takes_no_more_than_was_expected(store):
    with store.begin(10) as draft, pytest.raises(StorageFull):
        draft.write(b"x" * 11)
    with store.begin(10) as draft:
        draft.nbytes = file_store.MAX_FILE
        with pytest.raises(FileTooLarge):
            draft.write(b"x")


def test_many_at_once_are_each_whole(store):
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(keep(store, b"y" * 20))) for _ in range(9)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {record.id for record in store.list("me")} == {record.id for record in made}
    assert all(store.content(record).read_bytes() == b"y" * 20 for record in made)


def test_what_a_killed_server_left_is_tidied_and_nothing_else(store, tmp_path):
    record = keep(store)
    folder = tmp_path / "files"
    left = folder / ".draft.part", folder / ("file-" + "0" * 24 + ".data")
    for path in left:
        path.write_bytes(b"left")
    store.tidy()
    assert all(path.exists() for path in left)  # they may be under way
    long_ago = time.time() - 2 * 24 * 3600
    for path in (*left, store.content(record)):
        os.utime(path, (long_ago, long_ago))
    store.tidy()
    assert not any(path.exists() for path in left)
    assert store.list("me") == [record]
    damaged = folder / f"{record.id}.json"
    damaged.write_text("{")
    assert store.list("me") == []
