"""`OVModelForCausalLM`: optimum-intel's way, on OpenVINO GenAI.

Its ``from_pretrained`` loads a folder that optimum-cli, a vendor or aipc converted, or
converts a checkpoint first; torch takes no part in the arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc.convert.recipe import Recipe
from aipc.errors import UsageError
from aipc.facade import arguments
from aipc.facade.causal_lm import CausalLM
from aipc.facade.pretrained import open_session, requested_device

if TYPE_CHECKING:
    from transformers import PretrainedConfig
    from typing_extensions import Self

_KNOWN = (
    "device",
    "ov_config",
    "config",
    "export",
    "compile",
    "use_cache",
    "stateful",
    "dynamic_shapes",
    "load_in_8bit",
    "quantization_config",
    "trust_remote_code",
    "revision",
)
_FORMATS = {4: "int4", 8: "int8"}
_RECIPE = ("sym", "group_size", "ratio", "all_layers")
_STATES_ITSELF = {"bits", "dtype", "quant_method", "weight_format"}


class OVModelForCausalLM(CausalLM):
    """A model on one of OpenVINO's devices."""

    @classmethod
    def from_pretrained(
        cls,
        model_id: str | Path,
        *,
        device: str = "CPU",
        ov_config: Mapping[str, Any] | None = None,
        config: PretrainedConfig | None = None,
        export: bool | None = None,
        compile: bool = True,  # noqa: A002 - optimum-intel's own name
        use_cache: bool = True,
        stateful: bool = True,
        dynamic_shapes: bool = True,
        load_in_8bit: bool | None = None,
        quantization_config: Any = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        **others: Any,
    ) -> Self:
        """Load a model, fetched and converted where it was not before.

        Args:
            model_id: hub id, short name, or checkpoint or artifact folder.
            device: CPU, GPU, GPU.0, NPU or AUTO, in any case; AIPC_DEVICE goes before it.
            ov_config: OpenVINO's properties, such as {"NUM_STREAMS": "1"}.
            config: transformers' config of the model; None is the folder's own.
            export: True insists on a checkpoint; conversion happens where it is needed.
            compile: True, as always here.
            use_cache: True, as always here.
            stateful: True, as always here.
            dynamic_shapes: True; what the NPU's static shapes need is seen to.
            load_in_8bit: True is 8 bits, False float16, None aipc's choice for the device.
            quantization_config: bits, sym, group_size, ratio, all_layers; a mapping or optimum's.
            trust_remote_code: has no effect: code that comes with a model is never run.
            revision: of a hub id.
            others: refused, each with what to say in its place.

        Raises:
            UsageError: an argument of no meaning, or a recipe for an artifact.
            AipcError: as `aipc.load`; a DeviceError where torch is not installed.
        """
        arguments.refuse_others(others, _KNOWN)
        arguments.check_needless(use_cache=use_cache, trust_remote_code=trust_remote_code)
        arguments.check_true(compile=compile, stateful=stateful, dynamic_shapes=dynamic_shapes)
        recipe = _recipe(load_in_8bit, quantization_config)
        name = arguments.full_name(model_id, revision)
        if arguments.is_converted(name, export=export):
            _check_unasked(name, load_in_8bit, quantization_config)
            recipe = None
        session = open_session(
            name,
            recipe,
            requested_device(device),
            properties=_properties(ov_config),
            probe=False,  # the class is OpenVINO's: no other runtime is to be found faster
        )
        return cls.wrap(session, config)


def _check_unasked(name: str, load_in_8bit: bool | None, given: Any) -> None:
    """False asks for nothing: a converted folder is loaded as it is."""
    if load_in_8bit or given is not None:
        raise UsageError(
            f"'{name}' is converted already, and its weights stay as they are",
            "leave out load_in_8bit and quantization_config",
        )


def _recipe(load_in_8bit: bool | None, given: Any) -> Recipe | None:
    if load_in_8bit and given is not None:
        raise UsageError("load_in_8bit and quantization_config are given", "give one of them")
    if given is not None:
        return _read_quantization(given)
    return None if load_in_8bit is None else Recipe("int8" if load_in_8bit else "fp16")


def _read_quantization(given: Any) -> Recipe:
    """A recipe from optimum-intel's terms, which are optimum-cli's.

    A field that is None or empty asks for nothing; any other that is not known is refused.
    """
    stated = dict(given if isinstance(given, Mapping) else given.to_dict())
    bits = stated.get("bits", 8)
    if bits not in _FORMATS:
        raise UsageError(f"weights of {bits} bits can't be made", "say bits 4 or 8")
    others = {name for name in stated if stated[name]} - {*_RECIPE, *_STATES_ITSELF}
    if others:
        raise UsageError(
            f"quantization_config can't have {', '.join(sorted(others))} here",
            "say bits, sym, group_size, ratio and all_layers; `aipc convert` has more",
        )
    wanted = _RECIPE if bits == 4 else ("sym",)
    fields = {name: stated[name] for name in wanted if stated.get(name) is not None}
    return Recipe(_FORMATS[bits], **fields)


def _properties(given: Mapping[str, Any] | None) -> dict[str, str]:
    """Values as OpenVINO's configuration files write them."""
    return {
        str(key): ("YES" if value else "NO") if isinstance(value, bool) else str(value)
        for key, value in (given or {}).items()
    }
