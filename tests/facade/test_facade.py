from __future__ import annotations

import subprocess
import sys

from aipc import facade

HEAVY = {"torch", "transformers", "openvino", "openvino_genai", "onnxruntime"}


def test_the_familiar_names_are_there():
    assert {"NPUModelForCausalLM", "OVModelForCausalLM", "compile"} <= set(facade.__all__)
    assert all(hasattr(facade, name) for name in facade.__all__)


def test_importing_them_loads_no_vendors_package():
    program = "import sys, aipc.facade.dtypes; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(done.stdout.split())
