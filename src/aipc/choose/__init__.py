"""Which runtime, device and properties, and why."""

from aipc.artifact.artifact import Artifact, read_artifact
from aipc.choose.plan import Plan, choose

__all__ = ["Artifact", "Plan", "choose", "read_artifact"]
