"""Recipes, quantizers, network graphs, and one writer per target."""
