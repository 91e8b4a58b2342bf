"""Ask one model the same with each of its LoRA adapters; it is loaded once, and none is merged.

python examples/adapters.py MODEL NAME=DIR[:SCALE] ...
"""

from __future__ import annotations

import sys

import aipc

model, *given = sys.argv[1:]
adapters = dict(one.split("=", 1) for one in given)
with aipc.load(model, device="cpu", adapters=adapters) as session:
    for name in ("", *adapters):
        print(f"-- {name or 'no adapter'}")
        for event in session.stream("Write a line about rain.", adapter=name, max_new_tokens=32):
            print(event.text, end="", flush=True)
        print()
