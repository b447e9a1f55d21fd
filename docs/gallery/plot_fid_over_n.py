"""
FID against n: a score that depends on how many
===============================================

The Fréchet distance of two samples of *one* distribution should be 0. It is
not, and the fewer the samples and the more the dimensions, the worse: who
compares rare classes by FID compares their sizes. Two estimates do without that
bias.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from latentover.metrics import frechet_distance, frechet_infinity, kid

warnings.simplefilter(
    "ignore"
)  # the few samples that are warned of are shown here
rng = np.random.default_rng(0)
sizes, repeats = (50, 100, 200, 400, 800, 1600), 4
pairs = {
    d: {
        n: [rng.normal(size=(2, n, d)) / np.sqrt(d) for _ in range(repeats)]
        for n in sizes
    }
    for d in (16, 64, 256)
}
fid = {
    d: [np.mean([frechet_distance(*pair) for pair in drawn[n]]) for n in sizes]
    for d, drawn in pairs.items()
}

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 3.3), sharey=True)
for d, values in fid.items():
    left.plot(sizes, values, "o-", markersize=4, label=f"{d} dimensions")
right.plot(sizes, fid[64], "o-", markersize=4, color="C1", label="FID")
for name, color, estimate in (
    (
        "FID extrapolated",
        "C3",
        lambda pair: frechet_infinity(*pair, random_state=0),
    ),
    ("KID", "C2", lambda pair: kid(*pair)),
):
    values = [[estimate(pair).value for pair in pairs[64][n]] for n in sizes]
    right.errorbar(
        sizes,
        np.mean(values, axis=1),
        np.std(values, axis=1),
        fmt="s-",
        markersize=4,
        color=color,
        label=name,
    )
for ax in (left, right):
    ax.axhline(0, color="0.7", linewidth=1, zorder=0)
    ax.set(xscale="log", xlabel="samples n of each kind", ylim=(-0.12, 1.5))
    ax.set_xticks((50, 200, 800), labels=("50", "200", "800"))
    ax.minorticks_off()
    ax.legend()
left.set(title="FID where the truth is 0", ylabel="distance")
right.set(title="64 dimensions, without bias")

# %%
# So every score of generated samples here names its features and its n, and
# :func:`latentover.metrics.generation_scores` uses as many samples for all
# methods.
