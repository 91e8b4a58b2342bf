"""Text above every runtime, once: prompts in, events out.

GenerationRequest ─► arrange ─► ChatTemplate.render ─► Tokenizer.encode ─► engine
                  └── tools, schema ─► Constraint ────────────────────┘   │
events ◄─ CallReader ◄─ StopStrings ◄─ Detokenizer ◄──────────────────────┘
"""

from aipc.generate.conversation import Message
from aipc.generate.events import (
    Alternative,
    Echo,
    Event,
    Finished,
    FinishReason,
    Reply,
    Text,
    Thinking,
    Timings,
    ToolCall,
    Usage,
    collect,
)
from aipc.generate.generator import Answerer, Stream, stream
from aipc.generate.prompt import Prompt, encode_prompt
from aipc.generate.repetition import RepetitionDetection, looping_pattern
from aipc.generate.request import GenerationRequest
from aipc.generate.sampling import GREEDY, SAMPLED, ResolvedSampling, SamplingDefaults, resolve
from aipc.generate.structured.call_reader import CallReader
from aipc.generate.structured.tools import Tool
from aipc.generate.template import ChatTemplate
from aipc.generate.text_pipeline import TextPipeline
from aipc.generate.tokenizer import Tokenizer

__all__ = [
    "GREEDY",
    "SAMPLED",
    "Alternative",
    "Answerer",
    "CallReader",
    "ChatTemplate",
    "Echo",
    "Event",
    "FinishReason",
    "Finished",
    "GenerationRequest",
    "Message",
    "Prompt",
    "RepetitionDetection",
    "Reply",
    "ResolvedSampling",
    "SamplingDefaults",
    "Stream",
    "Text",
    "TextPipeline",
    "Thinking",
    "Timings",
    "Tokenizer",
    "Tool",
    "ToolCall",
    "Usage",
    "collect",
    "encode_prompt",
    "looping_pattern",
    "resolve",
    "stream",
]
