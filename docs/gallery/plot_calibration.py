"""
Calibration, and how to get it back
===================================

A classifier that was trained on equal classes believes in equal classes: it
says 40 % where 5 % is true. Prior correction puts the probabilities back.
"""

from itertools import pairwise

import matplotlib.pyplot as plt
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline
from latentover import PriorCorrectedClassifier
from latentover.metrics import brier, reliability_bins
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

X, y = make_classification(
    20000,
    8,
    n_informative=4,
    n_clusters_per_class=1,
    weights=[0.95],
    flip_y=0.02,
    class_sep=0.6,
    random_state=4,
)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, stratify=y, test_size=0.5, random_state=0
)
plain = LogisticRegression(max_iter=1000)
models = {
    "no resampling": plain,
    "SMOTE": make_pipeline(SMOTE(random_state=0), plain),
    "SMOTE, corrected": PriorCorrectedClassifier(
        estimator=plain, sampler=SMOTE(random_state=0)
    ),
}

# %%
# Left: what is said beside what happens, in bins of what is said; on the
# diagonal the two agree. Right: how often each probability is said.

figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 3.4))
left.plot([0, 1], [0, 1], color="0.7", linewidth=1)
for number, (name, model) in enumerate(models.items()):
    said = model.fit(X_train, y_train).predict_proba(X_test)
    rare = said[:, 1]
    edges = [0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
    points = [
        (rare[rows].mean(), y_test[rows].mean())
        for low, high in pairwise(edges)
        if (rows := (rare > low) & (rare <= high)).sum() >= 20
    ]
    left.plot(
        *zip(*points, strict=True), "o-", color=f"C{number}", ms=4, label=name
    )
    right.hist(
        rare, bins=40, histtype="step", lw=1.6, color=f"C{number}", log=True
    )
    print(
        f"{name:17} says {rare.mean():.3f} on average,"
        f" true is {y_test.mean():.3f};"
        f" Brier score {brier(y_test, said, [0, 1]):.3f}"
    )
left.set(xlabel="what is said", ylabel="what happens", title="Reliability")
left.legend(loc="upper left")
right.set(
    xlabel="probability of the rare class", ylabel="rows", title="What is said"
)

# %%
# The same bins as numbers, for any number of classes, are in
# :func:`latentover.metrics.reliability_bins`:

bins = reliability_bins(y_test, said, [0, 1])
print(bins)
