"""
What mixing is known to do
==========================

The pictures behind the propositions of the regularized autoencoder's paper,
computed and not drawn: where mixtures keep their class, when they lower a
variance, and what their bounds are worth. :doc:`/methods/theory` has the
statements and the proofs.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap

INK, FAINT = "#1c2430", "#5b6675"
LINES = BLUE, ORANGE, GREEN = "C0", "C1", "C2"
AREAS = ListedColormap(["#eaf3fa", "#fdf0e6", "#e8f5f0"])


def panels(*titles):
    """Return a figure with a panel for each title, one below the other."""
    rows = len(titles)
    figure, axes = plt.subplots(rows, figsize=(6.4, 3 * rows), squeeze=False)
    for ax, title in zip(axes[:, 0], titles, strict=True):
        ax.set_title(title)
    return figure, axes[:, 0]


def scatter(ax, samples, colour, random, wrong=None):
    """Show samples and mixtures; `wrong` says which lie in another region."""
    pairs = samples[random.integers(len(samples), size=(160, 2))]
    weights = random.uniform(size=(160, 1))
    mixed = weights * pairs[:, 0] + (1 - weights) * pairs[:, 1]
    lost = np.zeros(160, bool) if wrong is None else wrong(mixed)
    ax.scatter(*mixed[~lost].T, s=7, color=colour, alpha=0.45, linewidths=0)
    ax.scatter(*mixed[lost].T, s=14, color=colour, marker="x", linewidths=0.9)
    ax.scatter(
        *samples.T, s=26, color=colour, edgecolors="white", linewidths=0.6
    )


# %%
# Proposition 1: mixtures keep their class
# ----------------------------------------
# Inside linear regions every mixture of a class stays in its region; across the
# hole of a ring it does not.

random = np.random.default_rng(4)
figure, (left, right) = panels(
    "Separated by straight lines", "Separated by a circle alone"
)
for ax in (left, right):
    ax.set(xlim=(-3, 3), ylim=(-2, 2), xticks=[], yticks=[], aspect="equal")
grid = np.stack(
    np.meshgrid(np.linspace(-3, 3, 600), np.linspace(-2, 2, 400)), axis=-1
)

centres = np.array([[-1.5, 0.5], [1.6, 0.9], [0.7, -1.1]])
nearest = ((grid[..., None, :] - centres) ** 2).sum(-1).argmin(-1)
left.imshow(
    nearest,
    extent=(-3, 3, -2, 2),
    origin="lower",
    cmap=AREAS,
    interpolation="nearest",
)
for centre, n, colour in zip(centres, (40, 9, 5), LINES, strict=True):
    members = centre + random.normal(size=(200, 2)) * 0.55
    inside = ((members[:, None] - centres) ** 2).sum(-1).argmin(
        -1
    ) == LINES.index(colour)
    scatter(
        left,
        members[inside & (np.abs(members) < [2.8, 1.8]).all(1)][:n],
        colour,
        random,
    )

radius = np.linalg.norm(grid, axis=-1)
right.imshow(
    (radius < 1.05).astype(int),
    extent=(-3, 3, -2, 2),
    origin="lower",
    cmap=AREAS,
    vmax=2,
)
angle = random.uniform(0, 2 * np.pi, 40)
ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) * random.normal(
    1.55, 0.12, (40, 1)
)
disc = random.normal(size=(60, 2)) * 0.42
scatter(
    right,
    ring,
    BLUE,
    random,
    wrong=lambda mixed: np.linalg.norm(mixed, axis=1) < 1.05,
)
scatter(right, disc[np.linalg.norm(disc, axis=1) < 0.95][:9], ORANGE, random)
for marker, size, text in (
    ("o", 26, "sample"),
    ("o", 7, "mixture"),
    ("x", 14, "mixture in the other class's region"),
):
    left.scatter(
        [], [], marker=marker, s=size, linewidths=0.9, color=FAINT, label=text
    )
figure.legend(
    loc="outside lower center",
    ncols=3,
    frameon=False,
    fontsize=9.5,
    labelcolor=FAINT,
)

# %%
# Proposition 2: the variance of the risk
# ---------------------------------------
# Of the loss of a mixture, and of a risk whose mixtures share their samples.


def relative_variance(loss, values, chance, weights):
    """Variance of a mixture's loss over that of a sample."""
    chance = chance / chance.sum()
    both = np.outer(chance, chance)
    mixed = loss(
        weights[:, 0, None, None] * values[:, None]
        + weights[:, 1, None, None] * values
    )
    mean = (mixed * both).sum((1, 2), keepdims=True)
    variance = (both * (mixed - mean) ** 2).sum((1, 2))
    plain = loss(values)
    return variance / (chance @ (plain - chance @ plain) ** 2)


