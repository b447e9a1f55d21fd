"""Images per second of a training epoch of MAMix-DRW with ResNet-32, beside a plain PyTorch loop of the usual kind.

Run with ``python benchmarks/classifier_speed.py`` (some minutes on 2 cores); ``--device cuda`` on a GPU. The plain
loop has a ``DataLoader`` over images that are transformed one by one, a loop in Python over the samples of a batch for
their label weights, and a pass of the clean batch before the mixed one for the training accuracy, all in float32. The
networks alone are what no loop of the kind can be faster than: "float32, 2 + 1 passes" two passes forward, one back and
a step of the optimizer on a batch that stands ready, as in the plain loop; the other one pass forward and back as in
ours.

It prints Markdown, for docs/dev/performance.md.
"""

import argparse
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from latentover import DeepClassifier
from latentover.experiments.environment import hardware
from latentover.losses import DRW
from latentover.mixing import MAMix
from latentover.networks import resnet32
from latentover.training import StepDecay, autocast, resolve_precision

BATCH = 128
COUNTS = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
MEAN, SD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def long_tailed_images(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random images (n, 3, 32, 32) with labels in the proportions of long-tailed CIFAR-10 of ratio 100."""
    rng = np.random.default_rng(0)
    shares = np.array(COUNTS) / sum(COUNTS)
    y = np.concatenate([np.arange(10).repeat(2), rng.choice(10, size=n - 20, p=shares)])
    return rng.integers(0, 256, size=(n, 3, 32, 32), dtype=np.uint8), y


class TransformedImages(Dataset):
    """Images that are cropped, mirrored and normalised when they are asked for."""

    def __init__(self, X: np.ndarray, y: np.ndarray) -> None:
        self.images, self.y = [Image.fromarray(image) for image in np.moveaxis(X, 1, -1)], y
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, SD),
            ]
        )

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.images[i]), int(self.y[i])


def plain_label_weights(lam: float, labels: torch.Tensor, partners: torch.Tensor, counts: np.ndarray) -> torch.Tensor:
    """Return the weights (B,) of the labels in the mixed ones, sample by sample."""
    weights = torch.zeros(len(labels), device=labels.device)
    for i in range(len(labels)):
        eta_i, eta_j = counts[int(labels[i])] ** -0.25, counts[int(partners[i])] ** -0.25
        theta = eta_j / (eta_i + eta_j)
        weights[i] = 1 - 0.5 * (1 - lam) / (1 - theta) if lam >= theta else 0.5 * lam / theta
    return weights


def plain_seconds(X: np.ndarray, y: np.ndarray, device: torch.device, epochs: int) -> float:
    """Return the seconds of the fastest epoch of the plain loop."""
    counts = np.bincount(y)
    network = nn.Sequential(resnet32(), nn.Linear(64, 10, bias=False)).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=2e-4)
    loader = DataLoader(TransformedImages(X, y), batch_size=BATCH, shuffle=True)
    drw, seconds = DRW(), []
    rng = np.random.default_rng(0)
    for epoch in range(epochs):
        start = time.perf_counter()
        class_weights = drw.weights(torch.from_numpy(counts), epoch, epochs).float().to(device)
        for inputs, labels in loader:
            inputs, labels = inputs.to(device), labels.to(device)
            accuracy = (network(inputs).argmax(1) == labels).float().mean().item()
            assert accuracy >= 0
            lam, partner = float(rng.beta(1, 1)), torch.randperm(len(labels), device=device)
            weights = plain_label_weights(lam, labels, labels[partner], counts)
            logits = network(lam * inputs + (1 - lam) * inputs[partner])
            first = F.cross_entropy(logits, labels, class_weights, reduction="none")
            second = F.cross_entropy(logits, labels[partner], class_weights, reduction="none")
            loss = (weights * first + (1 - weights) * second).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def our_seconds(X: np.ndarray, y: np.ndarray, device: torch.device, epochs: int) -> float:
    """Return the seconds of the fastest epoch of `DeepClassifier`."""
    fitted = DeepClassifier(
        backbone="resnet32",
        classifier_bias=False,
        standardize=True,
        augment="pad_crop_flip",
        mixing=MAMix(),
        reweighting="drw",
        loss_reduction="mean",
        optimizer="sgd",
        nesterov=False,
        learning_rate=0.1,
        weight_decay=2e-5,
        schedule=StepDecay(),
        batch_size=BATCH,
        max_epochs=epochs,
        device=str(device),
        random_state=0,
    ).fit(X, y)
    return float(np.diff([0.0, *(row["seconds"] for row in fitted.history_)]).min())


def network_seconds(n_steps: int, device: torch.device, rounds: int, *, plain: bool = False) -> float:
    """Return the seconds of the fastest round of `n_steps` updates of the network alone, as in one of the loops."""
    layout = torch.contiguous_format if plain else torch.channels_last
    network = nn.Sequential(resnet32(), nn.Linear(64, 10, bias=False)).to(device, memory_format=layout)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=2e-4, fused=not plain)
    inputs = torch.randn(BATCH, 3, 32, 32, device=device).contiguous(memory_format=layout)
    labels = torch.arange(BATCH, device=device) % 10
    dtype = torch.float32 if plain else resolve_precision("auto", device, images=True)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(n_steps):
            if plain:
                network(inputs)
            with autocast(device, dtype):
                loss = F.cross_entropy(network(inputs).float(), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--images", type=int, default=2560, help="at least 128")
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    X, y = long_tailed_images(options.images)
    n_steps = len(y) // BATCH
    precision = str(resolve_precision("auto", device, images=True)).removeprefix("torch.")
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {hardware()}, torch {torch.__version__}, {device}, {options.threads} threads; "
        f"ours in {precision}; {options.images} images, batches of {BATCH}, fastest of {options.epochs} epochs:\n"
    )
    plain = plain_seconds(X, y, device, options.epochs)
    ours = our_seconds(X, y, device, options.epochs)
    floors = {
        f"network alone, {precision}, 1 + 1 passes": network_seconds(n_steps, device, options.epochs),
        "network alone, float32, 2 + 1 passes": network_seconds(n_steps, device, options.epochs, plain=True),
    }
    # Images per second: the networks alone see whole batches, the loops every image.
    rates = {"plain loop": len(y) / plain, "DeepClassifier": len(y) / ours}
    rates |= {name: n_steps * BATCH / seconds for name, seconds in floors.items()}
    print("| training epoch | images/s | times the plain loop |\n|---|---|---|")
    for name, rate in rates.items():
        print(f"| {name} | {rate:.0f} | {rate / rates['plain loop']:.2f} |")


if __name__ == "__main__":
    main()
