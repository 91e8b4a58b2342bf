"""The familiar names: programs of other libraries run here with their import line changed.

intel_npu_acceleration_library                     here
from intel_npu_acceleration_library import X       from aipc.facade import X
from intel_npu_acceleration_library.compiler …     from aipc.facade.dtypes …
from optimum.intel[.openvino] import X             from aipc.facade import X

What they give works in ``transformers.pipeline("text-generation", …)``, which needs torch:
the extra "transformers" (docs/install.md).  docs/facade.md says what each option means here.
"""

from aipc.facade.dtypes import NPUDtype, float16, int4, int8
from aipc.facade.npu import NPUModelForCausalLM, compile  # noqa: A004 - the library's own name
from aipc.facade.openvino import OVModelForCausalLM

__all__ = [
    "NPUDtype",
    "NPUModelForCausalLM",
    "OVModelForCausalLM",
    "compile",
    "float16",
    "int4",
    "int8",
]
