"""Phi-3 on OpenVINO, as optimum-intel has it: only the import line differs.

python examples/openvino_demo.py

AIPC_EXAMPLE_MODEL=microsoft/Phi-3-mini-4k-instruct   Phi-3, in place of a small model
AIPC_DEVICE=gpu.0                                     this computer's GPU, not its CPU
"""

# %% [markdown]
# What this needs is looked for before anything is fetched.

# %%
import importlib.util
import os
import sys

from aipc import remedies
from aipc.devices import reachable_devices, resolve_device
from aipc.errors import DeviceError

missing = [name for name in ("torch", "transformers") if not importlib.util.find_spec(name)]
if missing:
    sys.exit(f"this example needs {' and '.join(missing)}: {remedies.add_extra('transformers')}")

device = os.environ.setdefault("AIPC_DEVICE", "cpu")
try:
    resolve_device(device, [found.name for found in reachable_devices(["openvino"])])
except DeviceError as error:
    sys.exit(str(error))

# %%
from transformers import AutoConfig, AutoTokenizer

from aipc.convert.recipe import Recipe
from aipc.facade import OVModelForCausalLM
from aipc.session.convert import convert

model_id = os.environ.get("AIPC_EXAMPLE_MODEL", "smollm2-135m")

# %% [markdown]
# As `aipc convert MODEL --weight-format int4 --group-size 128 --ratio 0.6 --sym -o DIR` does it in
# a terminal, with the flags of `optimum-cli export openvino`.

# %%
recipe = Recipe("int4", group_size=128, ratio=0.6, sym=True)
model_dir = str(convert(model_id, recipe).path)

# %% [markdown]
# The folder is one that optimum-intel and `openvino_genai` open as well.

# %%
ov_config = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "CACHE_DIR": ""}

ov_model = OVModelForCausalLM.from_pretrained(
    model_dir,
    device="GPU.0",
    ov_config=ov_config,
    config=AutoConfig.from_pretrained(model_dir, trust_remote_code=True),
    trust_remote_code=True,
)
print("running on", ov_model.facts["device_name"])

# %%
tokenizer = AutoTokenizer.from_pretrained(model_dir)
messages = [{"role": "user", "content": "Name the capital of France."}]
inputs = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
answer = ov_model.generate(**inputs, max_new_tokens=128)
print(tokenizer.decode(answer[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
