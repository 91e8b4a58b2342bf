"""Every artifact that the quality table compares, ours and the peers', made where it is missing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import peers

HERE = Path(__file__).parent
AIPC = {  # name: flags of `aipc convert`
    "aipc fp16": "--weight-format fp16",
    "aipc int8": "--weight-format int8",
    "aipc int8 asym": "--weight-format int8 --asym",
    "aipc int8 rtn": "--weight-format int8 --quantizer rtn",
    **{
        f"aipc {quantizer} {'row' if group == -1 else f'g{group}'}":
        f"--group-size {group} --quantizer {quantizer}"
        for quantizer in ("rtn", "search", "awq", "gptq")
        for group in (32, 64, 128, -1)
    },
    **{
        f"aipc {quantizer} g{group} asym": f"--group-size {group} --quantizer {quantizer} --asym"
        for quantizer in ("rtn", "search")
        for group in (32, 64, 128)
    },
    "aipc gptq g32 all-layers": "--group-size 32 --quantizer gptq --all-layers",
    "aipc gptq g32 asym": "--group-size 32 --quantizer gptq --asym",
    # Q4_K_M's bytes, and its bits a weight of the blocks
    "aipc gptq g32 ratio 0.87": "--group-size 32 --quantizer gptq --ratio 0.87",
    "aipc gptq g32 ratio 0.71": "--group-size 32 --quantizer gptq --ratio 0.71",
    "aipc gptq g32 asym ratio 0.9": "--group-size 32 --quantizer gptq --asym --ratio 0.9",
    "aipc gptq g32 asym ratio 0.74": "--group-size 32 --quantizer gptq --asym --ratio 0.74",
    "aipc gptq g32 asym ratio 0.64, embedding": "--group-size 32 --quantizer gptq --asym "
    "--ratio 0.64 --embedding int4",
}  # fmt: skip
NNCF = {  # name: variant of quality_nncf.py
    "nncf int8": "int8_asym",
    "nncf data-free g32": "int4_sym-g32-data-free",
    "nncf data-free g64": "int4_sym-g64-data-free",
    "nncf data-free row": "int4_sym-row-data-free",
    "nncf awq, scale est. g32": "int4_sym-g32-awq-scale-estimation",
    "nncf awq, scale est. g64": "int4_sym-g64-awq-scale-estimation",
    "nncf awq, scale est. row": "int4_sym-row-awq-scale-estimation",
    "nncf gptq g64": "int4_sym-g64-gptq",
    "nncf gptq row": "int4_sym-row-gptq",
}
ONNX = {  # name: flags of onnxruntime_genai.models.builder
    "onnx int8": "-p int8",
    "onnx int4": "-p int4",
    **{
        f"onnx int4 {algorithm}": f"-p int4 --extra_options algo_config={algorithm}"
        for algorithm in ("rtn_last", "k_quant_last", "k_quant_mixed")
    },
    "onnx int4 g64": "-p int4 --extra_options block_size=64",
}
LLAMA_CPP = {  # name: llama.cpp's name of the file type
    "llama.cpp Q8_0": "Q8_0",
    "llama.cpp Q4_0": "Q4_0",
    "llama.cpp Q4_K_M": "Q4_K_M",
}
EVERY = (*AIPC, *NNCF, *ONNX, *LLAMA_CPP)


@dataclass(frozen=True)
class Artifact:
    name: str
    folder: Path
    python: Path
    """The interpreter that has the runtime for it."""

    @property
    def weights(self) -> Path:
        """The file that holds its weights."""
        files = ("openvino_model.bin", "model.onnx.data", "model.gguf")
        return next(self.folder / file for file in files if (self.folder / file).exists())


def make(work: Path, weights: str, names: Iterable[str]) -> list[Artifact]:
    """The artifacts of these names from the checkpoint WORK/WEIGHTS, those first that are quick."""
    found = []
    for table, maker in MAKERS:
        wanted = {name: flags for name, flags in table.items() if name in names}
        found += maker(work, weights, wanted) if wanted else []
    return found


def by_aipc(work: Path, weights: str, wanted: dict[str, str]) -> list[Artifact]:
    here = Path(sys.executable)
    found = [Artifact(name, work / f"ours-{weights}" / slug(name), here) for name in wanted]
    for artifact in found:
        if not (artifact.folder / "aipc.json").exists():
            convert = [here, "-m", "aipc", "convert", work / weights, "-o", artifact.folder]
            call(artifact.folder, *convert, *wanted[artifact.name].split())
    return found


def by_nncf(work: Path, weights: str, wanted: dict[str, str]) -> list[Artifact]:
    programs = peers.optimum(work / "peers")
    plain, out = work / f"peer-{weights}-fp16", work / f"peers-{weights}"
    if not plain.exists():
        export = [programs / "optimum-cli", "export", "openvino", "--model", work / weights]
        task = ["--task", "text-generation-with-past", "--weight-format", "fp16"]
        call(plain, *export, *task, plain)
    here = Path(sys.executable)
    found = [Artifact(name, out / variant, here) for name, variant in wanted.items()]
    for artifact in found:
        if not (artifact.folder / "openvino_model.xml").exists():
            script = [programs / "python", HERE / "quality_nncf.py"]
            call(artifact.folder, *script, plain, artifact.folder)
    return found


def by_onnx(work: Path, weights: str, wanted: dict[str, str]) -> list[Artifact]:
    python, out = peers.optimum(work / "peers") / "python", work / f"onnx-{weights}"
    found = [Artifact(name, out / slug(name), python) for name in wanted]
    for artifact in found:
        if not (artifact.folder / "tokenizer.json").exists():
            build = [python, "-m", "onnxruntime_genai.models.builder", "-e", "cpu"]
            place = ["-i", work / weights, "-o", artifact.folder, "-c", out / "cache"]
            call(artifact.folder, *build, *place, *wanted[artifact.name].split())
    return found


def by_llama_cpp(work: Path, weights: str, wanted: dict[str, str]) -> list[Artifact]:
    python, out = peers.llama_cpp(work / "peers") / "python", work / f"llama-{weights}"
    plain = out / "F16.gguf"
    if not plain.exists():
        script = peers.llama_cpp_converter(work / "peers")
        convert = [peers.optimum(work / "peers") / "python", script, work / weights]
        call(plain, *convert, "--outtype", "f16", "--outfile", plain)
    found = [Artifact(name, out / kind, python) for name, kind in wanted.items()]
    for artifact in found:
        if not (artifact.folder / "model.gguf").exists():
            call(artifact.folder, python, HERE / "quality_gguf.py", plain, artifact.folder)
    return found


MAKERS = ((AIPC, by_aipc), (LLAMA_CPP, by_llama_cpp), (ONNX, by_onnx), (NNCF, by_nncf))


def slug(name: str) -> str:
    """A folder's name: without the maker's, which is the parent's."""
    return name.partition(" ")[2].replace(" ", "-")


def call(target: Path, *command: object) -> None:
    """Run the command that makes ``target``, with what it prints in TARGET.log."""
    print(*command, file=sys.stderr, flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f"{target.name}.log").open("wb") as log:
        subprocess.run([str(part) for part in command], check=True, stdout=log, stderr=log)
