from __future__ import annotations

from pathlib import Path

from page_steps import answered, ask, expect, reload, said

SENT = "File a.py:\n\n````\n```\nx\n````\n\nWhat is this?"


def test_arrow_up_edits_the_last_question_and_drops_what_followed(page, served) -> None:
    served.script = ["Yes."]
    page.press("#question", "ArrowUp")
    assert page.input_value("#question") == ""
    for count, text in enumerate(("The first?", "The second?"), 1):
        ask(page, text)
        answered(page, count)
    page.press("#question", "ArrowUp")
    assert page.input_value("#question") == "The second?"
    page.keyboard.press("Escape")
    assert page.input_value("#question") == ""
    page.fill("#question", "Some")
    page.press("#question", "ArrowUp")
    assert page.input_value("#question") == "Some"
    page.fill("#question", "")
    page.press("#question", "ArrowUp")
    page.keyboard.press("End")
    page.keyboard.type(" Now!")
    page.keyboard.press("Enter")
    page.wait_for_selector("#log :text('The second? Now!')")
    answered(page, 2)
    assert said(served) == ["The first?", "Yes.", "The second? Now!"]


def test_a_text_file_is_attached_sent_kept_and_edited(page, served, tmp_path) -> None:
    served.script = ["Code."]
    file = tmp_path / "a.py"
    file.write_text("```\nx\n")
    attach(page, file)
    assert page.locator("#attached li span").all_inner_texts() == ["a.py"]
    assert page.locator("#status").inner_text() == "Attached: a.py."
    ask(page, "What is this?")
    answered(page)
    assert said(served) == [SENT]
    assert page.locator("#attached li").count() == 0
    reload(page)
    shown = page.locator("#log .question .file")
    assert not shown.locator("div").is_visible()
    shown.locator("summary").click()
    assert shown.locator("div").inner_text() == "```\nx\n"
    page.press("#question", "ArrowUp")
    assert page.locator("#attached li").count() == 1
    page.click("[aria-label='Leave out “a.py”']")
    ask(page, "And without?")
    page.wait_for_selector("#log :text('And without?')")
    answered(page)
    assert said(served) == ["And without?"]


def test_a_file_alone_is_a_question(page, served, tmp_path) -> None:
    served.script = ["Text."]
    file = tmp_path / "notes.txt"
    file.write_text("Buy milk.")
    attach(page, file)
    page.press("#question", "Enter")
    answered(page)
    assert said(served) == ["File notes.txt:\n\n```\nBuy milk.\n```"]
    assert page.locator("#past .open").inner_text() == "notes.txt"
    page.click("text=Export")
    with page.expect_download() as exported:
        page.click("#export-markdown")
    assert "File notes.txt:\n\n```\nBuy milk." in Path(exported.value.path()).read_text("utf-8")


def test_what_is_no_text_or_too_large_is_refused_with_the_reason(page, served, tmp_path) -> None:
    files = {"image.png": b"\x89PNG\0", "long.txt": b"a" * (256 * 1024 + 1), "nul.bin": b"a\0b"}
    for name, content in {**files, "good.txt": b"a" * 256 * 1024}.items():
        (tmp_path / name).write_bytes(content)
    attach(page, *(tmp_path / name for name in (*files, "good.txt")))
    expect(page.locator("#attached li span")).to_have_text(["good.txt"])
    told = page.locator("#status").inner_text()
    assert "“image.png” is no text in UTF-8." in told
    assert "“nul.bin” is no text in UTF-8." in told
    assert "“long.txt” is larger than 256 KiB." in told
    attach(page, *[tmp_path / "good.txt"] * 8)
    expect(page.locator("#attached li")).to_have_count(8)
    assert "8 files at most" in page.locator("#status").inner_text()


def test_files_are_dropped_onto_the_page(page, served) -> None:
    served.script = ["Text."]
    drop = """(over) => {
        const data = new DataTransfer();
        data.items.add(new File(["Dropped."], "<b>d.txt"));
        const options = { dataTransfer: data, bubbles: true, cancelable: true };
        const event = new DragEvent(over ? "dragover" : "drop", options);
        document.querySelector("#log").dispatchEvent(event);
        return [event.defaultPrevented, document.querySelector("#ask").className];
    }"""
    assert page.evaluate(drop, True) == [True, "column over"]
    assert page.evaluate(drop, False) == [True, "column"]
    expect(page.locator("#attached li span")).to_have_text("<b>d.txt")
    ask(page, "What?")
    answered(page)
    assert said(served) == ["File <b>d.txt:\n\n```\nDropped.\n```\n\nWhat?"]


def attach(page, *files) -> None:
    with page.expect_file_chooser() as chooser:
        page.click("#attach")
    chooser.value.set_files([*files])
    expect(page.locator("#attached li")).not_to_have_count(0)
