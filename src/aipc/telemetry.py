"""Vendors' telemetry, switched off before the first of their packages is imported."""

from __future__ import annotations

import os
import sys

_TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime from 1.29 and GenAI, which send by default
}
_QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}


def switch_off() -> None:
    """Switch their telemetry off, and their chatter unless the user requested it."""
    os.environ.update(_TELEMETRY_OFF)
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    # OpenVINO's telemetry obeys only a file in the user's home; without the package that
    # sends it, OpenVINO falls back to its own stub (openvino/tools/ovc/telemetry_stub.py).
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
