"""
An encoder of your own
======================

Any over-sampler of imbalanced-learn in the latent space of networks that you
have trained: here a small autoencoder of ten lines, and SMOTE between its codes
beside SMOTE between pixels.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from imblearn.over_sampling import SMOTE
from latentover import ClassicalSampler, LatentOversampler
from sklearn.datasets import load_digits
from torch import nn

digits = load_digits()
images = (digits.images[:, None] / 16).astype("float32")
rare = np.flatnonzero(digits.target == 8)[:12]
rows = np.concatenate([np.flatnonzero(digits.target != 8)[:600], rare])
X, y = images[rows], digits.target[rows]

# %%
# Networks of your own, trained as you like. Nothing here is of latentover.

torch.manual_seed(0)
encoder = nn.Sequential(
    nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 16)
)
decoder = nn.Sequential(
    nn.Linear(16, 128),
    nn.ReLU(),
    nn.Linear(128, 64),
    nn.Sigmoid(),
    nn.Unflatten(1, (1, 8, 8)),
)
optimizer = torch.optim.Adam(
    [*encoder.parameters(), *decoder.parameters()], 2e-3
)
data = torch.tensor(X)
for _ in range(150):
    for batch in data[torch.randperm(len(data))].split(64):
        loss = (decoder(encoder(batch)) - batch).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

# %%
# ``LatentOversampler`` encodes, lets the sampler work, and decodes.

latent = LatentOversampler(
    sampler=SMOTE(k_neighbors=4),
    encoder=encoder,
    decoder=decoder,
    random_state=0,
).fit(X, y)
pixels = ClassicalSampler(k_neighbors=4, random_state=0).fit(X, y)

panels = {
    "12 real ones": X[-12:],
    "SMOTE between pixels": pixels.sample(12, y=8, random_state=0),
    "SMOTE between codes": latent.sample(12, y=8, random_state=0),
}
figure = plt.figure(figsize=(6.4, 3))
for part, (name, drawn) in zip(
    figure.subfigures(3, 1), panels.items(), strict=True
):
    part.suptitle(name, x=0.01, ha="left")
    for ax, image in zip(part.subplots(1, 12), drawn, strict=True):
        ax.imshow(image[0], cmap="gray", vmin=0, vmax=1)
        ax.axis("off")

# %%
# ``RAESampler(encoder=module)`` and ``DeepClassifier(backbone=module)`` train a
# copy of your network instead, see :doc:`/guide/pytorch`.
