"""
A table of frauds, and whether the new rows are any good
========================================================

Could the rows be real, are they copies, do they help? Three questions to three
over-samplers, on a table of payments whose rules are known: a fee that is 1.5 %
of the amount, amounts in cents, a cap at 500, and opening hours.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from latentover import ClassicalSampler, RAESampler, SmoothedBootstrapSampler
from latentover.metrics import table_quality
from latentover.report import write_table_quality


def payments(n, rng):
    """Return payments with the column ``fraud``."""
    fraud = rng.random(n) < 0.12
    amount = np.minimum(rng.lognormal(3 + 0.8 * fraud, 0.9, n), 500).round(2)
    return pd.DataFrame(
        {
            "amount": amount,
            "fee": (0.015 * amount).round(2),
            "hour": np.where(
                fraud, rng.normal(2, 4, n) % 24, rng.normal(14, 4, n) % 24
            )
            .round()
            .astype(int)
            % 24,
            "country": rng.choice(
                ["AT", "DE", "FR", "US"], n, p=[0.5, 0.3, 0.15, 0.05]
            ),
            "fraud": np.where(fraud, "yes", "no"),
        }
    )


rng = np.random.default_rng(0)
train, unseen = payments(2500, rng), payments(2500, rng)
X, y = train.drop(columns="fraud"), train["fraud"]

# %%
# Every sampler gets the same rows and makes as many new frauds.

samplers = {
    "SMOTE": ClassicalSampler(random_state=0),
    "smoothed bootstrap": SmoothedBootstrapSampler(random_state=0),
    "RAE": RAESampler(max_steps=300, hidden_units=128, random_state=0),
}
new = {
    name: sampler.fit(X, y)
    .sample(400, y="yes", random_state=0)
    .assign(fraud="yes")
    for name, sampler in samplers.items()
}
real = unseen[unseen["fraud"] == "yes"]

figure, axes = plt.subplots(2, 2, figsize=(6.4, 4.6), sharex=True, sharey=True)
for ax, (name, rows) in zip(
    axes.flat, {"real": real, **new}.items(), strict=True
):
    ax.scatter(
        rows["hour"], rows["amount"], s=7, alpha=0.5, linewidths=0, color="C1"
    )
    ax.set(title=name, yscale="log", xticks=[0, 6, 12, 18, 24])
figure.supxlabel("hour")
figure.supylabel("amount of a fraud")

# %%
# The quality of one of them. *The judge* is a classifier that learns to tell
# new rows from real ones which the sampler has not seen; 0.5 is what it should
# reach.

quality = table_quality(train, new["RAE"], unseen, target="fraud")
print(quality)

# %%
# ``write_table_quality(quality, "quality.html")`` makes the page for people; on
# the command line it is ``latentover resample payments.csv --target fraud --out
# balanced.csv --report quality.html``. :doc:`/guide/table_quality` explains it.

page = Path(tempfile.mkdtemp(), "quality.html")
write_table_quality(quality, page, title="Payments")
