"""Mixing rules: pure tensor functions, one file a rule, usable in any training loop.

A rule is a small frozen object, ``rule(inputs, labels, class_counts, generator) -> Mixed``: it draws partners and
weights, mixes the inputs, and gives the mixed labels.
"""

from latentover.mixing.am_mixup import AMMixup, am_mixup_rate, class_centers
from latentover.mixing.boundary_mix import BoundaryMix
from latentover.mixing.convex import convex_combination, cyclic_shifts, drawn_weights
from latentover.mixing.cutmix import CMO, CutMix
from latentover.mixing.mamix import MAMix, mamix_label_weight
from latentover.mixing.manifold_mixup import ManifoldMixup
from latentover.mixing.mixed import Mixed, MixingRule, Partners, draw_mixing_weights, mix_inputs
from latentover.mixing.mixup import Mixup, mixup_label_weight
from latentover.mixing.neighbor_mix import NeighborMix, SMOTEMix
from latentover.mixing.neighbors import nearest_neighbors
from latentover.mixing.partners import DrawnPartners
from latentover.mixing.remix import Remix, remix_label_weight

__all__ = [
    "CMO",
    "AMMixup",
    "BoundaryMix",
    "CutMix",
    "DrawnPartners",
    "MAMix",
    "ManifoldMixup",
    "Mixed",
    "MixingRule",
    "Mixup",
    "NeighborMix",
    "Partners",
    "Remix",
    "SMOTEMix",
    "am_mixup_rate",
    "class_centers",
    "convex_combination",
    "cyclic_shifts",
    "draw_mixing_weights",
    "drawn_weights",
    "mamix_label_weight",
    "mix_inputs",
    "mixup_label_weight",
    "nearest_neighbors",
    "remix_label_weight",
]
