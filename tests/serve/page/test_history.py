from __future__ import annotations

import json
from pathlib import Path

from page_steps import answered, ask, expect, reload, said


def test_a_reload_keeps_the_conversation(page, served) -> None:
    served.script = ["**Kept.**"]
    ask(page, "What stays?")
    answered(page)
    reload(page)
    assert answered(page) == "Kept."
    assert page.locator("#log .question .body").inner_text() == "What stays?"
    ask(page, "And then?")
    answered(page, 2)
    assert said(served) == ["What stays?", "**Kept.**", "And then?"]


def test_conversations_are_opened_deleted_and_brought_back(page, served) -> None:
    served.script = ["Yes."]
    for text in ("The first?", "The second?"):
        page.click("#new")
        ask(page, text)
        answered(page)
    titles = page.locator("#past .open")
    assert titles.all_inner_texts() == ["The second?", "The first?"]
    titles.last.click()
    assert page.locator("#log .question .body").inner_text() == "The first?"
    page.click("[aria-label='Delete “The first?”']")
    assert titles.all_inner_texts() == ["The second?"]
    assert page.locator("#log article").count() == 0
    page.click("text=Undo")
    assert titles.count() == 2
    assert page.locator("#log .question .body").inner_text() == "The first?"


def test_a_question_without_an_answer_can_be_asked_again(page, served) -> None:
    served.script = [20.0]
    ask(page)
    page.wait_for_selector("#draft article")
    reload(page)
    page.wait_for_selector("#failure :text('no answer yet')")
    served.script = ["There."]
    page.click("text=Ask again")
    assert answered(page) == "There."


def test_another_conversation_stops_the_answer_and_keeps_it(page, served) -> None:
    served.script = ["Begun. ", 20.0]
    ask(page, "Long?")
    page.wait_for_selector("#draft :text('Begun.')")
    page.click("#new")
    assert served.left.wait(2)
    assert page.locator("#log article").count() == 0
    page.click("#past .open")
    assert answered(page) == "Begun."


def test_a_full_browser_gives_up_the_oldest_conversations_and_says_so(page, served) -> None:
    page.evaluate(
        """() => {
            for (const id of ["old", "older"]) {
                const messages = [{ role: "user", content: id.padEnd(2e6) }];
                const updated = id === "old" ? 2 : 1;
                const text = JSON.stringify({ id, updated, messages });
                localStorage.setItem(`aipc.conversation.${id}`, text);
            }
        }"""
    )
    served.script = ["Yes."]
    ask(page, "New?")
    page.wait_for_selector("#status:has-text('1 of the oldest')")
    answered(page)
    assert page.locator("#past .open").all_inner_texts() == ["New?", "old"]


def test_what_is_no_conversation_is_passed_over(page, served) -> None:
    page.evaluate(
        """() => {
            localStorage.setItem("aipc.conversation.a", "{");
            localStorage.setItem("aipc.conversation.b", '{"id": "b", "messages": [{"role": "x"}]}');
            localStorage.setItem("aipc.conversation.c", "null");
        }"""
    )
    reload(page)
    page.wait_for_selector("#past-none:visible")


def test_export(page, served) -> None:
    served.script = ["It is `so`."]
    ask(page, "How/is it?")
    answered(page)
    page.click("text=Export")
    with page.expect_download() as markdown:
        page.click("#export-markdown")
    page.click("text=Export")
    with page.expect_download() as data:
        page.click("#export-json")
    assert markdown.value.suggested_filename == "How-is-it-.md"
    text = Path(markdown.value.path()).read_text("utf-8")
    assert text == "# How/is it?\n\n## Question\n\nHow/is it?\n\n## Answer of tiny\n\nIt is `so`.\n"
    messages = json.loads(Path(data.value.path()).read_text("utf-8"))["messages"]
    assert [message["content"] for message in messages] == ["How/is it?", "It is `so`."]


def test_conversations_are_found_by_their_titles_and_texts(page, served) -> None:
    served.script = ["It is Galdhøpiggen."]
    ask(page, "What is highest?")
    answered(page)
    served.script = ["Blue."]
    page.click("#new")
    ask(page, "Which color?")
    answered(page)
    titles = page.locator("#past .open")
    page.fill("#search", "galdHØ")
    assert titles.all_inner_texts() == ["What is highest?"]
    page.fill("#search", "color")
    assert titles.all_inner_texts() == ["Which color?"]
    page.fill("#search", "nowhere")
    assert page.locator("#past-none").inner_text() == "Nothing found."
    page.fill("#search", "")
    assert titles.count() == 2


def test_a_conversation_is_renamed_with_the_keyboard_too(page, served) -> None:
    served.script = ["Yes."]
    for text in ("The first?", "The second?"):
        page.click("#new")
        ask(page, text)
        answered(page)
    titles = page.locator("#past .open")
    page.click("[aria-label='Rename “The first?”']")
    page.keyboard.type("Oslo")
    page.keyboard.press("Enter")
    assert titles.all_inner_texts() == ["The second?", "Oslo"]
    assert page.evaluate("document.activeElement.innerText") == "Oslo"
    titles.first.press("F2")
    page.keyboard.type("Bergen")
    page.keyboard.press("Escape")
    assert titles.all_inner_texts() == ["The second?", "Oslo"]
    titles.first.press("F2")
    page.keyboard.type("<b>Bergen")
    page.click("#question")
    assert page.title() == "<b>Bergen · aipc"
    reload(page)
    assert titles.all_inner_texts() == ["<b>Bergen", "Oslo"]
    titles.first.press("F2")
    page.keyboard.press("Delete")
    page.keyboard.press("Enter")
    assert titles.all_inner_texts() == ["The second?", "Oslo"]


def test_an_exported_conversation_is_imported(page, served, tmp_path) -> None:
    served.script = ["It is `so`."]
    page.click("text=Settings")
    page.fill("[name=system]", "Be brief.")
    page.keyboard.press("Escape")
    ask(page, "How is it?")
    answered(page)
    page.click("text=Export")
    with page.expect_download() as data:
        page.click("#export-json")
    exported = tmp_path / "exported.json"
    data.value.save_as(exported)
    page.click("[aria-label='Delete “How is it?”']")
    take(page, exported)
    assert answered(page) == "It is so."
    assert page.locator(".answer .figures").inner_text().startswith("41.3 tokens/s")
    assert page.input_value("[name=system]") == "Be brief."
    take(page, exported)
    expect(page.locator("#past .open")).to_have_text(["How is it?", "How is it?"])


def take(page, file: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.click("#import")
    chooser.value.set_files(file)


def test_a_file_that_is_no_conversation_is_refused_and_a_false_part_left_out(
    page, served, tmp_path
) -> None:
    file = tmp_path / "other.json"
    for text in ("{", "[]", "null", '{"messages": []}', '{"messages": [{"role": "system"}]}'):
        file.write_text(text)
        take(page, file)
        page.wait_for_selector("#status:has-text('“other.json” is no conversation')")
        page.click("#new")
        assert page.locator("#past .open").count() == 0
    question = {"role": "user", "content": "<b>Why?</b>"}
    answer = {"role": "assistant", "content": "So.", "figures": {"rate": "x"}, "model": {}}
    messages = [question, answer]
    file.write_text(json.dumps({"title": 5, "settings": "x", "id": "..", "messages": messages}))
    take(page, file)
    assert answered(page) == "So."
    assert page.locator("#past .open").all_inner_texts() == ["<b>Why?</b>"]
