"""The options of a conversion."""

from __future__ import annotations

from dataclasses import dataclass

from aipc.errors import UsageError
from aipc.options import check, option

REVISION = 2
"""Part of an artifact's name in the store: raised when the same recipe gives other bytes."""
GROUP_SIZES = (32, 64, 128)
WHOLE_ROW = -1
BUILTIN = "builtin"
NO_TEXT = "none"


@dataclass(frozen=True)
class Recipe:
    """How weights are stored; the names and meanings are optimum-cli's."""

    weight_format: str = option(
        "int4", "bits of the large matrices", choices=("fp16", "int8", "int4")
    )
    group_size: int = option(
        128,
        "int4 weights that share one scale; -1: a whole row; "
        "where it does not divide a width, the largest of 128, 64 and 32 that does",
        choices=(WHOLE_ROW, *GROUP_SIZES),
    )
    ratio: float = option(
        1.0,
        "share of the blocks' weights in int4, the rest in int8: the matrices that calibration "
        "shows to need it or, without calibration, the blocks nearest to either end",
        minimum=0.0,
        maximum=1.0,
    )
    sym: bool = option(True, "symmetric (no zero point) or asymmetric quantization")
    all_layers: bool = option(
        False, "embedding and head in int4 as well; without it they keep 8 bits"
    )
    quantizer: str = option(
        "rtn",
        "how the blocks' codes are found: rtn rounds to nearest; search, awq and gptq read "
        "calibration text first, which takes minutes and keeps more of the model's quality, the "
        "last of them most",
        choices=("rtn", "search", "awq", "gptq"),
    )
    calibration: str = option(
        BUILTIN, "text for search, awq and gptq: builtin, a text file of your own, or none"
    )

    def __post_init__(self) -> None:
        check(self)
        for name in _MEANINGLESS[self.weight_format]:
            if getattr(self, name) != getattr(Recipe, name):
                raise UsageError(
                    f"--{name.replace('_', '-')} means nothing with --weight-format "
                    f"{self.weight_format}",
                    "leave it out, or choose int4",
                )
        if self.is_calibrated and self.calibration == NO_TEXT:
            raise UsageError(
                f"--quantizer {self.quantizer} needs calibration text",
                "leave out --calibration none, or choose --quantizer rtn",
            )
        if not self.is_calibrated and self.calibration not in {BUILTIN, NO_TEXT}:
            raise UsageError(
                "--calibration means nothing with --quantizer rtn",
                "choose search, awq or gptq",
            )

    @property
    def is_calibrated(self) -> bool:
        """Whether quantizing reads calibration text."""
        return self.quantizer != "rtn"

    @property
    def flags(self) -> str:
        """The recipe as flags of the command line."""
        flags = [f"--weight-format {self.weight_format}"]
        if self.weight_format == "int4":
            flags += [f"--group-size {self.group_size}", f"--ratio {self.ratio:g}"]
        if self.weight_format != "fp16":
            flags.append("--sym" if self.sym else "--asym")
        if self.all_layers:
            flags.append("--all-layers")
        if self.is_calibrated:
            flags.append(f"--quantizer {self.quantizer} --calibration {self.calibration}")
        return " ".join(flags)

    @property
    def tag(self) -> str:
        """A short name, the same for two recipes that give the same weights."""
        if self.weight_format == "fp16":
            return "fp16"
        symmetry = "sym" if self.sym else "asym"
        if self.weight_format == "int8":
            return f"int8-{symmetry}"
        group = "row" if self.group_size == WHOLE_ROW else f"g{self.group_size}"
        mixed = "" if self.ratio == 1.0 else f"-r{self.ratio:g}"
        everywhere = "-all" if self.all_layers else ""
        quantizer = "" if self.quantizer == "rtn" else f"-{self.quantizer}"
        return f"int4-{group}-{symmetry}{mixed}{everywhere}{quantizer}"


_MEANINGLESS = {
    "fp16": ("group_size", "ratio", "sym", "all_layers", "quantizer", "calibration"),
    "int8": ("group_size", "ratio", "all_layers", "quantizer", "calibration"),
    "int4": (),
}
"""Options without effect on a weight format: giving one is a mistake."""
