"""Models that read whole texts: their protocol, and what the vendors' sub-rooms share of it."""
