from __future__ import annotations

import re

import pytest
from page_steps import answered, ask, expect, reload, said

from aipc.generate import Thinking
from aipc.pool.failures import ServerBusy, WorkerDied
from aipc.pool.worker.messages import Waiting

WORDS = [f"word{number} " for number in range(40)]


def test_an_answer_is_seen_as_it_comes_and_read_out_when_it_is_whole(page, served) -> None:
    served.script = [WORDS[0], 0.4, *WORDS[1:]]
    ask(page, "Count, please.")
    expect(page.locator("#draft .body")).to_have_text("word0")
    assert page.locator("#log .answer").count() == 0
    assert answered(page) == "".join(WORDS).strip()
    assert page.locator("#draft").inner_html() == ""
    assert page.locator("#log .question .body").inner_text() == "Count, please."
    model, device, ask_ = served.asked[0]
    assert (model, device) == ("tiny", None)
    assert ask_.messages == [{"role": "user", "content": "Count, please."}]


def test_a_reader_who_scrolled_back_stays_there(page, served) -> None:
    paragraphs = [f"Paragraph {number}.\n\n" for number in range(60)]
    served.script = [*paragraphs, 1.0, "The end."]
    ask(page)
    page.wait_for_selector("#draft :text('Paragraph 59.')")
    assert scrolled(page) > 500
    page.evaluate("document.querySelector('#scroll').scrollTop = 300")
    answered(page)
    assert scrolled(page) == 300


def scrolled(page) -> int:
    return page.evaluate("document.querySelector('#scroll').scrollTop")


def test_what_was_thought_is_folded_before_the_answer(page, served) -> None:
    served.script = [Thinking("Hm, <b>\n", (1,)), Thinking("well.", (2,)), 0.4, "Here."]
    ask(page)
    page.wait_for_selector("#draft summary:has-text('Thinking')")
    assert answered(page) == "Here."
    thought = page.locator("#log .answer .thought")
    assert not thought.locator("div").is_visible()
    thought.locator("summary").click()
    assert thought.locator("div").inner_text() == "Hm, <b>\nwell."
    assert said(served) == ["Why?"]
    reload(page)
    assert page.locator("#log .answer .thought summary").inner_text().startswith("Thought")
    ask(page, "And?")
    answered(page, 2)
    assert "Hm" not in "".join(said(served))


def test_thinking_that_was_cut_is_kept_without_an_answer(page, served) -> None:
    served.script = [Thinking("Hm.", (1,))]
    ask(page)
    page.wait_for_selector("#log .answer .thought")
    assert page.locator("#failure").inner_text() == ""


@pytest.mark.parametrize(("choice", "think"), [("on", True), ("off", False), ("", None)])
def test_thinking_is_switched_in_the_settings(page, served, choice, think) -> None:
    served.script = ["Here."]
    page.locator("#settings-drop summary").click()
    page.locator("select[name=think]").select_option(choice)
    page.locator("#settings-drop summary").click()
    ask(page)
    answered(page)
    assert served.asked[-1][2].think is think


def test_its_figures_are_the_server_s_own(page, served) -> None:
    served.script = [0.2, *WORDS]
    ask(page)
    answered(page)
    figures = page.locator(".answer .figures").inner_text()
    assert "41.3 tokens/s" in figures
    assert "40 tokens" in figures
    first = re.search(r"first token ([\d.]+) s", figures)
    assert first is not None
    assert 0.2 <= float(first[1]) < 2
    assert page.locator(".answer h2").inner_text() == "tiny on CPU"


def test_the_place_in_the_queue_is_told(page, served) -> None:
    served.script = [Waiting(3), 0.5, "Here."]
    ask(page)
    page.wait_for_selector("#status:has-text('number 3 in the queue')")
    answered(page)
    assert page.locator("#status").inner_text() == ""


