from __future__ import annotations

import json
import os
import subprocess
import sys

PROGRAM = """
import json, os, sys
from aipc import telemetry
telemetry.switch_off()
from openvino.tools.ovc import telemetry_utils
from huggingface_hub import constants
print(json.dumps({
    "openvino": telemetry_utils.tm.__name__,
    "hub": constants.HF_HUB_DISABLE_TELEMETRY,
    "onnxruntime": os.environ["ORT_DISABLE_TELEMETRY"],
    "verbosity": os.environ["TRANSFORMERS_VERBOSITY"],
}))
"""


def test_vendors_send_nothing_and_the_user_may_make_them_talk() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_DISABLE_TELEMETRY": "0", "TRANSFORMERS_VERBOSITY": "info"},
        check=True,
    )
    assert json.loads(done.stdout) == {
        "openvino": "openvino.tools.ovc.telemetry_stub",
        "hub": True,
        "onnxruntime": "1",
        "verbosity": "info",
    }
