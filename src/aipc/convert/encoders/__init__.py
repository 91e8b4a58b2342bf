"""Networks that read a text as a whole and write none: their kinds, read from a checkpoint."""
