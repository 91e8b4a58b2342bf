"""int4, int8 and float16: the NPU library's names for how weights are stored."""

from __future__ import annotations

from dataclasses import dataclass

from aipc.convert.recipe import Recipe
from aipc.convert.targets import TARGETS
from aipc.errors import UsageError


@dataclass(frozen=True)
class NPUDtype:
    """``recipe`` is what a conversion to this type is, for the NPU: always symmetric."""

    name: str
    recipe: Recipe

    def __str__(self) -> str:
        return self.name


int4 = NPUDtype("int4", TARGETS["npu"].recipe)
int8 = NPUDtype("int8", Recipe("int8"))
float16 = NPUDtype("float16", Recipe("fp16"))

_DTYPES = {dtype.name: dtype for dtype in (int4, int8, float16)}


def find_dtype(dtype: object) -> NPUDtype:
    """One of the three above: itself, its name, or torch's type of the same name.

    Raises:
        UsageError: any other.
    """
    found = _DTYPES.get(str(dtype).removeprefix("torch."))
    if found is None:
        raise UsageError(
            f"weights can't be stored as {dtype}", "give int4, int8 or float16 of aipc.facade"
        )
    return found


@dataclass(frozen=True)
class CompilerConfig:
    """How a model is made ready for the NPU; names, order and defaults are the NPU library's.

    ``use_to`` chose between that library's two ways of compiling; here there is one, and
    either value means it.

    Raises:
        UsageError: a ``dtype`` that is not int4, int8 or float16, or ``training``.
    """

    use_to: bool = False
    dtype: NPUDtype = float16
    """Or torch's type of that name: torch.int8, torch.float16."""
    training: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", find_dtype(self.dtype))
        if self.training:
            raise UsageError("a model can't be trained here", "leave out training=True")
