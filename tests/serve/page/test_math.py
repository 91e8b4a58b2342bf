from __future__ import annotations

import pytest
from page_steps import answered, ask

SEEN = """place => [...place.querySelectorAll(":scope > *")].map((block) => [
    block.tagName, block.innerText ?? block.textContent,
    [...block.querySelectorAll("math")].map((math) => math.getAttribute("display") ?? "inline"),
])"""
FORMULA = r"\frac{a}{b}"


@pytest.mark.parametrize(
    ("source", "tags", "displays"),
    [
        (rf"Is \({FORMULA}\) so?", ["P"], ["inline"]),
        (rf"Is ${FORMULA}$ so?", ["P"], ["inline"]),
        (rf"Is $${FORMULA}$$ so?", ["P"], ["block"]),
        (f"So:\n\\[\n{FORMULA}\n- 1\n= 2\n\\]\nand on", ["P", "DIV", "P"], ["block"]),
        (f"$$\n{FORMULA}\n$$", ["DIV"], ["block"]),
        (f"- one\n- \\[ {FORMULA} \\]", ["UL"], ["block"]),
        ("It costs $5 and $6, or US$7.", ["P"], []),
        ("($5) and ($6)", ["P"], []),
        ("`$x$` and \\$x\\$", ["P"], []),
        ("$$ is the pid\n\nand $x", ["P", "P"], []),
        (r"\(\href{javascript:alert(1)}{x}\)", ["P"], []),
        (r"\(\frac{a\)", ["P"], []),
        (r"\(\includegraphics{http://127.0.0.1:9/x.png}\)", ["P"], []),
    ],
)
def test_math_is_mathml_and_prices_are_not(page, served, source, tags, displays) -> None:
    for size in (1, len(source)):
        served.script = [source[at : at + size] for at in range(0, len(source), size)]
        page.click("#new")
        ask(page)
        answered(page)
        blocks = page.locator("#log .answer .body").evaluate(SEEN)
        assert [tag for tag, _, _ in blocks] == tags
        assert [one for _, _, some in blocks for one in some] == displays


def test_what_is_no_math_is_shown_as_it_stands(page, served) -> None:
    served.script = [r"\(\frac{a\) and \(\href{javascript:alert(1)}{x}\)"]
    ask(page)
    assert answered(page) == r"\frac{a and \href{javascript:alert(1)}{x}"


def test_math_names_and_links_nothing_in_the_page(page, served) -> None:
    served.script = [r"$$x \label{log} \tag{1}$$ \(\color{red}{y}\)"]
    ask(page)
    answered(page)
    assert page.locator("#log .math").count() == 2
    assert page.locator("#log :is([id], a)").count() == 0


@pytest.mark.parametrize(
    "text",
    [
        r"\(" * 10_000,
        r"\[" * 10_000,
        "$x" * 10_000,
        "$$" * 10_000,
        "$$\n" * 7_000,
        "$$" + r"\sqrt{" * 160 + "x" + "}" * 160 + "$$",
        "$$" + "x^{" * 330 + "x" + "}" * 330 + "$$",
        r"$$\def\a#1{#1#1}" + r"\a{" * 30 + "x" + "}" * 30 + "$$",
        r"$$\def\a{\a\a}\a$$",
        r"$$\rule{9999em}{9999em}$$",
    ],
    ids=lambda text: text[:9],
)
def test_no_math_is_slow_or_large(blank, text) -> None:
    took, height = blank.evaluate(
        """async (text) => {
            const { renderMarkdown } = await import("/page/markdown.js");
            const start = performance.now();
            const place = document.createElement("div");
            document.querySelector("#log").replaceChildren(place);
            renderMarkdown(place, text);
            const tallest = Math.max(0, ...[...place.querySelectorAll("mspace")].map(
                (node) => node.getBoundingClientRect().height));
            return [performance.now() - start, tallest];
        }""",
        text,
    )
    assert took < 1500
    assert height < 200
