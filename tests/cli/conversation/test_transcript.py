from __future__ import annotations

import json
from pathlib import Path

import pytest

from aipc.cli.conversation.transcript import Conversation
from aipc.errors import AipcError, UsageError

FACTS = {"model": "phi-3-mini", "device": "CPU"}


@pytest.fixture
def talk() -> Conversation:
    conversation = Conversation("Be brief.")
    conversation.ask("Grüße?")
    conversation.answer("Hello.\n")
    conversation.ask("Count.")
    conversation.answer("1 2", stopped=True)
    return conversation


def test_the_model_is_told_roles_and_texts_alone(talk: Conversation) -> None:
    assert talk.messages() == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Grüße?"},
        {"role": "assistant", "content": "Hello.\n"},
        {"role": "user", "content": "Count."},
        {"role": "assistant", "content": "1 2"},
    ]


def test_reset_keeps_the_system_message(talk: Conversation) -> None:
    talk.reset()
    assert talk.messages() == [{"role": "system", "content": "Be brief."}]


def test_a_question_can_be_taken_back(talk: Conversation) -> None:
    before = talk.messages()
    talk.ask("And?")
    talk.withdraw()
    assert talk.messages() == before


def test_saved_as_json(talk: Conversation, tmp_path: Path) -> None:
    talk.save(tmp_path / "talk.json", FACTS)
    told = json.loads((tmp_path / "talk.json").read_text(encoding="utf-8"))
    assert told["model"] == "phi-3-mini"
    assert told["system"] == "Be brief."
    assert told["messages"][0] == {"role": "user", "content": "Grüße?"}
    assert told["messages"][3] == {"role": "assistant", "content": "1 2", "stopped": True}


def test_saved_as_markdown(talk: Conversation, tmp_path: Path) -> None:
    talk.save(tmp_path / "talk.MD", FACTS)
    assert (tmp_path / "talk.MD").read_text(encoding="utf-8") == (
        "# Conversation with phi-3-mini\n\n*System message:* Be brief.\n\n"
        "## You\n\nGrüße?\n\n## phi-3-mini\n\nHello.\n\n"
        "## You\n\nCount.\n\n## phi-3-mini (stopped)\n\n1 2\n"
    )


def test_a_file_is_never_overwritten(talk: Conversation, tmp_path: Path) -> None:
    path = tmp_path / "talk.md"
    path.write_text("precious", encoding="utf-8")
    with pytest.raises(UsageError, match="exists; choose another name"):
        talk.save(path, FACTS)
    assert path.read_text(encoding="utf-8") == "precious"


def test_a_place_that_is_not_there(talk: Conversation, tmp_path: Path) -> None:
    with pytest.raises(AipcError, match="No such file or directory"):
        talk.save(tmp_path / "no" / "talk.md", FACTS)


def test_another_ending(talk: Conversation, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"end it in \.json or \.md"):
        talk.save(tmp_path / "talk.txt", FACTS)


def test_what_was_saved_can_be_taken_up_again(talk: Conversation, tmp_path: Path) -> None:
    talk.save(tmp_path / "talk.json", FACTS)
    again = Conversation()
    again.load(tmp_path / "talk.json")
    assert again == talk


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("no JSON", "is no JSON"),
        ("[]", "holds no conversation"),
        ('{"system": null}', "holds no conversation"),
        ('{"system": 1, "messages": []}', "holds no conversation"),
        ('{"system": null, "messages": [{"role": "user"}]}', "holds no conversation"),
        (
            '{"system": null, "messages": [{"role": "user", "content": "x"}]}',
            "holds no conversation",
        ),
        (
            '{"system": null, "messages": [{"role": "assistant", "content": "x"}, {}]}',
            "holds no conversation",
        ),
    ],
)
def test_another_file_is_refused_and_changes_nothing(
    talk: Conversation, tmp_path: Path, text: str, what: str
) -> None:
    before = talk.messages()
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UsageError, match=what):
        talk.load(tmp_path / "x.json")
    with pytest.raises(UsageError, match="can't read"):
        talk.load(tmp_path / "missing.json")
    assert talk.messages() == before


def test_the_last_question_and_its_answer_can_be_taken_back(talk: Conversation) -> None:
    assert talk.undo() == "Count."
    assert [turn.content for turn in talk.turns] == ["Grüße?", "Hello.\n"]
    assert talk.undo() == "Grüße?"
    with pytest.raises(UsageError, match="nothing was asked yet"):
        talk.undo()
