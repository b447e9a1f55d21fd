"""Speed of the class-preserving regularized autoencoder beside a plain port of the same updates, on the CPU.

Run with ``python benchmarks/rae_speed.py``: the time of a full cycle of the authors' code (four steps of one decoder
and five critic updates, one joint update; 64 pairs of 28x28 grey images, all switches of that code, no augmentation).
``--accuracy`` adds the time until a recipe reaches an average class-specific accuracy on validation images, official
training images that the run does not train on; the time of the evaluations is not counted.

The port makes the same updates from the same draws, with everything that the recipe sets, the way training scripts
usually do: eager float32, ``nn.Dropout``, contiguous memory, optimizers that are not fused, a ``DataLoader`` in the
main process whose images are PNG files decoded one by one, and ``.item()`` of every loss after each update. It leaves
out what nothing needs: gradients of networks that are not updated, and the norms of gradients, which ours reports.
"""

import argparse
import io
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.functional import to_tensor

from latentover import RAEClassifier
from latentover.data import load_splits
from latentover.data.reading import open_source
from latentover.estimators import TrainingSet
from latentover.estimators.formats import learn_format
from latentover.experiments.environment import hardware
from latentover.experiments.recipe import find_recipes, load_recipe
from latentover.losses import adjusted_logits
from latentover.methods.rae import REFERENCE_CYCLE, RAENetworks, RAEProgram
from latentover.metrics import acsa
from latentover.networks.layers import Dropout, images_last
from latentover.training import (
    ClassTuples,
    Engine,
    PairPool,
    augment_images,
    class_probabilities,
    learning_rate_factor,
    memory_kept,
    resolve_precision,
)

REFERENCE: dict[str, Any] = {
    "conditional_critic": True,
    "decoder_classification": True,
    "penalty_coefficients": "normal",
    "wrong_label": "shuffle",
    "loss_reduction": "mean",
    "encoder_passes": "separate",
    "critic_fakes": "mixtures_and_reconstructions",
    "ema": 0.99,
    "batches": "pool",
    "mixer_activation": "relu",
    "classifier_optimizer": "shared",
    "mixer_betas": (0.9, 0.999),
    "update_order": "reference_code",
    "batch_norm_momentum": 0.01,
}
"""All switches of the authors' code but its augmentation."""
QUICK = {"channels": 4, "decoder_channels": 4, "hidden_units": 16, "batch_size": 8}
CPU = torch.device("cpu")
CYCLE_TARGET, ACCURACY_TARGET = 2.0, 3.0
EVALUATIONS = 40
VALIDATION_PER_CLASS = 800


# ---- Ours ------------------------------------------------------------------------------------------------------------


def prepare(settings: RAEClassifier, X: np.ndarray, y: np.ndarray) -> RAENetworks:
    """Let the estimator learn classes and format of X (n, c, h, w) and y (n,), as `fit` does; return new networks."""
    settings.classes_, settings.class_counts_ = np.unique(y, return_counts=True)
    settings.format_ = learn_format(X, image_shape=None, channels_last=False)
    settings.set_params(**settings._resolved().get_params(deep=False))  # the port reads them
    return settings._build_networks().train()


class Ours:
    """The package's training, outside of `fit`, so that it can be interrupted."""

    def __init__(self, settings: RAEClassifier, X: np.ndarray, y: np.ndarray, networks: RAENetworks) -> None:
        labels = torch.from_numpy(np.unique(y, return_inverse=True)[1])
        data = TrainingSet(
            inputs=settings.format_.encode(X),
            labels=labels,
            class_counts=torch.bincount(labels),
            prepare=settings.format_.network_input,
            dtype=resolve_precision(settings.precision, CPU, images=True),
            generator=torch.Generator().manual_seed(0),
        )
        program = RAEProgram(networks.to(memory_format=torch.channels_last), data, settings)
        self.engine = Engine(program, data.generator, dtype=data.dtype)
        self.networks, self.trained = program.networks, self.engine.trained

    def run(self, first: int, n_steps: int, total: int) -> None:
        """Train for the steps `first` .. `first + n_steps - 1` of `total`; losses are read at the end, as in `fit`."""
        assert total == self.engine.program.n_steps or self.engine.program.settings.schedule == "constant"
        with memory_kept():
            for step in range(first, first + n_steps):
                self.engine.run_step(step)
        self.engine.means()


