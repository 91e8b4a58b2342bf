"""`NPUModelForCausalLM` and `compile`: the Intel NPU Acceleration Library's way, on OpenVINO.

That library is archived.  Its ``from_pretrained`` took transformers' model apart in torch;
here the model is converted once, kept, and run by OpenVINO's NPU pipeline.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc.errors import UsageError
from aipc.facade import arguments
from aipc.facade.causal_lm import CausalLM
from aipc.facade.dtypes import CompilerConfig, NPUDtype
from aipc.facade.pretrained import open_session, requested_device

if TYPE_CHECKING:
    from typing_extensions import Self

_KNOWN = (
    "config",
    "dtype",
    "use_cache",
    "attn_implementation",
    "trust_remote_code",
    "export",
    "revision",
    "device",
    "emulate",
)


class NPUModelForCausalLM(CausalLM):
    """A model on the NPU, or on another device of this machine."""

    @classmethod
    def from_pretrained(
        cls,
        model_id: str | Path,
        config: CompilerConfig | None = None,
        *,
        dtype: NPUDtype | None = None,
        use_cache: bool = True,
        attn_implementation: str | None = None,  # noqa: ARG003 - a runtime brings its own
        trust_remote_code: bool = False,
        export: bool = True,
        revision: str | None = None,
        device: str = "npu",
        emulate: bool = False,
        **others: Any,
    ) -> Self:
        """Fetch, convert and load a model, each step only where it was not done before.

        Args:
            model_id: hub id, short name, or checkpoint or artifact folder.
            config: how weights are stored; None is aipc's own choice for the device.
            dtype: the same, as releases before 1.4 had it: ``CompilerConfig(dtype=…)``.
            use_cache: True, as always here.
            export: True: what is converted is kept, as always here.
            attn_implementation: any; the device's runtime has one of its own.
            trust_remote_code: has no effect: code that comes with a model is never run.
            revision: of a hub id.
            device: npu, gpu, gpu.0, cpu or auto; AIPC_DEVICE goes before it.
            emulate: run the NPU's pipeline on the CPU: slow, for machines without one.
            others: refused, each with what to say in its place.

        Raises:
            UsageError: an argument of no meaning, or artifact and ``config`` that differ.
            AipcError: as `aipc.load`; a DeviceError where torch is not installed.
        """
        arguments.refuse_others(others, _KNOWN)
        arguments.check_needless(use_cache=use_cache, trust_remote_code=trust_remote_code)
        if not export:
            raise UsageError("export=False can't be had: a conversion is kept", "leave it out")
        wanted = _wanted(config, dtype)
        name = arguments.full_name(model_id, revision)
        converted = arguments.is_converted(name, export=None)
        recipe = None if converted or wanted is None else wanted.recipe
        session = open_session(name, recipe, requested_device(device, emulate=emulate))
        try:
            if converted and wanted is not None:
                _check_weights(name, session.facts.get("weights"), wanted)
            return cls.wrap(session)
        except BaseException:
            session.close()
            raise


def compile(  # noqa: A001 - the library's own name
    model: str | Path, config: CompilerConfig | NPUDtype
) -> NPUModelForCausalLM:
    """A model made ready for the NPU: ``NPUModelForCausalLM.from_pretrained`` in short.

    Args:
        model: the name of one (the library took a torch module, whose weights were in
            memory already; here they are read from the files, a part at a time).
        config: a `CompilerConfig` or, as releases before 1.4 had it, a dtype alone.

    Raises:
        AipcError: as ``NPUModelForCausalLM.from_pretrained``.
    """
    if not isinstance(config, CompilerConfig):
        config = CompilerConfig(dtype=config)
    return NPUModelForCausalLM.from_pretrained(model, config)


def _wanted(config: CompilerConfig | None, dtype: NPUDtype | None) -> NPUDtype | None:
    if config is not None and not isinstance(config, CompilerConfig):
        raise UsageError(f"config is a {type(config).__name__}", "give CompilerConfig(dtype=int4)")
    if config is not None and dtype is not None:
        raise UsageError("both config and dtype are given", "give one of them")
    if dtype is not None:
        return CompilerConfig(dtype=dtype).dtype
    return None if config is None else config.dtype


def _check_weights(name: str, stated: str | None, wanted: NPUDtype) -> None:
    """An artifact is what it is; a vendor's may not say."""
    if stated is not None and stated != wanted.recipe.weight_format:
        raise UsageError(
            f"'{name}' holds {stated} weights, and {wanted} is requested",
            "leave config out, or name the checkpoint that it was made from",
        )
