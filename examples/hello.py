"""Ask a model on this computer a question, and print the answer while it comes.

python examples/hello.py [MODEL]
"""

from __future__ import annotations

import sys

import aipc
from aipc.errors import AipcError

model = sys.argv[1] if len(sys.argv) > 1 else None
try:
    with aipc.load(model) as session:
        print("running on", session.facts["device_name"], file=sys.stderr)
        for event in session.stream("Name the capital of France.", max_new_tokens=64):
            print(event.text, end="", flush=True)
except AipcError as error:  # one line: what failed, and what to do
    sys.exit(str(error))
print()
