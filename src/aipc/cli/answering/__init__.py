"""What `run` and `chat` share: the question from stdin, the answer, and who makes it."""
