"""This user's server is found and used; a stranger on its port gets neither token nor prompt."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import ExitStack
from itertools import repeat

import pytest

from aipc.models.source import HubSource
from aipc.serve.announcement import announced, read_announcements
from aipc.serve.client import NotServed
from aipc.serve.http.binding import Binding
from aipc.serve.own_server import OwnServer, WantedModel, find

PLAIN = {
    "device": "auto",
    "runtime": "auto",
    "properties": {},
    "npu": None,
    "recipe": None,
    "emulate": False,
    "overflow": None,
    "canary": True,
}


def wanted(name="fake", **loading):
    return WantedModel(HubSource(f"org/{name}").name, name, {**PLAIN, **loading})


@pytest.fixture
def announce(tmp_path):
    """Announce a binding for the rest of the test; gives the folder."""
    with ExitStack() as ended:

        def start(binding):
            ended.enter_context(announced(tmp_path / "servers", binding, print))
            return tmp_path / "servers"

        yield start


@pytest.fixture
def folder(server, announce):
    return announce(server.binding)


def test_the_ready_model_answers_with_all_that_is_known_of_it(folder, server):
    found, loaded = find(folder, wanted(), print)
    with found.session(loaded, wanted(), print) as session:
        reply = session.generate("count 3")
    assert (reply.text, reply.tokens) == ("0 1 2 ", (0, 1, 2))
    assert session.facts["device"] == "CPU"
    assert session.facts["asked"] == {"device": "auto", "runtime": "auto"}
    assert session.facts["artifact"].endswith("fake")
    assert session.context == 4096
    assert session.is_reached
    assert loaded["exit_idle_s"] is None


@pytest.mark.parametrize("changed", [{"device": "cpu"}, {"runtime": "fake"}, {"canary": False}])
def test_what_was_given_and_is_so_is_no_objection(folder, changed):
    find(folder, wanted(**changed), print)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"device": "gpu"}, "is on cpu, not on gpu"),
        ({"runtime": "onnx"}, "runs through fake, not through onnx"),
        ({"properties": {"NUM_STREAMS": "1"}}, "loaded with other properties"),
        ({"npu": {"max_prompt_len": 9}}, "other options of the NPU"),
        ({"overflow": "cpu"}, "another --overflow"),
        ({"recipe": {"weight_format": "int8"}}, "another recipe"),
        ({"emulate": True}, "another choice of --emulate"),
    ],
)
def test_what_was_given_and_is_not_so_is_one(folder, changed, reason):
    with pytest.raises(NotServed, match=reason):
        find(folder, wanted(**changed), print)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"recipe": {"weight_format": "int8"}}, "another recipe"),
        ({"emulate": True}, "another choice of --emulate"),
        ({"canary": False}, "another choice of --canary"),
        ({"properties": {"A": "1"}, "overflow": "cpu", "npu": {"x": 1}}, ""),
    ],
)
def test_what_was_left_out_is_the_servers_choice_but_for_another_model(asked, reason):
    told = {"asked": {**PLAIN, **asked}, "facts": {"device": "CPU", "runtime": "openvino"}}
    assert reason in wanted().objection(told)
    assert bool(reason) == bool(wanted().objection(told))
    same = {name: value for name, value in asked.items() if name != "canary"}
    assert not wanted(**same).objection(told) or "canary" in reason


def test_another_model_or_one_that_is_not_loaded_is_not_it(server, folder, serve_fakes, announce):
    with pytest.raises(NotServed, match="has not 'other' ready"):
        find(folder, wanted("other"), print)
    server = serve_fakes("fake")
    announce(server.binding)  # in place of the other, of the same process
    with pytest.raises(NotServed, match="has not 'fake' ready"):
        find(folder, wanted(), print)


def test_no_announcement_is_no_server(tmp_path):
    with pytest.raises(NotServed, match="no `aipc serve` of yours runs"):
        find(tmp_path, wanted(), print)


def test_a_server_of_another_version_is_not_asked(folder):
    (file,) = folder.glob("*.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "version": "0.0"}))
    with pytest.raises(NotServed, match=r"is of aipc 0\.0"):
        find(folder, wanted(), print)


def test_a_server_that_listens_no_more_is_forgotten(announce):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        folder = announce(Binding(port=taken.getsockname()[1]))
        with pytest.raises(NotServed, match="no server answers"):
            find(folder, wanted(), print)
    assert [*folder.iterdir()] == []


class Stranger:
    """Another program on the port: hears what it is sent, and says what ``answer`` makes of it."""

    def __init__(self, answer) -> None:
        self.heard = b""
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    while piece := connection.recv(1 << 16):
                        self.heard += piece
                        for part in self._answer(piece):
                            connection.sendall(part)
                except OSError:
                    continue

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def response(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def dripping(_):
    """A byte before each limit of a socket's own."""
    while True:
        time.sleep(0.02)
        yield b"H"


