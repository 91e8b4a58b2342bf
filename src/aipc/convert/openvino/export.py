"""optimum-intel's exporter, for networks that have no OpenVINO graph here."""

from __future__ import annotations

import sys
from pathlib import Path

from aipc.artifact.files import OPENVINO_DETOKENIZER, OPENVINO_MODEL, OPENVINO_TOKENIZER
from aipc.convert.export import Export
from aipc.convert.openvino.ir import check_whole
from aipc.convert.openvino.tokenizer import write_tokenizer


class OptimumExport(Export):
    exporter = "optimum-intel"
    modules = ("optimum", "optimum.intel")
    packages = ("optimum-intel", "nncf", "torch", "transformers", "openvino")

    def command(self, folder: Path) -> list[str]:
        task = ["--task", "text-generation-with-past"]
        exporter = [sys.executable, "-m", "optimum.commands.optimum_cli", "export", "openvino"]
        recipe = self.recipe
        flags = ["--weight-format", recipe.weight_format]
        if recipe.weight_format == "int4":
            flags += ["--group-size", str(recipe.group_size), "--ratio", str(recipe.ratio)]
            flags += ["--all-layers"] if recipe.all_layers else []
        if recipe.weight_format != "fp16":
            flags += ["--sym"] if recipe.sym else []  # int8 too is asymmetric without it
        return [*exporter, "--model", str(self.source), *task, *flags, str(folder)]

    def finish(self, folder: Path) -> None:
        both = (folder / OPENVINO_TOKENIZER, folder / OPENVINO_DETOKENIZER)
        if not all(path.exists() for path in both):
            write_tokenizer(folder)  # where it fails at that, the exporter only warns
        check_whole(folder / OPENVINO_MODEL)
