"""Text above every runtime, once: prompts in, events out.

ChatTemplate.render ─► Tokenizer.encode ─► engine ─► Detokeniser ─► StopStrings ─► events
└────────── encode_prompt ────────────┘   └────────────────── stream ──────────────────┘
"""

from aipc.generate.events import Event, Finished, FinishReason, Reply, Text, Timings, Usage, collect
from aipc.generate.generator import Stream, stream
from aipc.generate.prompt import Prompt, encode_prompt
from aipc.generate.sampling import resolve
from aipc.generate.template import ChatTemplate, Message
from aipc.generate.text_side import TextSide
from aipc.generate.tokenizer import Tokenizer

__all__ = [
    "ChatTemplate",
    "Event",
    "FinishReason",
    "Finished",
    "Message",
    "Prompt",
    "Reply",
    "Stream",
    "Text",
    "TextSide",
    "Timings",
    "Tokenizer",
    "Usage",
    "collect",
    "encode_prompt",
    "resolve",
    "stream",
]
