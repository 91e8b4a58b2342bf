"""onnxruntime-genai's model builder, for networks that have no ONNX graph here."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from aipc.artifact.files import CONFIG, GENAI_CONFIG, GENERATION_CONFIG, ONNX_MODEL
from aipc.artifact.providers import GRAPH_FORMS
from aipc.convert.export import Export
from aipc.convert.onnx.genai_config import cap_length
from aipc.convert.recipe import Recipe
from aipc.errors import ConversionError


class BuilderExport(Export):
    exporter = "onnxruntime-genai's model builder"
    modules = ("onnxruntime_genai.models.builder", "onnx_ir", "torch", "transformers")
    packages = ("onnxruntime-genai", "onnx-ir", "torch", "transformers")

    @classmethod
    def misfit(cls, recipe: Recipe) -> str:
        if recipe.weight_format == "int4" and recipe.ratio < 1:
            return "--ratio 1"
        if recipe.all_layers:  # its embedding is never quantized
            return "--no-all-layers"
        return super().misfit(recipe)

    def command(self, folder: Path) -> list[str]:
        builder = [sys.executable, "-m", self.modules[0], "-i", str(self.source)]
        provider = GRAPH_FORMS[self.target.name].config_name or "cpu"
        # the unfinished model is in its cache: beside the result, and removed with it
        paths = ["-o", str(folder), "-c", str(folder / "cache")]
        return [*builder, *paths, "-e", provider, *self._flags()]

    def finish(self, folder: Path) -> None:
        for name in (ONNX_MODEL, GENAI_CONFIG):
            if not (folder / name).is_file():
                raise ConversionError(f"{self.exporter} left out '{name}'", "try again")
        cap_length(folder / GENAI_CONFIG)
        for name in (CONFIG, GENERATION_CONFIG):  # sessions read context and stop ids there
            if (self.source / name).is_file() and not (folder / name).exists():
                shutil.copyfile(self.source / name, folder / name)

    def _flags(self) -> list[str]:
        recipe, is_float = self.recipe, self.target.activations == "fp32"
        if recipe.weight_format == "fp16":  # the builder has no float16 for the CPU
            return ["-p", "fp32" if is_float or self.target.name == "cpu" else "fp16"]
        own = ["use_webgpu_fp32=1"] if is_float else []
        options = ["--extra_options", *own, f"is_symmetric={str(recipe.sym).lower()}"]
        if recipe.weight_format == "int4":
            options.append(f"block_size={recipe.group_size}")
        return ["-p", recipe.weight_format, *options]
