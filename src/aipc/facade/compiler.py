"""`CompilerConfig`, where the NPU library has it."""

from __future__ import annotations

from dataclasses import dataclass

from aipc.errors import UsageError
from aipc.facade.dtypes import NPUDtype, find_dtype, float16


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
