import json

import pytest
import thinking_templates as templates
import tiny

from aipc.errors import GenerationError, UsageError
from aipc.generate.request import GenerationRequest
from aipc.generate.text_pipeline import TextPipeline

ASKED = [{"role": "user", "content": "hi"}]


def pipeline(folder, vocabulary):
    config = {"vocab_size": vocabulary, "max_position_embeddings": 64}
    (folder / "config.json").write_text(json.dumps(config))
    tiny.write_tokenizer(folder)
    return TextPipeline.read(folder)


def test_a_token_beyond_the_embedding_is_refused_by_its_text(tmp_path):
    short = pipeline(tmp_path, 258)  # "<|user|>" is 258
    for ask in (
        lambda: short.encode(ASKED),
        lambda: short.prepare(GenerationRequest(messages=ASKED)),
    ):
        with pytest.raises(GenerationError, match=r"'<\|assistant\|>' \(259\), .* 0 to 257; its"):
            ask()


def test_a_token_that_is_never_used_may_be_beyond_it(tmp_path):
    assert pipeline(tmp_path, 260).encode(ASKED)
    assert pipeline(tmp_path, 256).prepare(GenerationRequest(prompt="hi", raw=True))[0]


TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


@pytest.fixture
def thinker(tmp_path):
    """A pipeline whose template is Qwen 3's; call it with a request's fields for a prompt."""
    whole = pipeline(tmp_path, 260)
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": templates.QWEN_3}))
    whole = TextPipeline.read(tmp_path)

    def prepare(**fields):
        prepared = whole.prepare(GenerationRequest(messages=ASKED, **fields))
        return prepared, whole.tokenizer.decode(prepared.tokens)

    return prepare


def test_an_answer_of_a_model_that_thinks_is_read_for_it(thinker):
    prepared, text = thinker(thinking_budget=5)
    assert text.endswith("assistant\n")
    assert (prepared.thinking.budget, prepared.thinking.is_open) == (5, False)


def test_a_forced_call_comes_behind_thinking_or_at_once(thinker):
    prepared, text = thinker(tools=[TOOL], tool_choice="required")
    assert text.endswith("</think>\n\n<tool_call>")
    assert not prepared.thinking.is_open
    prepared, text = thinker(tools=[TOOL], tool_choice="required", think=True)
    assert text.endswith("<think>\n")
    assert (prepared.thinking.is_open, prepared.constraint.kind) == (True, "json_schema")
    assert len(prepared.thinking.opening) == len("<tool_call>")


def test_text_that_is_continued_as_it_is_is_not_read_for_thinking(tmp_path):
    whole = pipeline(tmp_path, 260)
    request = GenerationRequest(prompt="hi", raw=True)
    assert whole.prepare(request).thinking is None
    with pytest.raises(UsageError, match="no switch"):
        whole.prepare(GenerationRequest(prompt="hi", raw=True, think=True))


def test_token_ids_are_the_prompt_as_they_are(tmp_path):
    pipe = pipeline(tmp_path, 260)
    prepared = pipe.prepare(GenerationRequest(prompt_ids=[5, 6, 259], raw=True))
    assert prepared.tokens == [5, 6, 259]
    with pytest.raises(GenerationError, match="0 to 259; make the ids with this model's"):
        pipe.prepare(GenerationRequest(prompt_ids=[5, 260], raw=True))


def test_an_answer_goes_on_past_its_end_where_that_is_asked(tmp_path):
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": 257}')
    pipe = pipeline(tmp_path, 260)
    assert pipe.ends(GenerationRequest(prompt="x")) == {257}
    assert pipe.ends(GenerationRequest(prompt="x", ignore_eos=True)) == frozenset()
    typed = GenerationRequest(prompt="x", raw=True, ignore_eos=True, schema={"type": "object"})
    with pytest.raises(UsageError, match=r"can't be held to a schema.*leave ignore_eos out"):
        pipe.prepare(typed)


def test_a_bias_of_a_token_that_is_not_there_is_refused(tmp_path):
    pipe = pipeline(tmp_path, 260)
    pipe.check_bias([(0, 1.0), (259, -100.0)])
    with pytest.raises(UsageError, match="the token 260; the model knows 0 to 259"):
        pipe.check_bias([(260, 1.0)])


def test_a_suffix_needs_a_model_that_fills_in(tmp_path):
    with pytest.raises(UsageError, match=r"can't fill in the middle.*Qwen2\.5-Coder"):
        pipeline(tmp_path, 260).prepare(GenerationRequest(prompt="a", suffix="b", raw=True))


def test_a_suffix_becomes_a_prompt_for_the_middle_and_more_ends(tmp_path):
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": 257}')
    pipeline(tmp_path, 264)
    file = tmp_path / "tokenizer.json"
    written = json.loads(file.read_text())
    for at, name in enumerate(("prefix", "suffix", "middle", "pad"), start=260):
        token = {"id": at, "content": f"<fim_{name}>", "special": True, "normalized": False}
        more = dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
        written["added_tokens"].append({**token, **more})
    file.write_text(json.dumps(written))
    filling = TextPipeline.read(tmp_path)
    request = GenerationRequest(prompt="ab", suffix="c", raw=True)
    tokens, *_ = filling.prepare(request)
    assert [token for token in tokens if token >= 260] == [260, 261, 262]
    assert filling.ends(request) == {257, 260, 261, 262, 263}
    assert filling.ends(GenerationRequest(prompt="ab")) == {257}