figure, (left, right) = panels(
    "Of the loss of one mixture of two",
    "Of the risk over many mixtures of 20 samples",
)
alpha = np.linspace(0, 1, 201)
weights = np.stack([alpha, 1 - alpha], axis=1)
squares = (weights**2).sum(1)
normal, chance = np.polynomial.hermite_e.hermegauss(60)
recognised = relative_variance(
    lambda z: np.log1p(np.exp(-z)), 3 + normal, chance, weights
)
wrong = relative_variance(
    lambda z: np.maximum(0, -z),
    np.array([1.0, -1.0]),
    np.array([0.2, 0.8]),
    weights,
)
left.axhline(1, color=INK, linewidth=0.9)
left.text(
    0.5, 1.015, "unmixed", ha="center", va="bottom", color=INK, fontsize=9.5
)
for values, colour, text, place in (
    (
        wrong,
        ORANGE,
        "a class mostly wrong, hinge loss",
        (0.5, wrong.max() + 0.015),
    ),
    (squares, GREEN, "linear loss", (0.5, squares.min() + 0.02)),
    (
        recognised,
        BLUE,
        "a recognised class, logistic loss",
        (0.5, recognised.min() - 0.02),
    ),
):
    left.plot(alpha, values, color=colour, linewidth=1.8)
    va = "top" if colour == BLUE else "bottom"
    left.text(*place, text, ha="center", va=va, color=colour, fontsize=9.5)
left.set(
    xlim=(0, 1),
    ylim=(0, 1.6),
    xlabel="weight α of the first",
    ylabel="variance, relative",
)

n = 20
ratio = np.geomspace(0.5, 100, 200)  # mixtures a sample
right.axhline(1, color=INK, linewidth=0.9)
right.text(
    95,
    0.92,
    "the 20 samples unmixed",
    ha="right",
    va="top",
    color=INK,
    fontsize=9.5,
)
right.plot(
    ratio, 0.5 / ratio, color=FAINT, linewidth=1.8, linestyle=(0, (4, 2))
)
right.text(
    6.5,
    0.12,
    "if all pairs were\nfresh samples",
    color=FAINT,
    fontsize=9.5,
    va="center",
)
right.plot(ratio, 1 + ((n - 1) / n - 0.5) / ratio, color=GREEN, linewidth=1.8)
right.text(
    5, 1.25, "pairs of the same samples", color=GREEN, fontsize=9.5, va="bottom"
)
right.set(
    xscale="log",
    yscale="log",
    xlim=(0.5, 100),
    ylim=(0.03, 3),
    xlabel="mixtures per sample",
)
right.set_xticks([1, 10, 100], ["1", "10", "100"])
right.set_yticks([0.1, 1], ["0.1", "1"])
right.minorticks_off()

# %%
# Proposition 3: the generalisation bound
# ---------------------------------------
# It is tighter for the risk of mixtures, which is not the risk of samples.

figure, (ax,) = panels("Upper bounds of the risk, with probability 95 %")
normal, chance = np.polynomial.hermite_e.hermegauss(60)
chance = chance / chance.sum()
count = np.geomspace(20, 20000, 200)
logarithm = np.log(2 / 0.05)
for spread, colour, text, place, risk, dy in (
    (1.0, BLUE, "from samples", (72, 0.285), "risk of samples, R(f)", 0.006),
    (
        np.sqrt(0.5),
        ORANGE,
        "from as many\nmixtures",
        (22, 0.15),
        "risk of mixtures",
        -0.006,
    ),
):
    z = np.clip(1 + 2 * spread * normal, -6, None)
    losses = np.log1p(np.exp(-z)) / np.log1p(np.exp(6))
    mean = chance @ losses
    variance = chance @ (losses - mean) ** 2
    bound = (
        mean
        + np.sqrt(2 * variance * logarithm / count)
        + 7 * logarithm / (3 * (count - 1))
    )
    ax.axhline(mean, color=colour, linewidth=0.9, linestyle=(0, (4, 2)))
    ax.plot(count, bound, color=colour, linewidth=1.8)
    ax.text(*place, text, color=colour, fontsize=9.5)
    va = "bottom" if dy > 0 else "top"
    ax.text(22, mean + dy, risk, color=colour, fontsize=9.5, va=va)
