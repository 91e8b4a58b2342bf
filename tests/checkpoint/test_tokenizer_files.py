import json
import shutil
from pathlib import Path

import pytest

from aipc.checkpoint.tokenizer_files import build_tokenizer, read_tokenizer_config, source_files
from aipc.errors import CheckpointError, UnsupportedModel

PIECES = Path(__file__).with_name("sentencepiece")
REFERENCE = json.loads((PIECES / "ids.json").read_text("utf-8"))
STRINGS = [*REFERENCE["strings"], "<|im_start|>user\nhi<|im_end|>  <|endoftext|>x"]


def plain_ids(tokenizer, strings):
    return [tokenizer.encode(string, add_special_tokens=False).ids for string in strings]


@pytest.fixture
def pieces(tmp_path):
    """A folder with tokenizer.model and, if any, a tokenizer_config.json."""

    def make(name, config=None):
        shutil.copy(PIECES / f"{name}.model", tmp_path / "tokenizer.model")
        if config is not None:
            (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
        return tmp_path

    return make


@pytest.mark.parametrize("name", ["llama", "gemma", "unigram", "spaces"])
def test_a_sentencepiece_model_gives_the_ids_that_sentencepiece_gives(pieces, name):
    tokenizer = build_tokenizer(pieces(name))
    assert plain_ids(tokenizer, REFERENCE["strings"]) == REFERENCE["ids"][name]


@pytest.mark.parametrize("name", ["llama", "gemma", "unigram"])
def test_its_text_comes_back(pieces, name):
    tokenizer = build_tokenizer(pieces(name))
    for string in REFERENCE["strings"]:
        ids = tokenizer.encode(string, add_special_tokens=False).ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == string.replace("▁", " ")


def test_its_special_tokens_frame_a_text(pieces):
    folder = pieces("gemma")
    config = read_tokenizer_config(folder)
    assert (config["bos_token"], config["eos_token"]) == ("<bos>", "<eos>")
    assert build_tokenizer(folder).encode("hi").tokens[0] == "<bos>"
    bare = build_tokenizer(pieces("gemma", {"add_bos_token": False}))
    assert bare.encode("hi").ids == bare.encode("hi", add_special_tokens=False).ids
    ended = build_tokenizer(pieces("gemma", {"add_eos_token": True}))
    assert ended.encode("hi").tokens[-1] == "<eos>"


def test_added_tokens_get_the_ids_that_are_stated(pieces):
    added = {"420": {"content": "<|end|>", "special": True, "rstrip": True}}
    tokenizer = build_tokenizer(pieces("llama", {"added_tokens_decoder": added}))
    assert tokenizer.encode("<|end|> \n").ids[-1] == 420
    (pieces("llama", {}) / "added_tokens.json").write_text('{"<|turn|>": 420}')
    assert build_tokenizer(pieces("llama")).token_to_id("<|turn|>") == 420


def test_added_tokens_that_would_get_other_ids_are_refused(pieces):
    added = {"7000": {"content": "<|end|>", "special": True}}
    with pytest.raises(
        CheckpointError, match=r"'<\|end\|>' is 420, not 7000; put .*tokenizer.json"
    ):
        build_tokenizer(pieces("llama", {"added_tokens_decoder": added}))
    (pieces("llama", {}) / "added_tokens.json").write_text('{"<|turn|>": 7000}')
    with pytest.raises(CheckpointError, match=r"added_tokens.json' can't be right"):
        build_tokenizer(pieces("llama"))


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x08"]
)
def test_what_is_no_sentencepiece_model(tmp_path, data):
    (tmp_path / "tokenizer.model").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"tokenizer.model' is damaged"):
        build_tokenizer(tmp_path)


def test_a_damaged_sentencepiece_model_gives_nothing_but_our_errors(pieces, damage, refusals):
    path = pieces("gemma") / "tokenizer.model"

    def build(path):
        build_tokenizer(path.parent).to_str()

    messages = refusals(damage(path, 0, path.stat().st_size, times=300), build)
    assert len(messages) > 20
    assert not any("\n" in line for line in messages)


def test_tiktokens_form_is_named(tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(b"IQ== 0\nIg== 1\n")
    with pytest.raises(UnsupportedModel, match=r"tiktoken's form; put .*tokenizer.json"):
        build_tokenizer(tmp_path)


@pytest.fixture
def merges(tmp_path):
    """A folder with vocab.json and merges.txt, trained on the strings."""

    def make(config):
        from tokenizers import ByteLevelBPETokenizer

        trained = ByteLevelBPETokenizer()
        trained.train_from_iterator(REFERENCE["strings"], 400, show_progress=False)
        trained.save_model(str(tmp_path))
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
        return tmp_path

    return make


def special(*tokens):
    flags = dict.fromkeys(("lstrip", "rstrip", "normalized", "single_word"), False)
    return {
        str(400 + at): {"content": token, "special": True, **flags}
        for at, token in enumerate(tokens)
    }


@pytest.mark.parametrize("kind", ["GPT2Tokenizer", "Qwen2Tokenizer", "Qwen2TokenizerFast"])
def test_merges_give_the_ids_that_transformers_gives(merges, kind):
    import transformers

    added = special("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    named = {"bos_token": None, "unk_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    folder = merges({"tokenizer_class": kind, "added_tokens_decoder": added, **named})
    reference = getattr(transformers, kind).from_pretrained(folder)
    wanted = [reference.encode(string, add_special_tokens=False) for string in STRINGS]
    assert plain_ids(build_tokenizer(folder), STRINGS) == wanted


def test_a_special_token_with_the_first_id_is_one_too(merges):
    folder = merges({"tokenizer_class": "GPT2Tokenizer"})
    first = min((ids := json.loads((folder / "vocab.json").read_text("utf-8"))), key=ids.get)
    named = {"tokenizer_class": "GPT2Tokenizer", "eos_token": first}
    (folder / "tokenizer_config.json").write_text(json.dumps(named))
    assert build_tokenizer(folder).decode([0]) == ""


@pytest.mark.parametrize("config", [{}, {"tokenizer_class": "BertTokenizer"}])
def test_a_class_that_splits_text_in_an_unknown_way(merges, config):
    with pytest.raises(UnsupportedModel, match=r"splits text; put the model's tokenizer.json"):
        build_tokenizer(merges(config))


def test_merges_of_another_vocabulary(merges):
    folder = merges({"tokenizer_class": "GPT2Tokenizer"})
    (folder / "merges.txt").write_text("#version: 0.2\nQQQ ZZZ\n")
    with pytest.raises(CheckpointError, match=r"lacks the parts of its merge 'QQQ ZZZ'; put"):
        build_tokenizer(folder)


def test_tokenizer_json_goes_before_all(pieces):
    folder = pieces("llama")
    assert source_files(folder) == (folder / "tokenizer.model",)
    (folder / "tokenizer.json").write_text("{}")
    assert source_files(folder) == (folder / "tokenizer.json",)


def test_special_tokens_of_a_file_of_their_own(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "special_tokens_map.json").write_text('{"eos_token": "</s>", "bos_token": "<s>"}')
    (tmp_path / "tokenizer_config.json").write_text('{"bos_token": "<b>"}')
    assert read_tokenizer_config(tmp_path) == {"bos_token": "<b>", "eos_token": "</s>"}


def test_no_tokenizer_at_all(tmp_path):
    with pytest.raises(UnsupportedModel, match=r"no tokenizer.json; put the model's .*save_pretr"):
        build_tokenizer(tmp_path)
