"""A child that opens hostile files one after another: ``python hostile_reader.py``.

It is asked for ``{"do": one of `DOING`, "path": …, "output": …}`` and answers with what came of it:
``{"outcome": "taken" or "refused" or "failed", "line": …}``.
"""

from __future__ import annotations

import logging
import resource
import traceback
from pathlib import Path

from aipc.child import answer_lines

ADDRESSES = 12 * 2**30
"""Of these most are libraries'; a test looks at the resident memory besides."""


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer_lines(start)


def start():
    logging.disable()

    def answer_one(question):
        from aipc.errors import AipcError

        try:
            DOING[question["do"]](Path(question["path"]), Path(question["output"]))
        except AipcError as error:
            return {"outcome": "refused", "line": str(error), "kind": type(error).__name__}
        except BaseException as error:  # noqa: BLE001 - what is no error of ours is a finding
            shown = traceback.extract_tb(error.__traceback__)
            at = next((f for f in reversed(shown) if "/aipc/" in f.filename), shown[-1])
            where = f"{Path(at.filename).name}:{at.lineno}"
            return {
                "outcome": "failed",
                "line": f"{type(error).__name__}: {error!s:.300} ({where})",
            }
        return {"outcome": "taken", "line": ""}

    return answer_one


def convert(path, output):
    """To an artifact, and a prompt through its template."""
    render(made_of(str(path), output))


def made_of(name, output):
    from aipc.convert.recipe import Recipe
    from aipc.session.convert import convert as make

    return make(name, Recipe("int8"), output=output, notify=str).path


def merge(path, output):
    """An adapter into the checkpoint beside it, and the same read for while a model runs."""
    from aipc.artifact.artifact import read_artifact
    from aipc.models.names import resolve_adapters, with_adapters
    from aipc.models.store import Store
    from aipc.progress import silent
    from aipc.session.adapters import read_factors

    base = str(path.parent / "base")
    plain = read_artifact(made_of(base, output.with_name("plain")))
    try:
        read_factors(resolve_adapters(str(path)), plain, Store(), silent)
    finally:
        made_of(with_adapters(base, [str(path)]), output)


def read_texts(path, output):
    """Vectors or scores of an encoder's checkpoint."""
    import aipc

    made_of(str(path), output)
    name = str(output)
    if (path / "1_LogitScore").exists():
        with aipc.reranker(name, device="cpu") as model:
            model.rank("a b", ["b", "c"])
    else:
        with aipc.embedder(name, device="cpu") as model:
            model.embed(["a b"])


def render(folder):
    from aipc.generate.template import ChatTemplate

    template = ChatTemplate.from_folder(folder, {})
    if template is not None:
        template.render([{"role": "user", "content": "Hi"}])


def answer(path, output):
    """Some tokens of an artifact."""
    import aipc

    with aipc.load(str(path), device="cpu") as session:
        session.generate("Hi", max_new_tokens=2)


DOING = {"convert": convert, "merge": merge, "read texts": read_texts, "answer": answer}

if __name__ == "__main__":
    main()
