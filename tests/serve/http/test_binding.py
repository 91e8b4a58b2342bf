from __future__ import annotations

from dataclasses import replace

import pytest

from aipc.errors import UsageError
from aipc.serve.http.binding import Binding, read_key

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


@pytest.mark.parametrize(
    "origin",
    [
        *(
            "*",
            "null",
            "https://",
            "https://a/b",
            "https://*.example",
            "https://a@b",
            "page.example",
        ),
        *("moz-extension://*", "file://x", "data://x", "javascript://x", "app://a b"),
        "1app://x",
    ],
)
def test_an_origin_is_exact(origin):
    with pytest.raises(UsageError, match="no origin"):
        Binding(allowed_origins=(origin,))


@pytest.mark.parametrize(
    "origin",
    [
        *("http://tauri.localhost", "tauri://localhost", "app://obsidian.md", "app://-"),
        *("capacitor://localhost", "vscode-webview://1f3a", "chrome-extension://abcdefghij"),
        "moz-extension://6f1c1d5e-0000-4000-8000-000000000000",
    ],
)
def test_an_app_has_an_origin_too(origin):
    assert Binding(allowed_origins=(origin,)).allowed_origins == (origin,)


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
