"""Both loopbacks at one port, and one line where that can't be."""

from __future__ import annotations

import errno
import socket

import pytest

from aipc.errors import AipcError
from aipc.serve.http.binding import Binding
from aipc.serve.http.listening import listen

KEY = "a-key-that-nobody-guesses"


@pytest.fixture
def opened():
    """Call it with a binding for its sockets, which are closed at the end."""
    sockets = []

    def call(binding):
        found, bound = listen(binding)
        sockets.extend(found)
        return found, bound

    yield call
    for each in sockets:
        each.close()


@pytest.fixture
def _ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")


@pytest.mark.usefixtures("_ipv6")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_both_loopbacks_are_reached_at_one_port(opened, host):
    listeners, bound = opened(Binding(host, 0))
    assert len(listeners) == 2
    for address, listener in zip(("127.0.0.1", "::1"), listeners, strict=True):
        with socket.create_connection((address, bound.port)):
            listener.accept()[0].close()


@pytest.mark.usefixtures("_ipv6")
def test_a_port_that_is_taken_on_the_other_loopback_is_one_line():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]
        with pytest.raises(AipcError, match=rf"port {port} of ::1 is taken; .*--port"):
            listen(Binding(port=port))
        with socket.create_server(("127.0.0.1", port)):  # which it gave back
            pass


def test_another_address_is_alone(opened):
    listeners, _ = opened(Binding("127.8.8.8", 0))
    assert [each.getsockname()[0] for each in listeners] == ["127.8.8.8"]


def test_a_machine_without_ipv6_has_one_loopback(opened, monkeypatch):
    class OldSocket(socket.socket):
        def __init__(self, family=socket.AF_INET, *more, **named):
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *more, **named)

    monkeypatch.setattr("socket.socket", OldSocket)
    listeners, bound = opened(Binding(port=0))
    assert [each.getsockname() for each in listeners] == [("127.0.0.1", bound.port)]


def test_what_is_written_is_sent_at_once():
    (listener,), binding = listen(Binding("127.8.8.8", 0))
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
