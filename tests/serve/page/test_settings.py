from __future__ import annotations

from page_steps import answered, ask, expect, reload, said

from aipc.errors import UsageError
from aipc.options import describe
from aipc.runtimes.sampling import Sampling
from aipc.wire.openai.chat_schemas import ChatRequest


def test_options_are_sent_only_where_they_are_set(page, served) -> None:
    served.script = ["Ja."]
    page.wait_for_selector("#device option[value=npu]", state="attached")
    page.select_option("#model", "large")
    page.select_option("#device", "npu")
    page.click("text=Settings")
    page.fill("[name=system]", "Answer in German.")
    page.fill("[name=temperature]", "0.5")
    page.fill("[name=max_tokens]", "20")
    page.keyboard.press("Escape")
    ask(page)
    answered(page)
    model, device, request = served.asked[0]
    assert (model, device) == ("large", "npu")
    assert request.messages[0] == {"role": "system", "content": "Answer in German."}
    assert request.sampling == {"temperature": 0.5, "max_new_tokens": 20}
    reload(page)
    page.wait_for_selector("#device option[value=npu]", state="attached")
    expect(page.locator("#model")).to_have_value("large")
    assert page.input_value("[name=system]") == "Answer in German."


def test_every_sampling_option_is_offered_with_the_server_s_own_bounds(page, served) -> None:
    page.click("text=Settings")
    fields = page.locator("#options [name]")
    names = [field.get_attribute("name") for field in fields.all()]
    wanted = {option.name for option in describe(Sampling)} - {"max_new_tokens", "logit_bias"}
    assert {*names} == {*wanted, "max_tokens", "stop", "reasoning_effort", "thinking_budget"}
    for option in describe(Sampling):
        if option.name in names and option.maximum is not None:
            field = page.locator(f"#options [name={option.name}]")
            # a browser's numbers are floats
            assert float(field.get_attribute("max")) <= float(option.maximum)
            assert field.get_attribute("title") == ChatRequest.model_fields[option.name].description
    page.fill("[name=top_p]", "1.5")
    page.keyboard.press("Escape")
    ask(page)
    assert page.locator("[name=top_p]").is_visible()
    assert served.asked == []


def test_every_option_is_sent_as_it_was_set(page, served) -> None:
    served.script = ["Ja."]
    page.click("text=Settings")
    given = {"top_p": 0.9, "top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1, "seed": 7}
    given |= {"presence_penalty": -0.5, "frequency_penalty": 0.25}
    for name, value in given.items():
        page.fill(f"[name={name}]", str(value))
    page.fill("[name=stop]", "END\n\n###")
    page.fill("[name=thinking_budget]", "100")
    page.select_option("[name=reasoning_effort]", "low")
    assert page.locator("#settings-drop summary").inner_text() == "Settings (10)"
    page.keyboard.press("Escape")
    ask(page)
    answered(page)
    request = served.asked[0][2]
    assert request.sampling == given
    assert [*request.stop] == ["END", "###"]
    assert (request.thinking_budget, request.reasoning_effort) == (100, "low")


def test_settings_are_a_conversation_s_own(page, served) -> None:
    served.script = ["Ja."]
    page.click("text=Settings")
    page.fill("[name=system]", "Answer in German.")
    page.fill("[name=top_k]", "5")
    page.keyboard.press("Escape")
    ask(page)
    answered(page)
    page.click("#new")
    assert page.input_value("[name=system]") == page.input_value("[name=top_k]") == ""
    ask(page, "And here?")
    answered(page)
    assert said(served) == ["And here?"]
    page.locator("#past .open").last.click()
    assert page.input_value("[name=top_k]") == "5"
    page.click("text=Settings")
    page.fill("[name=top_k]", "6")
    page.click("#settings-keep")
    reload(page)
    assert page.input_value("[name=top_k]") == "6"
    page.click("#new")
    assert page.input_value("[name=system]") == "Answer in German."
    page.click("text=Settings")
    page.click("#settings-clear")
    assert page.input_value("[name=system]") == page.input_value("[name=top_k]") == ""
    page.locator("#past .open").last.click()
    assert page.input_value("[name=top_k]") == "6"


def test_a_schema_the_server_refuses_is_shown(page, served) -> None:
    served.script = [UsageError("the schema nests deeper than 16 levels", "make it flatter")]
    page.click("text=Settings")
    page.fill("[name=schema]", '{"type": "object"}')
    ask(page)
    page.wait_for_selector("#failure :text('deeper than 16 levels')")
    assert served.asked[0][2].schema == {"type": "object"}


def test_a_schema_that_is_no_json_is_never_sent(page, served) -> None:
    page.click("text=Settings")
    page.fill("[name=schema]", '{"type": ')
    assert "not JSON" in page.locator("#schema-told").inner_text()
    assert page.get_attribute("[name=schema]", "aria-invalid") == "true"
    ask(page)
    assert served.asked == []
    assert page.input_value("#question") == "Why?"


def test_an_answer_to_a_schema_is_shown_as_json(page, served) -> None:
    served.script = ['{"answer":', " 42}"]
    page.click("text=Settings")
    page.fill("[name=schema]", '{"type": "object"}')
    ask(page)
    answered(page)
    assert page.locator("#log pre").inner_text() == '{"answer": 42}'
