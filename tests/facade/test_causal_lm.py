"""The facade over a fake engine, whose answers are known: tensors in, tensors out."""

from __future__ import annotations

import threading

import pytest

from aipc.errors import ArtifactError, EngineError, UsageError

NEEDS = "transformers' models need torch: pip install 'aipc[transformers]'"
torch = pytest.importorskip("torch", reason=NEEDS)

import transformers  # noqa: E402 - after the skip

from aipc.facade.causal_lm import CausalLM  # noqa: E402

END = 257
PROMPT = torch.tensor([[10, 11, 12]])


@pytest.fixture
def model(fake_session):
    def make(generation_config=None, **engine):
        return CausalLM.wrap(fake_session(generation_config, **engine))

    return make


def requests(model):
    return model.session._engine.requests


class Recorder:
    """A streamer that keeps what it is told."""

    def __init__(self):
        self.told = []

    def put(self, value):
        self.told.append(value.tolist())

    def end(self):
        self.told.append("end")


def test_the_answer_follows_the_prompt_with_the_id_that_ended_it(model):
    answer = model(script=[20, 21]).generate(PROMPT)
    assert answer.tolist() == [[10, 11, 12, 20, 21, END]]
    assert answer.dtype == torch.int64


def test_it_looks_like_a_model_of_transformers(model):
    phi = model()
    assert type(phi).__name__ == "Phi3ForCausalLM"
    assert isinstance(phi, CausalLM)
    assert phi.config.model_type == "phi3"
    assert phi.generation_config.eos_token_id == END
    assert phi.device == torch.device("cpu")
    assert phi.can_generate()
    assert phi.eval() is phi
    assert phi.to("cpu") is phi.to(torch.device("cpu")) is phi.to(device="cpu") is phi


def test_it_can_not_be_moved_or_made_another_type(model):
    for asked in ("GPU.0", torch.float16):
        with pytest.raises(UsageError, match="say device=… to from_pretrained"):
            model().to(asked)


def test_closing_it_closes_the_engine(model):
    phi = model()
    phi.close()
    with pytest.raises(EngineError, match="closed"):
        phi.generate(PROMPT)


def test_a_config_of_the_programs_own_is_kept_if_it_is_the_networks(fake_session):
    config = transformers.Phi3Config(use_cache=False)
    assert CausalLM.wrap(fake_session(), config).config is config
    with pytest.raises(ArtifactError, match=r"is a llama's, and .* holds a phi3"):
        CausalLM.wrap(fake_session(), transformers.LlamaConfig())


@pytest.mark.parametrize("concurrent", [True, False])
def test_a_padded_batch_is_answered_row_by_row_without_its_padding(model, concurrent):
    phi = model(concurrent=concurrent)
    ids = torch.tensor([[0, 0, 5], [7, 8, 9]])
    mask = torch.tensor([[0, 0, 1], [1, 1, 1]])
    both = phi.generate(input_ids=ids, attention_mask=mask, max_new_tokens=4)
    assert both.shape == (2, 7)
    assert both[:, :3].tolist() == ids.tolist()
    assert sorted(request.prompt for request in requests(phi)) == [(5,), (7, 8, 9)]
    alone = phi.generate(torch.tensor([[5]]), max_new_tokens=4)
    assert both[0, 3:].tolist() == alone[0, 1:].tolist()


def test_the_shorter_answer_of_a_batch_is_filled_up(model):
    phi = model({"eos_token_id": 257, "pad_token_id": 99}, script=[20, 21, 22])
    short = transformers.StoppingCriteriaList([lambda ids, scores: ids[0, 0] == 5])
    ids = torch.tensor([[5], [6]])
    answer = phi.generate(ids, stopping_criteria=short)
    assert answer.tolist() == [[5, 20, 99, 99, 99], [6, 20, 21, 22, END]]


def test_a_streamer_is_given_the_prompt_then_each_token_then_the_end(model):
    recorder = Recorder()
    model(script=[72, 105]).generate(PROMPT, streamer=recorder)
    assert recorder.told == [PROMPT.tolist(), [72], [105], [END], "end"]


def test_a_streamer_is_told_of_the_end_when_the_engine_fails(model):
    recorder = Recorder()
    with pytest.raises(EngineError):
        model(script=[72, 105], fails_after=1).generate(PROMPT, streamer=recorder)
    assert recorder.told[-1] == "end"


def test_a_streamer_takes_one_prompt(model):
    with pytest.raises(UsageError, match="one prompt at a time, not 2"):
        model().generate(torch.tensor([[1], [2]]), streamer=Recorder())


