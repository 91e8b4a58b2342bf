"""Phi-3 on ONNX Runtime: with DirectML or CUDA on a GPU, or on the CPU.

python examples/directml_demo.py

AIPC_EXAMPLE_MODEL=microsoft/Phi-3-mini-4k-instruct   Phi-3, in place of a small model
AIPC_DEVICE=directml                                  any GPU on Windows; or cuda; the CPU without

A GPU needs a wheel of its own in place of the CPU's: `aipc doctor` gives the commands.
"""

# %% [markdown]
# What this needs is looked for before anything is fetched.

# %%
import os
import sys

from aipc.errors import DeviceError
from aipc.runtimes.onnx.provider import check_installed, find_device, find_provider

device = os.environ.get("AIPC_DEVICE", "cpu")
try:
    provider = find_provider(device.partition(".")[0])
    check_installed(provider)
    find_device(provider, device)
except DeviceError as error:
    sys.exit(str(error))

# %%
import json

import onnxruntime_genai as og

import aipc
from aipc.session.convert import convert

model_id = os.environ.get("AIPC_EXAMPLE_MODEL", "smollm2-135m")
messages = [{"role": "user", "content": "Name the capital of France."}]

# %% [markdown]
# As `aipc convert MODEL --for directml -o DIR` does it in a terminal.

# %%
folder = str(convert(model_id, target=device.partition(".")[0], runtime="onnx").path)

# %% [markdown]
# `aipc` runs it …

# %%
with aipc.load(folder, device=device) as session:
    print("running on", session.facts["device_name"])
    for event in session.stream(messages, max_new_tokens=128):
        print(event.text, end="", flush=True)
print()

# %% [markdown]
# … and so does `onnxruntime_genai` alone, from Python, C#, C or C++.

# %%
model = og.Model(folder)
tokenizer = og.Tokenizer(model)
tokenizer_stream = tokenizer.create_stream()

params = og.GeneratorParams(model)
params.set_search_options(max_length=256, do_sample=False)

prompt = tokenizer.apply_chat_template(json.dumps(messages), add_generation_prompt=True)
generator = og.Generator(model, params)
generator.append_tokens(tokenizer.encode(prompt))

while not generator.is_done():
    generator.generate_next_token()
    new_token = generator.get_next_tokens()[0]
    print(tokenizer_stream.decode(new_token), end="", flush=True)
print()