# ---- The port --------------------------------------------------------------------------------------------------------


class PngImages(Dataset):
    """Images as PNG files in memory, each decoded when it is asked for."""

    def __init__(self, X: np.ndarray, labels: Tensor) -> None:
        self.files, self.labels = [png(image) for image in X], labels.tolist()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return to_tensor(Image.open(io.BytesIO(self.files[i]))), self.labels[i]


def png(image: np.ndarray) -> bytes:
    """Return an image (c, h, w), uint8, as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)).save(file, format="png")
    return file.getvalue()


def with_plain_dropout(module: nn.Module) -> nn.Module:
    """Put torch's dropout in the place of ours."""
    for name, child in module.named_children():
        if isinstance(child, Dropout):
            setattr(module, name, nn.Dropout(child.p))
        else:
            with_plain_dropout(child)
    return module


class Average:
    """A moving average of a network's weights and running statistics, tensor by tensor."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network, self.decay = network, decay
        self.values: dict[str, Tensor] = {}

    @torch.no_grad()
    def update(self) -> None:
        for name, value in self.network.state_dict().items():
            if name not in self.values or not value.is_floating_point():
                self.values[name] = value.clone()
            else:
                self.values[name] = self.decay * self.values[name] + (1 - self.decay) * value


class Port:
    """The same updates in plain PyTorch, written from the paper's equations and the switches' meanings."""

    def __init__(self, settings: RAEClassifier, X: np.ndarray, y: np.ndarray, networks: RAENetworks) -> None:
        for name, value in {"n_components": 2, "class_preserving": True, "decoder": "adversarial"}.items():
            if getattr(settings, name) != value:
                raise ValueError(
                    f"Expected {name} to be {value}, but got {getattr(settings, name)!r}; the port has one."
                )
        if settings.augment == "adaptive" or settings.alpha not in ("mixer", "uniform"):
            raise ValueError(
                "Expected no adaptive augmentation and alpha 'mixer' or 'uniform', but got "
                f"{settings.augment!r} and {settings.alpha!r}; the port has no other."
            )
        self.settings, self.networks = settings, with_plain_dropout(networks)
        labels = torch.from_numpy(np.unique(y, return_inverse=True)[1])
        self.counts = torch.bincount(labels)
        self.n_classes = len(self.counts)
        self.generator = torch.Generator().manual_seed(0)
        rows = (
            PairPool(labels, settings.batch_size, self.generator)
            if settings.batches == "pool"
            else ClassTuples(labels, settings.batch_size, 2, self.generator, power=settings.sampling_power)
        )
        loader = DataLoader(PngImages(X, labels), batch_sampler=(pairs.flatten().tolist() for pairs in rows))
        self.batches = iter(loader)
        self.averages = {
            name: Average(getattr(networks, name), settings.ema) for name in ("encoder", "classifier", "decoder")
        }
        self._make_optimizers()

    def _make_optimizers(self) -> None:
        s, n, lr = self.settings, self.networks, self.settings.learning_rate
        other_lr = s.adversarial_learning_rate or lr
        encoder, classifier = list(n.encoder.parameters()), list(n.classifier.parameters())
        shared = encoder + classifier if s.classifier_optimizer == "shared" else encoder
        decay = s.weight_decay / lr
        if s.optimizer == "sgd":
            first = torch.optim.SGD(shared, lr=lr, momentum=0.9, nesterov=True, weight_decay=decay)
        else:
            first = torch.optim.AdamW(shared, lr=lr, weight_decay=decay)
        self.encoder_optimizers = [first]
        if s.classifier_optimizer == "own":
            self.encoder_optimizers.append(torch.optim.Adam(classifier, lr=lr, betas=(0.5, 0.9)))
        self.mixer_optimizer = torch.optim.Adam(n.mixer.parameters(), lr=other_lr, betas=tuple(s.mixer_betas))
        self.decoder_optimizer = torch.optim.Adam(n.decoder.parameters(), lr=other_lr, betas=(0.5, 0.9))
        self.decoder_joint_optimizer = torch.optim.Adam(n.decoder.parameters(), lr=other_lr)
        self.critic_optimizer = torch.optim.Adam(n.critic.parameters(), lr=other_lr, betas=(0.5, 0.9))

    @property
    def trained(self) -> RAENetworks:
        """What is used after training."""
        if self.settings.ema == 0:
            return self.networks
        averaged = self.settings._build_networks()
        averaged.load_state_dict(self.networks.state_dict())
        for name, average in self.averages.items():
            if average.values:
                getattr(averaged, name).load_state_dict(average.values)
        return averaged

    def run(self, first: int, n_steps: int, total: int) -> None:
        """Train for the steps `first` .. `first + n_steps - 1` of `total`."""
        for step in range(first, first + n_steps):
            factor = learning_rate_factor(self.settings.schedule, step / total)
            for optimizer in self.encoder_optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = self.settings.learning_rate * factor
            self.step(step)

    def step(self, step: int) -> list[dict[str, float]]:
        """Make the updates of a step and return their losses."""
        s = self.settings
        adversarial = [self.update_decoder, *[self.update_critic] * s.critic_steps]
        if s.update_order == "reference_code":
            if step % REFERENCE_CYCLE or step == 0:
                return [update() for update in adversarial]
            return [self.update_joint(reconstruct=step // REFERENCE_CYCLE % s.reconstruct_every == 0)]
        losses = [self.update_joint(reconstruct=step % s.reconstruct_every == 0)]
        if step % s.adversarial_every == 0:
            losses += [update() for update in adversarial]
        return losses

    def batch(self) -> tuple[Tensor, Tensor]:
        """Return pairs of images (B, 2, c, h, w) and their labels (B,)."""
        x, labels = next(self.batches)
        return x.unflatten(0, (-1, 2)), labels[::2]

    def mix(self, z1: Tensor, z2: Tensor, targets: Tensor) -> Tensor:
        """Mix latents (B, m) of one label (2B, C) in both orders: (2B, m)."""
        first, second = torch.cat([z1, z2]), torch.cat([z2, z1])
        if self.settings.alpha == "mixer":
            noise = torch.randn(first.shape, generator=self.generator)
            alpha = self.networks.mixer(torch.stack([first, second], dim=1), targets, noise)
        else:
            draws = -torch.rand(len(first), 2, generator=self.generator).clamp(min=1e-12).log()
            alpha = draws / draws.sum(dim=1, keepdim=True)
        return alpha[:, :1] * first + alpha[:, 1:] * second

    def cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self.settings.loss == "logit_adjusted":
            shares = class_probabilities(self.counts, self.settings.sampling_power).float()
            logits = adjusted_logits(logits, shares, self.settings.tau)
        return F.cross_entropy(logits, targets)

    def update_joint(self, *, reconstruct: bool) -> dict[str, float]:
        s, n = self.settings, self.networks
        x, labels = self.batch()
        seen = augment_images(x.flatten(0, 1), s.augment, self.generator).unflatten(0, (-1, 2))
        onehot = F.one_hot(labels, self.n_classes).float()
        soft = onehot
        if s.mixing is not None:
            blend = s.mixing(seen, labels, self.counts, self.generator)
            seen, soft = blend.inputs, blend.soft_labels(self.n_classes)
        z = n.encoder(seen.flatten(0, 1))
        z1, z2 = z[::2], z[1::2]
        real, targets = torch.cat([z1, z2]), torch.cat([soft, soft])
        if s.encoder_passes == "separate":
            mixed_targets = torch.cat([onehot, onehot])
            mixed = self.mix(n.encoder(x[:, 0]), n.encoder(x[:, 1]), mixed_targets)
        else:
            mixed_targets = targets
            mixed = self.mix(z1, z2, targets)
        mixed_logits = n.classifier(mixed)
        real_loss = self.cross_entropy(n.classifier(real), targets)
        mixed_loss = self.cross_entropy(mixed_logits, mixed_targets)
        classification = 2 * real_loss + mixed_loss if s.loss_reduction == "sum" else (real_loss + mixed_loss) / 2
        losses = {"classifier": classification}
        total, decoder_total = s.classifier_weight * classification, None
        if reconstruct:
            target = x if s.mixing is None else seen
            decoded = n.decoder(real, targets)
            reconstruction = (torch.cat([target[:, 0], target[:, 1]]) - decoded).abs().mean()
            losses["reconstruction"] = reconstruction
            total = total + s.reconstruction_weight * reconstruction
            if s.decoder_reconstruction:
                decoder_total = s.reconstruction_weight * reconstruction
            if s.decoder_classification:
                fakes = torch.cat([n.decoder(mixed, mixed_targets), decoded])
                fooled = F.cross_entropy(n.classifier(n.encoder(fakes)), torch.cat([mixed_targets, targets]))
                losses["decoder_classification"] = fooled
                decoder_total = fooled if decoder_total is None else decoder_total + fooled
        # All gradients belong to the same passes, so they are taken before any weight moves.
        groups = [(total, [*n.encoder.parameters(), *n.classifier.parameters()], self.encoder_optimizers)]
        if decoder_total is not None:
            groups.append((decoder_total, list(n.decoder.parameters()), [self.decoder_joint_optimizer]))
        if s.alpha == "mixer":
            losses["mixer"] = F.cross_entropy(mixed_logits, self.wrong_labels(labels))
            groups.append((losses["mixer"], list(n.mixer.parameters()), [self.mixer_optimizer]))
        gradients = [torch.autograd.grad(loss, parameters, retain_graph=True) for loss, parameters, _ in groups]
        for (_, parameters, optimizers), their_gradients in zip(groups, gradients, strict=True):
            for parameter, gradient in zip(parameters, their_gradients, strict=True):
                parameter.grad = gradient
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
        self.average("encoder", "classifier", *(["decoder"] if decoder_total is not None else []))
        return {name: loss.item() for name, loss in losses.items()}

    def wrong_labels(self, labels: Tensor) -> Tensor:
        labels = labels.repeat(2)
        if self.settings.wrong_label == "shuffle":
            return labels[torch.randperm(len(labels), generator=self.generator)]
        return (labels + torch.randint(1, self.n_classes, labels.shape, generator=self.generator)) % self.n_classes

    @torch.no_grad()
    def adversarial_batch(self) -> tuple[list[Tensor], Tensor, Tensor]:
        """Return groups of latents to decode, their labels (2B, C) and real images (2B, c, h, w)."""
        n = self.networks
        x, labels = self.batch()
        onehot = F.one_hot(labels, self.n_classes).float().repeat(2, 1)
        if self.settings.encoder_passes == "separate":
            z1, z2 = n.encoder(x[:, 0]), n.encoder(x[:, 1])
        else:
            z = n.encoder(x.flatten(0, 1))
            z1, z2 = z[::2], z[1::2]
        groups, real = [self.mix(z1, z2, onehot)], torch.cat([x[:, 0], x[:, 1]])
        if self.settings.critic_fakes == "mixtures_and_reconstructions":
            groups.append(n.encoder(real))
        return groups, onehot, real

    def update_decoder(self) -> dict[str, float]:
        n = self.networks
        groups, onehot, _ = self.adversarial_batch()
        fake = torch.cat([n.decoder(z, onehot) for z in groups])
        loss = -n.critic(fake, onehot.repeat(len(groups), 1)).mean()
        loss.backward(inputs=list(n.decoder.parameters()))
        self.decoder_optimizer.step()
        self.decoder_optimizer.zero_grad()
        self.average("decoder")
        return {"decoder": loss.item()}

    def update_critic(self) -> dict[str, float]:
        s, n = self.settings, self.networks
        groups, onehot, real = self.adversarial_batch()
        with torch.no_grad():
            fake = torch.cat([n.decoder(z, onehot) for z in groups])
        onehots, reals = onehot.repeat(len(groups), 1), real.repeat(len(groups), 1, 1, 1)
        fake_scores, real_scores = n.critic(fake, onehots), n.critic(real, onehot)
        sample = torch.rand if s.penalty_coefficients == "uniform" else torch.randn
        a = sample(len(fake), 1, 1, 1, generator=self.generator)
        between = (reals + a * (fake - reals)).requires_grad_()
        (slope,) = torch.autograd.grad(n.critic(between, onehots).sum(), between, create_graph=True)
        penalty = (((slope**2).sum(dim=(1, 2, 3)) + 1e-12).sqrt() - 1).pow(2).mean()
        loss = fake_scores.mean() - real_scores.mean() + s.gradient_penalty_weight * penalty
        loss.backward(inputs=list(n.critic.parameters()))
        self.critic_optimizer.step()
        self.critic_optimizer.zero_grad()
        return {"critic": loss.item(), "gradient_penalty": penalty.item()}

    def average(self, *names: str) -> None:
        if self.settings.ema > 0:
            for name in names:
                self.averages[name].update()


# ---- Measurements ----------------------------------------------------------------------------------------------------


def make_both(settings: RAEClassifier, X: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Return the port and ours, with equal first weights."""
    torch.manual_seed(0)
    first, second = prepare(settings, X, y), prepare(settings, X, y)
    second.load_state_dict(first.state_dict())
    return {"port": Port(settings, X, y, first), "ours": Ours(settings, X, y, second)}


