from __future__ import annotations

from pathlib import Path

import pytest
from page_steps import ATTACKS, answered, ask, reload

TABLE = (
    '<div class="table"><table>'
    '<thead><tr><th class="centre">a</th><th class="right">b</th></tr></thead>'
    '<tbody><tr><td class="centre">1 | 2</td><td class="right">3</td></tr></tbody>'
    "</table></div>"
)
LINK = '<a href="{}" rel="noopener noreferrer" target="_blank">{}</a>'
LISTING = (
    '<figure class="listing"><figcaption><span>{}</span>'
    '<button type="button" class="quiet">Copy code</button></figcaption>'
    "<pre><code>{}</code></pre></figure>"
)
README = Path(__file__).parents[3] / "README.md"


def rendered(page, pieces: list[str]) -> str:
    """The HTML of markdown that came in pieces."""
    return page.evaluate(
        """async (pieces) => {
            const { Markdown } = await import("/page/markdown.js");
            const place = document.createElement("div");
            const markdown = new Markdown(place);
            for (const piece of pieces) markdown.append(piece);
            markdown.finish();
            return place.innerHTML;
        }""",
        pieces,
    )


def test_nothing_in_an_answer_or_in_history_runs(page, served) -> None:
    served.script = [ATTACKS[at : at + 5] for at in range(0, len(ATTACKS), 5)]
    ask(page, ATTACKS)
    answered(page)
    reload(page)
    answered(page)
    kinds = "#log :is(script, img, svg, iframe, b)"
    assert page.locator(kinds).count() == 0
    addresses = page.eval_on_selector_all("#log a", "links => links.map(link => link.href)")
    assert addresses == ["http://127.0.0.1:9/seen.png"]
    assert page.evaluate("window.__x") is None


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("one\ntwo\n\nthree", "<p>one\ntwo</p><p>three</p>"),
        ("# A **b** #\ntext", "<h3>A <strong>b</strong></h3><p>text</p>"),
        (
            "a *b **c** d* _e_ ~~f~~",
            "<p>a <em>b <strong>c</strong> d</em> <em>e</em> <del>f</del></p>",
        ),
        ("***both***", "<p><strong><em>both</em></strong></p>"),
        ("snake_case_name 2 * 3 * 4 \\*no\\*", "<p>snake_case_name 2 * 3 * 4 *no*</p>"),
        ("`<b>` ``a`b``", "<p><code>&lt;b&gt;</code> <code>a`b</code></p>"),
        (
            "- a\n- b\n  - c\n\n- d",
            "<ul><li><p>a</p></li><li><p>b</p><ul><li><p>c</p></li></ul></li><li><p>d</p></li></ul>",
        ),
        ("3. a\n4. b", '<ol start="3"><li><p>a</p></li><li><p>b</p></li></ol>'),
        ("1. a\n- b", "<ol><li><p>a</p></li></ol><ul><li><p>b</p></li></ul>"),
        ("> a\n> - b\n\nc", "<blockquote><p>a</p><ul><li><p>b</p></li></ul></blockquote><p>c</p>"),
        ("a\n***\nb", "<p>a</p><hr><p>b</p>"),
        ("<https://a.org/x>", f"<p>{LINK.format('https://a.org/x', 'https://a.org/x')}</p>"),
        (
            "(https://b.org/y_z).",
            f"<p>({LINK.format('https://b.org/y_z', 'https://b.org/y_z')}).</p>",
        ),
        ("[*a*](mailto:b@c.org)", f"<p>{LINK.format('mailto:b@c.org', '<em>a</em>')}</p>"),
        ("[a](ftp://b.org)", "<p>[a](ftp://b.org)</p>"),
        (
            "a | b\n:-: | --:\n1 \\| 2 | 3",
            TABLE,
        ),
        ("&lt;", "<p>&amp;lt;</p>"),
        ("```\n<i>\n```", LISTING.format("text", "&lt;i&gt;")),
        (
            "```py\nx = '<b>'  # <i>\n```",
            LISTING.format(
                "py",
                "x = <span class=\"hl-string\">'&lt;b&gt;'</span>  "
                '<span class="hl-comment"># &lt;i&gt;</span>',
            ),
        ),
        ("~~~constructor\nx = 1", LISTING.format("constructor", "x = 1")),
        ("", ""),
    ],
)
def test_markdown(blank, source, html) -> None:
    whole = rendered(blank, [source])
    assert whole == html
    assert rendered(blank, list(source)) == whole


def test_a_document_in_pieces_is_the_whole_document(blank) -> None:
    source = README.read_text("utf-8") + ATTACKS
    whole = rendered(blank, [source])
    assert "<table>" in whole
    for size in (1, 7, 64):
        pieces = [source[at : at + size] for at in range(0, len(source), size)]
        assert rendered(blank, pieces) == whole


def test_only_the_last_block_is_made_anew(blank) -> None:
    kept = blank.evaluate(
        """async () => {
            const { Markdown } = await import("/page/markdown.js");
            const place = document.createElement("div");
            const markdown = new Markdown(place);
            markdown.append("one\\n\\ntwo\\n\\nthr");
            const before = [...place.children];
            markdown.append("ee\\n\\nfo");
            return before.map((node) => node === place.children[before.indexOf(node)]);
        }"""
    )
    assert kept == [True, True, False]


@pytest.mark.parametrize(
    "text",
    [
        "*" * 20_000,
        "`" * 20_000,
        "[" * 20_000,
        "**a " * 5000,
        "*_" * 10_000,
        "> " * 10_000,
        "- " * 9_000,
        "|" * 20_000 + "\n" + "|-" * 10_000,
        "# " + " " * 50_000 + "a",
        "https://" * 2500,
        "![](" * 5000,
        "a_" * 10_000,
        "```python\n" + "f'{" * 6000,
        "```js\n" + "`${" * 6000,
        "```html\n" + "<a " * 6000,
        "```css\n" + "a:(" * 6000,
        "```md\n" + "[*_" * 6000,
        "```cpp\n" + "a<(" * 6000,
        "```bash\n" + '"$(' * 6000,
    ],
    ids=lambda text: text[:6],
)
def test_no_text_is_slow_to_render(blank, text) -> None:
    took = blank.evaluate(
        """async (text) => {
            const { renderMarkdown } = await import("/page/markdown.js");
            const start = performance.now();
            renderMarkdown(document.createElement("div"), text);
            return performance.now() - start;
        }""",
        text,
    )
    assert took < 1500