def endless(_):
    yield b"HTTP/1.1 200 OK\r\n\r\n"
    yield from repeat(b"x" * (1 << 16))


STRANGERS = {
    "agrees to everything": lambda _: [response(b"{}")],
    "knows the form": lambda _: [response(b'{"proof": "' + b"0" * 64 + b'"}')],
    "says no text": lambda _: [response(b'{"proof": "\\ud800"}')],
    "nests": lambda _: [response(b"[" * 100_000)],
    "asks for a key": lambda _: [response(b'{"error": {"code": "invalid_api_key"}}', "401 No")],
    "sends elsewhere": lambda _: [b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n"],
    "speaks no HTTP": lambda _: [b"220 smtp.example\r\n"],
    "is silent": lambda _: [],
    "drips": dripping,
    "never ends": endless,
    "goes on forever": lambda _: repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("answer", STRANGERS.values(), ids=STRANGERS)
def test_another_program_on_the_port_gets_neither_token_nor_prompt(answer, announce):
    stranger = Stranger(answer)
    try:
        binding = Binding(port=stranger.port)
        folder = announce(binding)
        with pytest.raises(NotServed):
            find(folder, wanted(), print)
        (about,) = read_announcements(folder, print)
        session = OwnServer(about, 0.2).session(LOADED_FAKE, wanted(), print)
        assert not session.is_reached
        with pytest.raises(NotServed):
            session.generate("a secret prompt")
    finally:
        stranger.stop()
    assert b"GET /api/proof/" in stranger.heard
    for secret in (binding.token.encode(), b"secret prompt", b"Authorization"):
        assert secret not in stranger.heard


LOADED_FAKE = {"model": "fake", "device": None, "context": 1, "facts": {}}


def test_a_proof_that_was_passed_on_is_of_another_address(server, announce):
    """A stranger that asks the true server gets what is right for that one's address alone."""

    def passed_on(piece):
        with socket.create_connection((server.binding.host, server.binding.port)) as true:
            port = str(stranger.port).encode(), str(server.binding.port).encode()
            true.sendall(piece.replace(*port))
            told = b""
            while b"}" not in told:
                told += true.recv(1 << 16)
            proofs.append(json.loads(told[told.index(b"{") :])["proof"])
            return [told]

    proofs = []
    stranger = Stranger(passed_on)
    try:
        folder = announce(Binding(port=stranger.port, token=server.binding.token))
        with pytest.raises(NotServed, match="no server of this user answers"):
            find(folder, wanted(), print)
    finally:
        stranger.stop()
    assert len(proofs) == 1
    assert server.binding.token.encode() not in stranger.heard


def test_a_number_of_another_form_gets_no_proof(client):
    for nonce in ("0", "0" * 65, "G" * 64, "A" * 64):
        assert client.get(f"/api/proof/{nonce}").status_code == 400


def test_servers_that_hang_are_not_looked_at_for_longer_than_one(announce):
    with ExitStack() as listening:
        hanging = [
            listening.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)
        ]
        folder = announce(Binding(port=hanging[0].getsockname()[1]))
        (about,) = read_announcements(folder, print)
        for one in hanging[1:]:
            port = one.getsockname()[1]
            file = folder / f"{port}.json"
            file.write_text(json.dumps({**vars(about), "url": f"http://127.0.0.1:{port}"}))
            file.chmod(0o600)
        with pytest.raises(NotServed, match="no server of this user answers"):
            find(folder, wanted(), print)
        assert sum(was_reached(one) for one in hanging) == 1


def was_reached(listener) -> bool:
    listener.setblocking(False)
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True