def test_a_streamer_on_another_thread_comes_to_its_end(model, tmp_path):
    phi = model(script=list(b"Hello, world"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(phi.name_or_path)
    streamer = transformers.TextIteratorStreamer(
        tokenizer, skip_prompt=True, skip_special_tokens=True
    )
    thread = threading.Thread(target=phi.generate, args=[PROMPT], kwargs={"streamer": streamer})
    thread.start()
    said = "".join(streamer)
    thread.join()
    assert said == tokenizer.decode(list(b"Hello, world"))


def test_criteria_for_stopping_are_asked_after_each_token(model):
    seen = []

    def three_tokens(ids, scores):
        seen.append((ids.tolist(), scores))
        return ids.shape[1] >= 5

    answer = model(script=[20, 21, 22, 23]).generate(PROMPT, stopping_criteria=[three_tokens])
    assert answer.tolist() == [[10, 11, 12, 20, 21]]
    assert seen == [([[10, 11, 12, 20]], None), ([[10, 11, 12, 20, 21]], None)]


def test_ids_of_the_programs_own_end_the_answer(model):
    answer = model(script=[20, 21, 22]).generate(PROMPT, eos_token_id=21)
    assert answer.tolist() == [[10, 11, 12, 20, 21]]


def test_a_stop_string_ends_the_answer_and_is_part_of_it(model):
    phi = model()
    tokenizer = transformers.AutoTokenizer.from_pretrained(phi.name_or_path)
    said = tokenizer("To Paris, and on", add_special_tokens=False)["input_ids"]
    phi.session._engine.script = said
    answer = phi.generate(PROMPT, stop_strings="Paris", tokenizer=tokenizer)
    assert tokenizer.decode(answer[0, 3:]) == "To Paris"


def test_a_generation_config_and_what_the_program_changed_in_the_models_count(model):
    phi = model()
    phi.generation_config.max_new_tokens = 2
    assert phi.generate(PROMPT).shape == (1, 5)
    given = transformers.GenerationConfig(max_new_tokens=3)
    assert phi.generate(PROMPT, given).shape == (1, 6)
    assert phi.generate(PROMPT, generation_config=given, max_new_tokens=4).shape == (1, 7)
    phi.generation_config.num_beams = 4
    with pytest.raises(UsageError, match="num_beams=4"):
        phi.generate(PROMPT)


def test_what_the_models_own_file_brings_along_is_not_asked_for(model):
    phi = model({"eos_token_id": END, "num_beams": 4, "min_p": 0.1}, script=[20])
    assert phi.generate(PROMPT).tolist() == [[10, 11, 12, 20, END]]


def test_the_seed_is_torchs(model):
    phi = model()
    options = {"do_sample": True, "max_new_tokens": 5}

    def sample(seed):
        transformers.set_seed(seed)
        return phi.generate(torch.tensor([[1], [1]]), **options).tolist()

    first = sample(1)
    assert first[0] != first[1]
    assert sample(1) == first
    assert sample(2) != first
    assert {request.decoding.top_k for request in requests(phi)} == {50}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs a prompt"),
        ({"input_ids": torch.tensor([1])}, "needs a prompt"),
        ({"input_ids": torch.empty(1, 0, dtype=torch.int64)}, "needs a prompt"),
        ({"inputs": PROMPT, "attention_mask": torch.ones(1, 2)}, r"is \[1, 2\] and .* \[1, 3\]"),
        ({"inputs": PROMPT, "token_type_ids": torch.ones(1, 3)}, "token_type_ids"),
        ({"inputs": PROMPT, "num_beams": 2}, "num_beams=2"),
        ({"inputs": PROMPT, "num_bems": None}, "did you mean 'num_beams'"),
        ({"inputs": PROMPT, "max_new_tokens": -1}, "below its minimum"),
    ],
)
def test_what_can_not_be_honored_is_refused_before_the_engine_starts(model, arguments, message):
    phi = model()
    with pytest.raises(UsageError, match=message):
        phi.generate(**arguments)
    assert requests(phi) == []


def test_token_types_that_are_all_the_same_say_nothing(model):
    phi = model(script=[20])
    zeros = torch.zeros_like(PROMPT)
    assert phi.generate(PROMPT, token_type_ids=zeros).shape == (1, 5)


def test_the_pipeline_takes_it_and_complains_of_nothing(model, caplog):
    phi = model(script=list(b"Paris"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(phi.name_or_path)
    pipe = transformers.pipeline("text-generation", model=phi, tokenizer=tokenizer)
    said = pipe("Q", do_sample=False, return_full_text=False)
    assert said == [{"generated_text": tokenizer.decode(list(b"Paris"))}]
    assert "TextGenerationPipeline" in repr(pipe)
    assert not caplog.records
