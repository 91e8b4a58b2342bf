"""Speed, memory, energy and quality of models on this machine, measured from outside."""
