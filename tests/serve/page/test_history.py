from __future__ import annotations

import json
from pathlib import Path

from page_steps import answered, ask, reload, said


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
