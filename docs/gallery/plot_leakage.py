"""
Leakage: signal out of pure noise
=================================

Ten columns of random numbers, and labels that have nothing to do with them. Who
over-samples before the split finds a strong "signal" all the same.
"""

import matplotlib.pyplot as plt
import numpy as np
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline
from latentover import SmoothedBootstrapSampler
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

rng = np.random.default_rng(0)
X, y = rng.normal(size=(1000, 10)), np.repeat([0, 1], [900, 100])
folds = StratifiedKFold(5, shuffle=True, random_state=0)
classifier = KNeighborsClassifier(3)


def balanced_accuracy(model, X, y):
    """Return the score of every fold."""
    return cross_val_score(model, X, y, cv=folds, scoring="balanced_accuracy")


# %%
# Wrong: everything is over-sampled, and then split. Right: the sampler is a
# step of imbalanced-learn's pipeline, which over-samples training folds alone.

samplers = {
    "Random over-sampling": RandomOverSampler(random_state=0),
    "SMOTE": SMOTE(random_state=0),
    "Smoothed bootstrap": SmoothedBootstrapSampler(random_state=0),
}
wrong, right = {}, {}
for name, sampler in samplers.items():
    wrong[name] = balanced_accuracy(classifier, *sampler.fit_resample(X, y))
    right[name] = balanced_accuracy(make_pipeline(sampler, classifier), X, y)

figure, ax = plt.subplots(figsize=(6.4, 2.6))
for scores, color, label in (
    (wrong, "C1", "over-sampled before the split"),
    (right, "C0", "training folds alone"),
):
    means = [values.mean() for values in scores.values()]
    ax.scatter(means, list(scores), s=70, color=color, label=label, zorder=3)
    for name, values in scores.items():
        ax.plot(values, [name] * 5, "|", color=color, alpha=0.6)
ax.axvline(0.5, color="0.6", linewidth=1)
ax.text(0.503, 2.75, "nothing can be learned", color="0.4", fontsize=9.5)
ax.set(xlim=(0.45, 1), ylim=(-0.5, 3.2), xlabel="balanced accuracy")
ax.legend(loc="upper right")

# %%
# :func:`latentover.check_leakage` finds it in data that you are given, too:
# rows of the test set that the training data was made of.

from latentover import check_leakage
from sklearn.model_selection import train_test_split

X_all, y_all = SMOTE(random_state=0).fit_resample(X, y)
print(check_leakage(*train_test_split(X_all, test_size=0.2, random_state=0)))
