"""What a person does on the page, and what is seen then."""

from __future__ import annotations

import pytest

expect = pytest.importorskip("playwright.sync_api").expect

ATTACKS = """<script>window.__x = 1</script> <img src=x onerror="window.__x = 1">

[click](javascript:window.__x=1) [click](data:text/html,x) <svg onload=window.__x=1>
[tab](java\tscript:window.__x=1) ![image](http://127.0.0.1:9/seen.png) [in](/v1/models)

```<img src=x onerror=window.__x=1>
</code></pre><script>window.__x = 1</script>
```

| <b onclick=window.__x=1>a</b> | b |
|---|---|
| <iframe src=javascript:window.__x=1> | c |
"""
"""A stranger's text that tries to be run or fetched."""


def reload(page) -> None:
    page.reload()
    expect(page.locator("#model option")).not_to_have_count(0)


def ask(page, text="Why?") -> None:
    page.fill("#question", text)
    page.press("#question", "Enter")


def answered(page, count=1) -> str:
    """The text of the last of so many whole answers."""
    expect(page.locator("#log .answer")).to_have_count(count)
    return page.locator("#log .answer .body").last.inner_text()


def said(served, at=-1) -> list[str]:
    """The messages that a model was asked with."""
    return [message["content"] for message in served.asked[at][2].messages]