ax.set(
    xscale="log",
    xlim=(20, 20000),
    ylim=(0, 0.45),
    xlabel="number of samples, or of mixtures",
    ylabel="loss",
)
ax.set_xticks([100, 1000, 10000], ["100", "1,000", "10,000"])
ax.minorticks_off()

# %%
# Proposition 4: the slope of the classifier
# ------------------------------------------
# The Lipschitz constant and its bound, and where the assumption holds.


def on_the_sphere(n, dimension, random):
    """Return n points, uniform on the unit sphere."""
    x = random.normal(size=(n, dimension))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


figure, (left, right) = panels(
    "Lipschitz constant and its bound", "Smallest eigenvalue of X Xᵀ"
)
random = np.random.default_rng(0)
n, dimension = 24, 600
x = on_the_sphere(n, dimension, random)
alpha = np.linspace(0, 1, 400)  # without 1/2, where pairs become equal
for k, colour, text, place in (
    (-2, ORANGE, "bound, pairs", (0.29, 2.7)),
    (-1, BLUE, "bound, cycles of 3", (0.5, 2.07)),
):
    squared = alpha**2 + (1 - alpha) ** 2 + k * alpha * (1 - alpha)
    left.plot(alpha, 1 / np.sqrt(squared), color=colour, linewidth=1.8)
    left.text(
        *place,
        text,
        ha="right" if k == -2 else "center",
        color=colour,
        fontsize=9.5,
    )
image = np.roll(np.arange(n).reshape(-1, 3), 1, axis=1).ravel()
y = np.repeat(random.choice([-1.0, 1.0], n // 3), 3)
mixed = [weight * x + (1 - weight) * x[image] for weight in alpha]
constant = [
    np.linalg.norm(np.linalg.lstsq(m, y)[0]) / np.sqrt(2 * n) for m in mixed
]
left.plot(alpha, constant, color=GREEN, linewidth=1.8)
left.text(
    0.5,
    constant[0] - 0.06,
    "the constant itself",
    ha="center",
    va="top",
    color=GREEN,
    fontsize=9.5,
)
left.axhline(1, color=INK, linewidth=0.9)
left.text(
    0.5,
    1.03,
    "bound, unmixed",
    ha="center",
    va="bottom",
    color=INK,
    fontsize=9.5,
)
left.set(
    xlim=(0, 1), ylim=(0, 3), xlabel="weight α", ylabel="relative to √(2N)"
)
left.set_xticks([0, 0.5, 1], ["0", "½", "1"])

shares = np.array(
    [0.02, 0.04, 0.06, 0.0858, 0.12, 0.17, 0.25, 0.35, 0.5, 0.7, 0.9]
)
lowest = [
    np.linalg.eigvalsh(s @ s.T)[0]
    for s in (on_the_sphere(round(c * 600), 600, random) for c in shares)
]
curve = np.linspace(0, 1, 200)
right.axhline(0.5, color=INK, linewidth=0.9)
right.text(
    0.99, 0.515, "needed: ½", ha="right", va="bottom", color=INK, fontsize=9.5
)
right.plot(curve, (1 - np.sqrt(curve)) ** 2, color=BLUE, linewidth=1.8)
right.scatter(
    shares,
    lowest,
    s=22,
    color=BLUE,
    edgecolors="white",
    linewidths=0.6,
    zorder=3,
)
right.text(0.3, 0.25, "(1 − √(N / d))²", color=BLUE, fontsize=9.5)
right.set(xlim=(0, 1), ylim=(0, 1), xlabel="samples per dimension, N / d")