def smooth_images(n: int, n_classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Return grey images (n, 1, 28, 28), random but compressible as pictures are, and labels, all equally frequent."""
    coarse = np.random.default_rng(0).integers(0, 256, size=(n, 1, 7, 7), dtype=np.uint8)
    return coarse.repeat(4, axis=2).repeat(4, axis=3), np.arange(n) % n_classes


def cycle_seconds(settings: RAEClassifier, repeats: int, cycles: int, n_images: int) -> dict[str, list[float]]:
    """Return the seconds of a cycle in each repeat of `cycles` cycles, one of the port and one of ours in turn."""
    both = make_both(settings, *smooth_images(n_images))
    # Steps 1-4 are adversarial and step 5 is joint, so a cycle starts at step 1; one step of each kind warms up.
    for trainer in both.values():
        trainer.run(REFERENCE_CYCLE - 1, 2, REFERENCE_CYCLE + 1)
    seconds: dict[str, list[float]] = {name: [] for name in both}
    n_steps = REFERENCE_CYCLE * cycles
    for _ in range(repeats):
        for name, trainer in both.items():
            start = time.perf_counter()
            trainer.run(1, n_steps, n_steps)
            seconds[name].append((time.perf_counter() - start) / cycles)
    return seconds


def validation_images(X: np.ndarray, y: np.ndarray, X_train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return 800 images a class, or as many as there are, that are like no training image in every pixel."""
    trained_on = {image.tobytes() for image in X_train}
    free = np.array([image.tobytes() not in trained_on for image in X])
    rng = np.random.default_rng(0)
    rows = [rng.permutation(np.flatnonzero(free & (y == label)))[:VALIDATION_PER_CLASS] for label in np.unique(y)]
    chosen = np.sort(np.concatenate(rows))
    return X[chosen], y[chosen]


@torch.inference_mode()
def validation_acsa(trainer: Any, settings: RAEClassifier, X: np.ndarray, y: np.ndarray) -> float:
    """Return the average class-specific accuracy in percent of what the training would give if it ended now."""
    networks = trainer.trained
    modes = {module: module.training for module in networks.modules()}
    networks.eval()
    predicted = []
    for batch in settings.format_.encode(X).split(1000):
        x = images_last(settings.format_.network_input(batch))
        logits = networks.logits(x)
        if settings.average_mirrored:
            logits = logits + networks.logits(images_last(x.flip(-1)))
        predicted.append(logits.argmax(dim=1))
    for module, mode in modes.items():
        module.training = mode
    return 100 * acsa(y, settings.classes_[torch.cat(predicted).numpy()])


def seconds_to_reach(
    target: float, trainer: Any, settings: RAEClassifier, limit: float, validation: tuple[np.ndarray, np.ndarray]
) -> tuple[float | None, float, float]:
    """Train until `target` percent, the `limit` in seconds or the last step.

    Returns
    -------
    (float or None, float, float)
        Seconds of training until the target was reached, seconds of training in all, and the highest score.
    """
    total = settings.max_steps
    every = max(1, total // EVALUATIONS)
    seconds, best = 0.0, 0.0
    for first in range(0, total, every):
        n_steps = min(every, total - first)
        start = time.perf_counter()
        trainer.run(first, n_steps, total)
        seconds += time.perf_counter() - start
        best = max(best, validation_acsa(trainer, settings, *validation))
        if best >= target:
            return seconds, seconds, best
        if seconds >= limit:
            break
    return None, seconds, best


# ---- Tables ----------------------------------------------------------------------------------------------------------


def row(what: str, port: str, ours: str, ratio: str, target: float) -> str:
    return f"| {what} | {port} | {ours} | {ratio} | at least {target:g} |"


def cycle_row(repeats: int, cycles: int, *, quick: bool) -> str:
    settings = RAEClassifier(**REFERENCE, **(QUICK if quick else {}))
    seconds = cycle_seconds(settings, repeats, cycles, n_images=200 if quick else 5000)
    port, ours = (statistics.median(seconds[name]) for name in ("port", "ours"))
    ratios = [one / other for one, other in zip(seconds["port"], seconds["ours"], strict=True)]
    spread = f"{port / ours:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return row("a cycle of the authors' code", f"{port:.3f} s", f"{ours:.3f} s", spread, CYCLE_TARGET)


def accuracy_row(recipe_path: str, target: float, limit: float, *, quick: bool, root: str | None) -> str:
    recipe = load_recipe(find_recipes([recipe_path])[0])
    settings = recipe.method
    if quick:
        settings.set_params(**QUICK, max_steps=4)
    splits = load_splits(recipe.data, root=root)
    source = open_source(recipe.data.source, root=root)
    validation = validation_images(source.X, source.y, splits.X_train)
    reached, spent, cells = {}, {}, {}
    for name in ("port", "ours"):
        trainer = make_both(settings, splits.X_train, splits.y_train)[name]
        torch.manual_seed(0)
        reached[name], spent[name], best = seconds_to_reach(target, trainer, settings, limit, validation)
        late = f"not reached within {spent[name]:.0f} s (best {best:.2f})"
        cells[name] = late if reached[name] is None else f"{reached[name]:.0f} s"
    ratio = "-"
    if reached["ours"] is not None:
        more = "" if reached["port"] is not None else "more than "
        ratio = f"{more}{spent['port'] / reached['ours']:.2f}"
    what = f"to ACSA {target:g}, {recipe.group}/{recipe.name}"
    return row(what, cells["port"], cells["ours"], ratio, ACCURACY_TARGET)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5, help="of the cycles, by turns")
    parser.add_argument("--cycles", type=int, default=3, help="in a repeat; 0 leaves this measurement out")
    parser.add_argument(
        "--accuracy", type=float, nargs="?", const=84.79, help="ACSA in percent to be reached (without a value: 84.79)"
    )
    parser.add_argument("--recipe", default="fashion_mnist/rae.yaml", help="for --accuracy")
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds of training for --accuracy")
    parser.add_argument("--data-root", help="folder of the named data sets")
    parser.add_argument("--quick", action="store_true", help="tiny networks and few steps: whether it runs at all")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    precision = str(resolve_precision("auto", CPU, images=True)).removeprefix("torch.")
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {hardware()}, torch {torch.__version__}, {options.threads} threads; "
        f"the port in float32, ours in {precision}\n"
    )
    print("| time | port | ours | port / ours | target |\n|---|---|---|---|---|", flush=True)
    if options.cycles > 0:
        print(cycle_row(options.repeats, options.cycles, quick=options.quick), flush=True)
    if options.accuracy is not None:
        print(
            accuracy_row(options.recipe, options.accuracy, options.limit, quick=options.quick, root=options.data_root)
        )


if __name__ == "__main__":
    main()
