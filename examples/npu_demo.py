"""Phi-3 on the NPU, as the Intel NPU Acceleration Library had it: only the import lines differ.

python examples/npu_demo.py

AIPC_EXAMPLE_MODEL=microsoft/Phi-3-mini-4k-instruct   Phi-3, in place of a small model
AIPC_DEVICE=npu                                       this computer's NPU, not an emulated one
"""

# %% [markdown]
# What this needs is looked for before anything is fetched.

# %%
import importlib.util
import sys

from aipc import remedies

missing = [name for name in ("torch", "transformers") if not importlib.util.find_spec(name)]
if missing:
    sys.exit(f"this example needs {' and '.join(missing)}: {remedies.add_extra('transformers')}")

# %%
import os
import warnings

from transformers import AutoTokenizer, TextStreamer, pipeline

from aipc.facade import NPUModelForCausalLM, int4
from aipc.facade.dtypes import CompilerConfig

os.environ.setdefault("AIPC_DEVICE", "emulate")
model_id = os.environ.get("AIPC_EXAMPLE_MODEL", "smollm2-135m")

# %% [markdown]
# The first time the model is fetched, quantized to int4 and compiled for the NPU; all of it is
# kept.

# %%
compiler_conf = CompilerConfig(dtype=int4)
model = NPUModelForCausalLM.from_pretrained(
    model_id, use_cache=True, config=compiler_conf, attn_implementation="sdpa"
).eval()
print("running on", model.facts["device_name"])

# %% [markdown]
# `AutoTokenizer` opens the converted folder; a hub id would do as well.

# %%
tokenizer = AutoTokenizer.from_pretrained(model.name_or_path)
text_streamer = TextStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)

# %%
generation_args = {
    "max_new_tokens": 64,
    "return_full_text": False,
    "temperature": 0.3,
    "do_sample": False,
    "streamer": text_streamer,
}

pipe = pipeline("text-generation", model=model, tokenizer=tokenizer)

query = [{"role": "user", "content": "Name the capital of France."}]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pipe(query, **generation_args)
