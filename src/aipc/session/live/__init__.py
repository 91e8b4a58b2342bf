"""Answers of an accelerator, judged by the CPU while nobody asks."""
