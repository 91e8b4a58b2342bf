from __future__ import annotations

import pytest
from page_steps import ATTACKS, answered, ask, said

DELETE = "\N{MULTIPLICATION SIGN}"


def test_the_load_is_shown_and_what_is_not_measured_is_never_zero(page) -> None:
    page.wait_for_selector("#devices .device")
    npu, cpu, memory = page.locator("#devices .device").all()
    assert npu.locator("[role=meter]").get_attribute("aria-valuenow") == "37"
    assert "5.8 W" in npu.inner_text()
    assert "2.4 GB" in npu.inner_text()
    assert "not measured here" in cpu.inner_text()
    assert cpu.locator("[role=meter]").count() == 0
    assert "12.0 of 32.0 GB" in memory.inner_text()


def test_the_load_is_read_only_while_the_page_is_seen(context, server, served) -> None:
    page = context.new_page()
    reads = []
    page.on("request", lambda asked: "/api/machine" in asked.url and reads.append(asked.url))
    page.clock.install()
    page.goto(server.url)
    page.wait_for_selector("#devices .device")
    with page.expect_request("**/api/machine"):
        page.clock.run_for(2000)
    hide = """hidden => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    before = len(reads)
    page.clock.run_for(20_000)
    assert len(reads) == before
    with page.expect_request("**/api/machine"):
        page.evaluate(hide, False)


def test_everything_can_be_done_with_the_keyboard(page, served) -> None:
    served.script = ["Yes."]
    assert page.evaluate("document.activeElement.id") == "question"
    page.keyboard.type("Is this")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("enough?")
    page.keyboard.press("Enter")
    answered(page)
    assert said(served) == ["Is this\nenough?"]
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.innerText")
        )
        shown = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert shown != "none" or reached[-1] == "question"
        if reached[-1] == "question":
            break
    assert reached[0] == "Skip to the question"
    order = ["theme", "new", "Is this", DELETE, "model", "device", "Settings", "Export"]
    assert [name for name in reached if name in order] == order
    assert reached[-4:] == ["Edit", "Copy", "Regenerate", "question"]


def test_screen_readers_find_names_headings_and_landmarks(page, served) -> None:
    served.script = ["# Title\n\ntext"]
    ask(page)
    answered(page)
    assert page.get_attribute("html", "lang") == "en"
    assert page.title() == "Why? · aipc"
    assert page.locator("h1").count() == 1
    log = page.locator("[role=log]")
    assert log.get_attribute("aria-live") == "polite"
    for tag in ("main", "nav", "aside", "header"):
        assert page.locator(tag).count() == 1
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, textarea, a, summary")]
            .filter((node) => !(node.ariaLabel || node.innerText?.trim() || node.textContent.trim()
                || node.labels?.[0]?.textContent.trim()))
            .map((node) => node.outerHTML)"""
    )
    assert unnamed == []
    for field in page.locator("select, input, textarea").all():
        assert field.evaluate("node => node.labels.length") == 1
    ids = page.eval_on_selector_all("[id]", "nodes => nodes.map(node => node.id)")
    assert len(ids) == len(set(ids))


PAIRS = [
    ("ink", "paper"),
    ("ink", "raised"),
    ("soft", "paper"),
    ("soft", "raised"),
    ("soft", "sunk"),
    ("accent", "paper"),
    ("accent", "sunk"),
    ("on-accent", "accent"),
    ("alarm", "paper"),
    ("alarm", "raised"),
    ("word", "raised"),
    ("text", "raised"),
    ("figure", "raised"),
    ("name", "raised"),
]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_is_enough_to_read(browser, server, theme) -> None:
    page = browser.new_page(color_scheme=theme)
    page.goto(server.url)
    colors = page.evaluate(
        """(names) => Object.fromEntries(names.map((name) => {
            document.body.style.color = `var(--${name})`;
            return [name, getComputedStyle(document.body).color.match(/\\d+/g).map(Number)];
        }))""",
        ["edge", *{name for pair in PAIRS for name in pair}],
    )
    page.close()
    for text, ground in PAIRS:
        assert contrast(colors[text], colors[ground]) >= 4.5, (text, ground)
    assert contrast(colors["edge"], colors["raised"]) >= 3


def contrast(one, other) -> float:
    """As WCAG 2.2 defines it."""

    def luminance(color):
        parts = [part / 255 for part in color]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_theme_is_the_system_s_until_another_is_chosen(browser, server) -> None:
    page = browser.new_context(color_scheme="dark").new_page()
    page.goto(server.url)
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(ground)
    page.click("text=Light theme")
    light = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == light
    assert page.locator("#theme").inner_text() == "Dark theme"
    page.context.close()


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_every_screen(browser, server, served, tmp_path, theme, width) -> None:
    served.script = [ATTACKS, "\n\n" + "x" * 300, "\n\n```\n" + "y" * 300 + "\n```"]
    page = browser.new_page(color_scheme=theme, viewport={"width": width, "height": 800})
    page.goto(server.url)
    page.wait_for_selector("#devices .device", state="attached")
    page.wait_for_selector("#model option", state="attached")
    ask(page, "z" * 300)
    answered(page)
    page.screenshot(path=tmp_path / f"{theme}-{width}.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelector('#scroll').scrollWidth") <= width
    if width < 500:
        assert not page.locator("#side").is_visible()
        page.click("#menu")
        page.click("#new")
        assert not page.locator("#side").is_visible()
    page.close()
