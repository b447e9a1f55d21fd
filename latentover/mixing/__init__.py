"""Mixing rules: pure tensor functions, one file a rule, usable in any training loop."""

from latentover.mixing.convex import convex_combination, cyclic_shifts

__all__ = ["convex_combination", "cyclic_shifts"]
