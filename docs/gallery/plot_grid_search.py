"""
A grid search over sampler and classifier
=========================================

Samplers are steps of imbalanced-learn's pipeline, so scikit-learn's searches
tune them together with the classifier, each fold for itself.
"""

import matplotlib.pyplot as plt
from imblearn.pipeline import make_pipeline
from latentover import ClassicalSampler, RAESampler, SmoothedBootstrapSampler
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier

X, y = make_classification(
    900, 8, n_informative=5, weights=[0.92], class_sep=0.9, random_state=0
)
pipeline = make_pipeline(ClassicalSampler(), KNeighborsClassifier())
samplers = {
    "none": "passthrough",
    "SMOTE": ClassicalSampler(random_state=0),
    "Borderline-SMOTE": ClassicalSampler(
        method="borderline_smote", random_state=0
    ),
    "smoothed bootstrap": SmoothedBootstrapSampler(random_state=0),
    "RAE": RAESampler(max_steps=60, hidden_units=64, random_state=0),
}
neighbors = [1, 3, 5, 9, 15]
search = GridSearchCV(
    pipeline,
    {
        "classicalsampler": list(samplers.values()),
        "kneighborsclassifier__n_neighbors": neighbors,
    },
    scoring="balanced_accuracy",
    cv=3,
).fit(X, y)

# %%
scores = search.cv_results_["mean_test_score"].reshape(
    len(samplers), len(neighbors)
)
figure, ax = plt.subplots(figsize=(6.4, 3.2))
ax.imshow(scores, cmap="Blues", vmin=scores.min() - 0.05, aspect="auto")
for (row, column), score in zip(
    [(r, c) for r in range(len(samplers)) for c in range(len(neighbors))],
    scores.ravel(),
    strict=True,
):
    best = score == scores.max()
    ax.text(
        column,
        row,
        f"{score:.2f}",
        ha="center",
        va="center",
        color="white" if score > scores.mean() else "#1c2430",
        weight="bold" if best else "normal",
    )
ax.set_xticks(range(len(neighbors)), neighbors)
ax.set_yticks(range(len(samplers)), list(samplers))
ax.set(
    xlabel="neighbours of the classifier",
    title="Balanced accuracy, three folds",
)
ax.spines[:].set_visible(False)

# %%
# The name of a step is what :func:`imblearn.pipeline.make_pipeline` calls it;
# parameters inside have the usual names, such as ``raesampler__latent_dim``.

print(search.best_params_)
