"""A model fetched from the page, from a hub on loopback, into a real store."""

from __future__ import annotations

import pytest
from fake_hub import Repo, hubs
from page_steps import expect
from running_server import RunningServer

from aipc.models import transfer
from aipc.models.store import Store
from aipc.pool.model_registry import ModelRegistry
from aipc.pool.pool import Pool

FILES = {
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": bytes(range(256)) * 20_000,
    "tokenizer.json": b"{}",
}
NAME = "org/a-model-with-a-name-that-is-longer-than-most-names-of-models-are-int4"


@pytest.fixture
def hub(monkeypatch):
    with hubs() as start:
        hub = start()
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(transfer, "PAUSE_S", 0.001)
        hub.repos[NAME] = Repo(dict(FILES))
        yield hub


@pytest.fixture
def opened(browser, tmp_path):
    """Open the page of a server over an empty store."""
    left = []

    def open_page(**binding):
        store = Store(tmp_path / "home")
        server = RunningServer(lambda: Pool(ModelRegistry((), store)), store.running, **binding)
        page = browser.new_page(viewport={"width": 390, "height": 800})
        left.append((page, server))
        page.set_default_timeout(10_000)
        page.goto(server.url)
        page.wait_for_selector("#devices .device", state="attached")
        return page, store

    yield open_page
    for page, server in left:
        page.close()
        server.stop()


def test_without_leave_no_model_can_be_got(opened) -> None:
    page, _ = opened()
    assert not page.locator("#get").is_visible()


def test_a_model_is_got_once_it_is_confirmed_and_is_chosen_then(hub, opened) -> None:
    page, store = opened(allow_pull=True)
    page.click("#get")
    assert page.evaluate("document.activeElement.id") == "get-name"
    page.keyboard.type(NAME)
    page.keyboard.press("Enter")
    assert "trust who published it" in page.locator("#get-told").inner_text()
    assert hub.requests == []
    page.fill("#get-name", NAME + "x")
    assert page.locator("#get-go").inner_text() == "Continue"
    page.fill("#get-name", NAME)
    page.click("#get-go")
    page.click("#get-go")
    expect(page.locator("#get-dialog")).to_be_hidden()
    expect(page.locator("#model")).to_have_value(NAME)
    assert page.locator("#model").get_attribute("title") == NAME
    assert NAME in page.locator("#welcome-model").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert len([*store.entries()]) == 1


def test_progress_is_seen_and_a_stopped_one_goes_on(hub, opened) -> None:
    hub.repos[NAME].pauses["model.safetensors"] = 3_000_000
    page, store = opened(allow_pull=True)
    page.click("#get")
    page.fill("#get-name", NAME)
    page.click("#get-go")
    page.click("#get-go")
    page.wait_for_selector("#get-told:has-text('of 5.1 MB')")
    assert page.evaluate("document.activeElement.id") == "get-close"
    page.keyboard.press("Escape")
    expect(page.locator("#get-dialog")).to_be_hidden()
    hub.released.set()
    page.click("#get")
    page.fill("#get-name", NAME)
    page.click("#get-go")
    page.click("#get-go")
    expect(page.locator("#model")).to_have_value(NAME)
    assert len([*store.entries()]) == 1


def test_a_model_that_is_not_there_is_one_plain_line(hub, opened) -> None:
    page, _ = opened(allow_pull=True)
    page.click("#get")
    for name in ("org/none", "nothing like it"):
        page.fill("#get-name", name)
        page.click("#get-go")
        page.click("#get-go")
        expect(page.locator("#get-go")).to_have_text("Continue")
        expect(page.locator("#get-told")).to_contain_text(name)
        expect(page.locator("#get-told")).not_to_contain_text("trust")