def test_a_model_being_loaded_says_what_it_is_at(page, served) -> None:
    served.doing = "compiling for the NPU"
    served.script = [Waiting(1), 2.0, "Here."]
    ask(page)
    page.wait_for_selector("#status:has-text('Waiting for the model.')")
    page.wait_for_selector("#figures:has-text('compiling for the NPU · no token yet after')")
    served.doing = ""
    assert answered(page) == "Here."


@pytest.mark.parametrize("how", ["key", "button"])
def test_stop_ends_the_answer_and_keeps_what_came(page, served, how) -> None:
    served.script = ["One. ", 30.0, "Two."]
    ask(page)
    page.wait_for_selector("#draft :text('One.')")
    if how == "key":
        page.keyboard.press("Escape")
    else:
        page.click("#stop")
    assert answered(page) == "One."
    assert "Stopped" in page.locator(".answer .figures").inner_text()
    assert served.left.wait(2)
    assert page.locator("#send").is_visible()


def test_regenerating_replaces_the_answer(page, served) -> None:
    served.script = ["First."]
    ask(page)
    answered(page)
    served.script = ["Second."]
    page.click("text=Regenerate")
    page.wait_for_selector("#log :text('Second.')")
    assert answered(page) == "Second."
    assert said(served, 0) == said(served, 1) == ["Why?"]


def test_a_failed_regeneration_loses_nothing(page, served) -> None:
    served.script = ["First."]
    ask(page)
    answered(page)
    served.script = [WorkerDied("the worker died", "the model is being started again")]
    page.click("text=Regenerate")
    page.wait_for_selector("#failure :text('started again')")
    assert answered(page) == "First."


def test_a_question_is_edited(page, served) -> None:
    served.script = ["Yes."]
    ask(page, "Is it?")
    answered(page)
    ask(page, "Really?")
    answered(page, 2)
    page.locator("text=Edit").first.click()
    assert page.input_value("#question") == "Is it?"
    page.keyboard.press("Escape")
    assert page.input_value("#question") == ""
    assert answered(page, 2) == "Yes."
    page.locator("text=Edit").first.click()
    ask(page, "Is it so?")
    page.wait_for_selector("#log :text('Is it so?')")
    answered(page)
    assert said(served) == ["Is it so?"]


def test_an_error_is_one_plain_line_and_can_be_tried_again(page, served) -> None:
    served.script = [ServerBusy("128 requests wait already", "ask again in 2 s")]
    ask(page)
    page.wait_for_selector("#failure :text('128 requests wait already; ask again in 2 s')")
    served.script = ["Now."]
    page.click("text=Try again")
    assert answered(page) == "Now."
    assert page.locator("#failure").inner_text() == ""


def test_an_answer_that_breaks_off_is_kept_and_said(page, served) -> None:
    served.script = ["Half ", WorkerDied("the worker died")]
    ask(page)
    page.wait_for_selector("#failure :text('the worker died')")
    assert answered(page) == "Half"
    assert "Broken off" in page.locator(".answer .figures").inner_text()


def test_an_unreachable_server_is_said(page, served, context) -> None:
    context.set_offline(True)
    ask(page)
    page.wait_for_selector("#failure :text('be reached')")


def test_the_key_is_asked_for_once_and_kept_in_the_tab(context, locked, key, served) -> None:
    served.script = ["Let in."]
    page = context.new_page()
    page.goto(locked.url)
    page.fill("#key", "wrong")
    page.click("#key-use")
    page.wait_for_selector("#key-told:has-text('refused')")
    page.fill("#key", key)
    page.press("#key", "Enter")
    page.wait_for_selector("#model option", state="attached")
    ask(page)
    assert answered(page) == "Let in."
    assert key in page.evaluate("JSON.stringify(sessionStorage)")
    assert key not in page.evaluate("JSON.stringify(localStorage)")


def test_without_the_key_the_reason_is_shown(context, locked) -> None:
    page = context.new_page()
    page.goto(locked.url)
    page.wait_for_selector("#key-dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#failure :text('the key is missing or wrong')")
