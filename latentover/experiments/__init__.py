"""Recipes, runs, evaluation and benchmarks: one experiment, or many."""
