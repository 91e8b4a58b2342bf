from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from aipc.errors import AipcError, UsageError
from aipc.serve.http.binding import Binding, read_key
from aipc.serve.server import listen

KEY = "a-key-that-nobody-guesses"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "pc.example"])
def test_an_address_that_others_reach_needs_a_key(host):
    with pytest.raises(UsageError, match="there is no key"):
        Binding(host)
    assert Binding(host, api_key=KEY).is_loopback is False


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_none(host):
    assert Binding(host).is_loopback


def test_the_names_are_exact_and_with_the_port():
    binding = Binding("192.168.1.5", 99, allowed_hosts=("PC.example", "[fe80::1]"), api_key=KEY)
    assert binding.hosts() == {
        "127.0.0.1:99",
        "localhost:99",
        "[::1]:99",
        "192.168.1.5:99",
        "pc.example:99",
        "[fe80::1]:99",
    }
    assert "localhost" in Binding(port=80).hosts()
    assert Binding("::1").url == "http://[::1]:8460"


@pytest.mark.parametrize("origin", ["*", "null", "https://", "https://a/b", "https://*.example"])
def test_an_origin_is_exact(origin):
    with pytest.raises(UsageError, match="no origin"):
        Binding(allowed_origins=(origin,))


def test_key_and_token_are_not_shown_with_the_rest():
    binding = Binding(api_key=KEY)
    assert KEY not in repr(binding)
    assert binding.token not in repr(binding)


def test_each_run_has_a_token_of_its_own_which_a_copy_keeps():
    binding = Binding()
    assert binding.token != Binding().token
    assert replace(binding, port=1).token == binding.token


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:9"),
        ("0.0.0.0", "http://127.0.0.1:9"),
        ("::", "http://[::1]:9"),
        ("192.168.1.5", "http://192.168.1.5:9"),
    ],
)
def test_this_machine_reaches_a_server_of_every_address(host, url):
    assert Binding(host, 9, api_key=KEY).own_url == url


def test_what_is_written_is_sent_at_once():
    listener, binding = listen(Binding(port=0))
    with listener, socket.create_connection((binding.host, binding.port)):
        taken, _ = listener.accept()
        with taken:  # by this asyncio knows that it is to switch Nagle's algorithm off
            assert taken.proto == socket.IPPROTO_TCP


def test_a_port_that_is_taken_is_one_line():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(AipcError, match=rf"port {port} of 127\.0\.0\.1 is taken; .*--port"):
            listen(Binding(port=port))


def test_an_address_of_another_machine_is_one_line():
    with pytest.raises(AipcError, match=r"198\.51\.100\.1"):
        listen(Binding("198.51.100.1", 0, api_key=KEY))


def test_a_key_comes_from_the_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("AIPC_API_KEY", KEY)
    file = tmp_path / "key"
    file.write_text(f"{KEY}-of-the-file\n")
    assert read_key(None) == KEY
    assert read_key(file) == f"{KEY}-of-the-file"
    monkeypatch.delenv("AIPC_API_KEY")
    assert read_key(None) is None
    with pytest.raises(UsageError, match="can't read"):
        read_key(tmp_path / "none")


@pytest.mark.parametrize(
    "key", ["short", "has a space in it, so", "schlüssel-schlüssel", "x\ny" * 9]
)
def test_a_key_that_no_header_can_hold_is_refused(key, monkeypatch):
    monkeypatch.setenv("AIPC_API_KEY", key)
    with pytest.raises(UsageError, match="can't be used"):
        read_key(None)
