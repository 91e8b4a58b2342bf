"""Which plan a checkpoint has, by its kind of network and the target's runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aipc.convert.encoders.kinds import checkpoint_task, is_encoder
from aipc.progress import Progress, silent

if TYPE_CHECKING:
    from aipc.checkpoint import Checkpoint
    from aipc.convert.plans.decoder_plan import DecoderPlan
    from aipc.convert.plans.encoder_plan import EncoderPlan
    from aipc.convert.plans.plan import ConversionPlan
    from aipc.convert.recipe import Recipe
    from aipc.convert.targets import Target


def plan_conversion(
    checkpoint: Checkpoint, recipe: Recipe, target: Target, progress: Progress = silent
) -> ConversionPlan:
    """The plan of our own conversion, in the format of the target's runtime.

    Raises:
        UnsupportedModel: a network that has no graph here.
        AipcError: as the plan's class has it.
    """
    plan = _plan_encoder if is_encoder(checkpoint.config) else plan_decoder
    return plan(checkpoint, recipe, target, progress)


def plan_decoder(
    checkpoint: Checkpoint, recipe: Recipe, target: Target, progress: Progress = silent
) -> DecoderPlan:
    """As `plan_conversion`, of a network that writes text, or one that embeds with its states.

    Raises:
        AipcError: as `plan_conversion`.
    """
    from aipc.convert.onnx.plan import plan_onnx
    from aipc.convert.openvino.headless import HeadlessPlan
    from aipc.convert.openvino.plan import plan_openvino

    if reads_whole_texts(checkpoint):
        return HeadlessPlan.plan(checkpoint, recipe, target, progress)
    if target.runtime == "onnx":
        return plan_onnx(checkpoint, recipe, target, progress)
    return plan_openvino(checkpoint, recipe, target, progress)


def _plan_encoder(
    checkpoint: Checkpoint, recipe: Recipe, target: Target, progress: Progress
) -> EncoderPlan:
    from aipc.convert.onnx.encoder_plan import ONNXEncoderPlan
    from aipc.convert.openvino.encoder_plan import OpenVINOEncoderPlan

    kind = ONNXEncoderPlan if target.runtime == "onnx" else OpenVINOEncoderPlan
    return kind.plan(checkpoint, recipe, target, progress)


def reads_whole_texts(checkpoint: Checkpoint) -> bool:
    """Whether it makes vectors or scores of texts, and writes none."""
    return checkpoint_task(checkpoint.path, checkpoint.config) is not None
