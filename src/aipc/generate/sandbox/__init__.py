"""Chat templates, which come from strangers: rendered in a process of their own, within limits."""
