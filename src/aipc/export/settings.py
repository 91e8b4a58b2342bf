"""How another server should load an artifact: as a session here would, where it can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aipc.artifact.artifact import Artifact
from aipc.artifact.config import read_context
from aipc.artifact.rope_switch import read_rope_switch
from aipc.artifact.sentence_model import read_sentence_model
from aipc.choose.measured import Records, Tuned, fingerprint
from aipc.choose.plan import objection, rule_properties
from aipc.convert.recipe import Recipe
from aipc.devices import Device
from aipc.errors import ArtifactError, UsageError
from aipc.export.options import ServingOptions
from aipc.models.source import Source
from aipc.models.store import Store
from aipc.runtimes.openvino.engine import PROMPT_CHUNK
from aipc.runtimes.openvino.recipe import check_npu_recipe, has_fused_attention
from aipc.runtimes.prompt_lookup import PROPERTIES, SWITCH, read_lookup

RUNTIME = "openvino"
_POOLINGS: Mapping[str, str] = {"cls": "CLS", "mean": "MEAN", "lasttoken": "LAST"}


@dataclass(frozen=True)
class GraphSettings:
    """Options of a calculator by its own names; ``why`` gives a reason each, in plain words."""

    options: Mapping[str, Any]
    why: tuple[str, ...] = ()


def find_tuned(
    source: Source, kind: str, recipe: Recipe | None, devices: Sequence[Device], store: Store
) -> Tuned | None:
    """What was tuned here for that kind of device with OpenVINO, where it holds still.

    Raises:
        ArtifactError: there is a record, and it can't be read.
    """
    tuned = Records(store.tuned).find(source.name)
    if tuned is None or tuned.changes(fingerprint(devices)) or tuned.setup.kind != kind:
        return None
    return None if tuned.objection("auto", RUNTIME, recipe) else tuned


def text_settings(
    artifact: Artifact,
    kind: str,
    devices: Sequence[Device],
    tuned: Tuned | None,
    wanted: ServingOptions,
) -> GraphSettings:
    """For the LLM calculator: as `aipc.runtimes.openvino.engine` loads it.

    ``kind`` is cpu, gpu or npu, of which this machine, that has ``devices``, need not have one.

    Raises:
        ArtifactError: a network or recipe that the server can't run there.
        UsageError: an option that means nothing there.
    """
    device = next((one for one in devices if one.kind == kind), Device(kind.upper(), kind, kind))
    against = objection(artifact, device, RUNTIME)
    if against:
        raise ArtifactError(against, f"convert the model for it: --for {kind}")
    if kind == "npu":
        return _npu_settings(artifact, wanted)
    if wanted.max_prompt_len is not None:
        raise UsageError(f"--max-prompt-len means nothing on the {kind.upper()}", "leave it out")
    if not has_fused_attention(artifact.path):
        what = f"the attention of '{artifact.path.name}' can't be paged, as its calculator does"
        raise ArtifactError(what, "serve it with `aipc serve`")
    if tuned is not None:
        properties, why = tuned.setup.properties, [tuned.why]
    else:
        properties, why = rule_properties(
            RUNTIME, device, artifact.weights, artifact.parameters, {}
        )
    return GraphSettings(
        {
            "device": kind.upper(),
            "plugin_config": _plugin(properties),
            "cache_size": wanted.cache_size,
            "max_num_seqs": wanted.max_num_seqs,
            **_reading(artifact.path),
        },
        tuple(why),
    )


def _npu_settings(artifact: Artifact, wanted: ServingOptions) -> GraphSettings:
    """Its pipeline takes no options of scheduling and cache."""
    check_npu_recipe(artifact.path)
    for name in ("cache_size", "max_num_seqs"):
        if getattr(wanted, name) != getattr(ServingOptions, name):
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} means nothing on the NPU", "leave it out")
    length = wanted.max_prompt_len
    plugin = {"DEVICE_PROPERTIES": {"NPU": {"MAX_PROMPT_LEN": length}}} if length else {}
    return GraphSettings({"device": "NPU", "plugin_config": plugin})


def _reading(folder: Path) -> dict[str, Any]:
    """How prompts are read: in pieces and once, but in one piece where rope switches."""
    if read_rope_switch(folder) is None:
        return {"enable_prefix_caching": True, "max_num_batched_tokens": PROMPT_CHUNK}
    whole = {"dynamic_split_fuse": False, "max_num_batched_tokens": read_context(folder)}
    return {"enable_prefix_caching": False, **whole}


def _plugin(properties: Mapping[str, str]) -> dict[str, Any]:
    """The lengths of prompt lookup are a request's, which the server has from its client."""
    own: dict[str, Any] = {k: v for k, v in properties.items() if k not in PROPERTIES}
    return own if read_lookup(properties) is None else {**own, SWITCH: True}


def embedding_settings(artifact: Artifact, kind: str) -> GraphSettings:
    """For the embeddings calculator.

    Raises:
        ArtifactError: the model's own files ask for what the server does not know.
    """
    if kind == "npu":
        raise ArtifactError("no embeddings are made on the NPU here", "give --for cpu or gpu")
    model = read_sentence_model(artifact.path)
    if model.prefix:
        what = (
            f"'{artifact.path.name}' wants '{model.prefix}' before each text, which no option of "
        )
        raise ArtifactError(f"{what}the server adds", "serve it with `aipc serve`")
    modules = model.modules
    pooling = _POOLINGS.get(str(modules.pooling))
    if pooling is None or modules.dense:
        lacks = "Dense modules" if modules.dense else f"the pooling {modules.pooling}"
        what = f"'{artifact.path.name}' has {lacks}, which the server's calculator does not know"
        raise ArtifactError(what, "serve it with `aipc serve`")
    options = {
        "normalize_embeddings": modules.normalized,
        "pooling": pooling,
        "target_device": kind.upper(),
    }
    return GraphSettings(options, (modules.note,) if modules.note else ())
