"""
Threshold against resampling
============================

SMOTE finds more frauds. So does a lower threshold, without a new row. The
picture shows what each costs in false alarms: a threshold walks along the whole
curve, resampling with the usual threshold is one point near it.
"""

import matplotlib.pyplot as plt
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline
from latentover import (
    PriorAdjustedClassifier,
    SmoothedBootstrapSampler,
    TunedDecisionClassifier,
)
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split

X, y = make_classification(
    12000, 12, n_informative=6, weights=[0.97], class_sep=0.9, random_state=3
)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, stratify=y, test_size=0.5, random_state=0
)


def boosting(**settings):
    """Return an unfitted classifier."""
    return HistGradientBoostingClassifier(
        max_iter=60, random_state=0, **settings
    )


# %%
# Six ways to the same end. The first three leave the rows as they are.

methods = {
    "as it is": boosting(),
    "tuned threshold": TunedDecisionClassifier(estimator=boosting()),
    "prior adjustment": PriorAdjustedClassifier(estimator=boosting()),
    "class weights": boosting(class_weight="balanced"),
    "SMOTE": make_pipeline(SMOTE(random_state=0), boosting()),
    "smoothed bootstrap": make_pipeline(
        SmoothedBootstrapSampler(random_state=0), boosting()
    ),
}


def recall_and_alarms(predicted):
    """Return the recall of the rare class, and false alarms in 1,000 rows."""
    (_, false), (missed, found) = confusion_matrix(y_test, predicted)
    return found / (found + missed), 1000 * false / len(y_test)


figure, ax = plt.subplots(figsize=(6.4, 4))
fitted = {name: model.fit(X_train, y_train) for name, model in methods.items()}
for name, model in fitted.items():
    recall, alarms = recall_and_alarms(model.predict(X_test))
    new_rows = name in ("SMOTE", "smoothed bootstrap")
    ax.scatter(alarms, recall, s=60, color="C1" if new_rows else "C0", zorder=3)
    shift = (-8, 6) if new_rows else (8, -12)
    side = "right" if new_rows else "left"
    ax.annotate(
        name, (alarms, recall), shift, textcoords="offset points", ha=side
    )
    print(f"{name:20} finds {recall:.0%}, {alarms:5.1f} false alarms in 1,000")

fraud = fitted["as it is"].predict_proba(X_test)[:, 1]
curve = [recall_and_alarms(fraud > t) for t in sorted(set(fraud.round(3)))]
ax.plot(
    [a for _, a in curve], [r for r, _ in curve], color="C0", lw=1, alpha=0.6
)
ax.set(
    xscale="symlog",
    xlim=(0, 300),
    ylim=(0, 1),
    xlabel="false alarms in 1,000 rows",
    ylabel="recall of the rare class",
)
ax.text(1.5, 0.12, "line: every threshold of the plain classifier", color="C0")

# %%
# Blue points need no new row. Which point is best depends on what a missed case
# and a false alarm cost; :func:`latentover.advise` asks your own table, by
# cross-validation, and :doc:`/guide/advise` says what is known.
