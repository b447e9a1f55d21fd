"""
MAMix and LDAM in a loop of your own
====================================

Rules, losses and weights are plain PyTorch: nothing here knows of an estimator.
"""

import matplotlib.pyplot as plt
import torch
from latentover.data import Imbalance, subsample
from latentover.losses import DRW, LDAMLoss, soft_cross_entropy
from latentover.mixing import MAMix
from latentover.networks import CosineClassifier, build_encoder
from sklearn.datasets import load_digits

digits = load_digits()
images = torch.tensor(digits.images[:, None] / 16, dtype=torch.float32)
labels = torch.tensor(digits.target)
counts = Imbalance("long_tailed", rho=40, largest=150).class_counts(
    labels.bincount().numpy()
)
train = torch.as_tensor(subsample(digits.target, counts, random_state=0))
test = torch.ones(len(labels), dtype=bool)
test[train] = False
class_counts = labels[train].bincount()

# %%
# The whole loop. ``mix`` is a mixing rule or nothing; ``loss_of`` takes the
# outputs of the network, the labels or what the rule made of them, and class
# weights.


def fit(head, loss_of, mix=None, weighting=None, n_epochs=40):
    """Train, and return the recall of each class on the test images."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    encoder = build_encoder((1, 8, 8), 64, channels=16, hidden_units=64)
    network = torch.nn.Sequential(encoder, head)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    for epoch in range(n_epochs):
        weights = weighting and weighting.weights(class_counts, epoch, n_epochs)
        for rows in train[
            torch.randperm(len(train), generator=generator)
        ].split(64):
            x, y = images[rows], labels[rows]
            if mix:
                y = mix(x, y, class_counts, generator)
                x = y.inputs
            loss = loss_of(network(x), y, weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.inference_mode():
        right = network.eval()(images[test]).argmax(dim=1) == labels[test]
    return [right[labels[test] == c].float().mean().item() for c in range(10)]


linear = torch.nn.Linear
recalls = {
    "cross-entropy": fit(linear(64, 10), soft_cross_entropy),
    "MAMix + DRW": fit(
        linear(64, 10),
        soft_cross_entropy,
        mix=MAMix(),
        weighting=DRW(start=0.6),
    ),
    "LDAM + DRW": fit(
        CosineClassifier(64, 10),
        lambda out, y, weights: LDAMLoss(class_counts, weight=weights)(out, y),
        weighting=DRW(start=0.6),
    ),
}

# %%
figure, ax = plt.subplots(figsize=(6.4, 3.4))
for number, (name, recall) in enumerate(recalls.items()):
    mean = sum(recall) / 10
    ax.plot(recall, "o-", color=f"C{number}", label=f"{name}: mean {mean:.1%}")
ticks = [f"{c}\n{n}" for c, n in enumerate(class_counts.tolist())]
ax.set_xticks(range(10), ticks)
ax.set(ylim=(0, 1.03), xlabel="digit, and its training images", ylabel="recall")
ax.legend(loc="lower left")
