r"""M2m, major to minor: rare samples are made by translating frequent ones with a second classifier.

Kim, Jeong and Shin, "M2m: Imbalanced Classification via Major-to-minor Translation", CVPR 2020.

After a first part of ordinary training, batches are class-balanced, and a sample of class k is replaced, the rarer k
the more often, by an image of a more frequent class :math:`k_0` that is moved until a guide g is sure of class k:

.. math::
    x^* = \arg\min_x \mathrm{CE}(g(x), k) + \lambda f_{k_0}(x)

The guide is trained on the same data without any of this, and is not needed afterwards.

Deviations: the noise that a translation starts from has its length per image, 0.5; the authors' code gives that length
to each channel of a whole batch, which leaves :math:`0.5 \sqrt{C / B}` to an image: 0.077 with 128 images of 3
channels, 6.5 times less. ``noise_norm="reference_code"`` is theirs.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentover.estimators import TrainingSet
from latentover.estimators.parameters import Fraction, NonNegative, Positive, PositiveInt, ProperFraction
from latentover.methods.deep_classifier import ClassifierProgram, DeepClassifier
from latentover.training import Action, ClassBatches, Losses, Phase, augment_images, host_may_look, parallel
from latentover.training.checkpoints import keeping

Network = Callable[[Tensor], Tensor]
"""From inputs (B, ...) to logits (B, C)."""


# ---- Probabilities ---------------------------------------------------------------------------------------------------


def keep_probability(class_counts: Tensor) -> Tensor:
    r"""Return the probabilities (C,) :math:`n_k / \max_c n_c` with which a drawn sample is used as it is.

    Examples
    --------
    >>> import torch
    >>> keep_probability(torch.tensor([5000, 500, 50]))
    tensor([1.0000, 0.1000, 0.0100])
    """
    return class_counts / class_counts.max()


def acceptance_probability(n_seed: Tensor, n_target: Tensor, beta: float = 0.999) -> Tensor:
    r"""Return :math:`1 - \beta^{\max(n_{k_0} - n_k, 0)}`, with which a sample may become one of a rarer class.

    Parameters
    ----------
    n_seed, n_target : integer Tensor
        Samples of the class that a translation starts from, and of the one that it goes to; of shapes that broadcast.
    beta : float in [0, 1), default=0.999

    Examples
    --------
    >>> import torch
    >>> acceptance_probability(torch.tensor([5000, 500, 50]), torch.tensor(50))
    tensor([0.9929, 0.3625, 0.0000])
    """
    return (1 - beta ** (n_seed - n_target).clamp(min=0).double()).float()


# ---- Translation -----------------------------------------------------------------------------------------------------


def translate(
    guide: Network,
    model: Network,
    inputs: Tensor,
    seed_labels: Tensor,
    targets: Tensor,
    *,
    n_steps: int = 10,
    step_size: float = 0.1,
    repulsion: float = 0.5,
    value_range: tuple[float, float] | None = (0.0, 1.0),
) -> Tensor:
    r"""Move inputs towards what `guide` takes for `targets` and `model` does not take for `seed_labels`.

    Each step is :math:`x \leftarrow x - \eta\, g / \|g\|_2` along the gradient g of
    :math:`\mathrm{CE}(guide(x), k) + \lambda\, model(x)_{k_0}`, an image on its own, clipped to the value range.

    Parameters
    ----------
    guide, model : callable
        To logits, in evaluation mode: an input's logits depend on that input alone.
    inputs : Tensor of shape (B, ...)
        Where to start.
    seed_labels, targets : integer Tensor of shape (B,)
        The k0 and the k.
    n_steps : int, default=10
    step_size : float, default=0.1
        The eta, a Euclidean length.
    repulsion : float, default=0.5
        The lambda.
    value_range : (low, high) or None, default=(0.0, 1.0)

    Returns
    -------
    Tensor of shape (B, ...)
    """
    x = inputs.detach()
    for _ in range(n_steps):
        with torch.enable_grad():
            x = x.requires_grad_()
            away = model(x).gather(1, seed_labels.unsqueeze(1)).mean()
            (gradient,) = torch.autograd.grad(F.cross_entropy(guide(x), targets) + repulsion * away, x)
        with torch.no_grad():
            length = gradient.flatten(1).norm(dim=1).view(-1, *[1] * (x.dim() - 1))
            x = x - step_size * gradient / (length + 1e-10)
            x = x if value_range is None else x.clamp(*value_range)
    return x.detach()


def ball_noise(like: Tensor, radius: float, generator: torch.Generator, norm: str = "sample") -> Tensor:
    """Return noise of the shape of `like` (B, C, ...): of length `radius` in a random direction for each sample.

    With ``norm="reference_code"`` it is uniform, and the values of a channel (a column of a table) have at most that
    length in all B samples together.
    """
    if norm == "sample":
        noise = torch.randn(like.shape, generator=generator, device=like.device)
        return radius * F.normalize(noise.flatten(1), dim=1).view_as(noise)
    noise = torch.rand(like.shape, generator=generator, device=like.device) - 0.5
    return noise.renorm(p=2, dim=1, maxnorm=radius)


# ---- The estimator ---------------------------------------------------------------------------------------------------


@dataclass(kw_only=True, eq=False, repr=False)
class M2mClassifier(DeepClassifier):
    """A deep classifier whose rare training samples are, late in the training, translated from frequent ones.

    Parameters
    ----------
    translation_start : float in [0, 1], default=0.8
        Fraction of the epochs after which batches are balanced and translated; 160 of 200.
    translation_steps : int, default=10
        Gradient steps of a translation.
    translation_step_size : float, default=0.1
        Euclidean length of a step, for inputs in [0, 1].
    repulsion : float, default=0.5
        Weight of the trained network's logit of the class that a translation starts from.
    acceptance_beta : float in [0, 1), default=0.999
        See `acceptance_probability`; 0.9999 where classes are larger.
    confidence : float in [0, 1], default=0.9
        Probability of its new class, by the guide, that a translation has to reach.
    noise_radius : float, default=0.5
        Euclidean length of the noise that is added to where a translation starts.
    noise_norm : {"sample", "reference_code"}, default="sample"
        Of what that is the length: of each sample's noise, or, as in the reference implementation, of each channel's in
        all translated samples of a batch together, which is 6.5 times less for each of 128 images of 3 channels.
    guide : {"own", "reference_code"}, default="own"
        Whether the guide is a network of its own, trained before in the same way but with plain cross-entropy, or, as
        in one of the reference implementations, the network that is being trained. The first doubles the training.
    ...
        See `DeepClassifier`; `mixing` and `stage_sampler` have to be None and `batches` ``"natural"``.

    Attributes
    ----------
    classes_, class_counts_, networks_, history_, device_
        See `latentover.estimators.BaseDeepEstimator`. The history's ``translated`` is the share of a batch that was
        replaced, from the first translated epoch on.
    guide_history_ : list of dict
        Of the guide's training, if it has one of its own.

    References
    ----------
    Kim, Jeong and Shin, "M2m: Imbalanced Classification via Major-to-minor Translation", CVPR 2020.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(200, weights=[0.9], random_state=0)
    >>> M2mClassifier(max_epochs=5, hidden_units=32, random_state=0).fit(X, y).predict(X).shape
    (200,)
    """

    translation_start: Fraction = 0.8
    translation_steps: PositiveInt = 10
    translation_step_size: Positive = 0.1
    repulsion: NonNegative = 0.5
    acceptance_beta: ProperFraction = 0.999
    confidence: Fraction = 0.9
    noise_radius: NonNegative = 0.5
    noise_norm: Literal["sample", "reference_code"] = "sample"
    guide: Literal["own", "reference_code"] = "own"

    def _check_settings(self) -> list[str]:
        problems = super()._check_settings()
        if self.mixing is not None:
            problems.append(f"mixing to be None, for M2m makes its own samples, but got {self.mixing!r}")
        if self.batches != "natural":
            problems.append(f"batches to be 'natural' before the translations begin, but got {self.batches!r}")
        if self.stage_sampler is not None:
            problems.append(f"stage_sampler to be None, for M2m has a stage of its own, but got {self.stage_sampler!r}")
        return problems

    def _program(self, data: TrainingSet) -> "M2mProgram":
        self._learn_standardizer(self.networks_, data)
        guide = self._trained_guide(data) if self.guide == "own" else self.networks_
        return M2mProgram(self, self.networks_, data, guide)

    def _trained_guide(self, data: TrainingSet) -> nn.ModuleDict:
        """Return a network of the same kind, trained with plain cross-entropy."""
        shared = {
            parameter.name: getattr(self, parameter.name) for parameter in fields(DeepClassifier) if parameter.init
        }
        plain = DeepClassifier(**{**shared, "loss": "ce", "reweighting": None, "track": False})
        plain.format_, plain.classes_, plain.class_counts_ = self.format_, self.classes_, self.class_counts_
        guide = plain._initial_networks().to(data.device)
        guide = guide.to(memory_format=torch.channels_last) if len(self.format_.shape) == 3 else guide
        self._learn_standardizer(guide, data)
        checkpoint = None if data.checkpoint is None else data.checkpoint.part("guide")
        alone = replace(data, validation=None, checkpoint=checkpoint)
        program = ClassifierProgram(plain, guide.train(), alone)
        engine = plain._engine(program, alone, description=f"{type(self).__name__}, guide")
        with keeping():  # until the whole training is complete
            self.guide_history_ = engine.run()
        trained = engine.trained.eval().requires_grad_(requires_grad=False)
        assert isinstance(trained, nn.ModuleDict)
        return trained


class M2mProgram(ClassifierProgram):
    """The training of one network with a guide: ordinary updates, and from some epoch on translated ones.

    Parameters
    ----------
    settings : M2mClassifier
    networks, guide : nn.ModuleDict
        Of `DeepClassifier._build_networks`, on the device.
    data : TrainingSet
    """

    settings: M2mClassifier

    def __init__(
        self, settings: M2mClassifier, networks: nn.ModuleDict, data: TrainingSet, guide: nn.ModuleDict
    ) -> None:
        self.guide = guide
        size = settings.batch_size * parallel.n_processes()
        self.balanced_batches = ClassBatches(data.labels, size, data.generator)
        super().__init__(settings, networks, data)

    def _phases(self) -> list[Phase | Action]:
        """Return the ordinary update and, from the first such epoch on, the one of translated batches."""
        first = self.first_step(int(self.settings.translation_start * self.settings.max_epochs + 0.5))
        translated = Phase(
            name="classifier",
            draw=self.draw_translated,
            losses=self.translated_losses,
            moves={"networks": {"classifier": 1.0}},
            streams=[self.balanced_batches],
            when=lambda step: step >= first,
        )
        return [self._phase(self.source, when=lambda step: step < first), translated]

    def draw_translated(self) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Return a balanced batch, of which some samples are translations: inputs, labels, the share of these, weights.

        A translation has the weight of the sample that it starts from.
        """
        rows, data = parallel.divisible(self.balanced_batches.draw()), self.data
        inputs = augment_images(data.prepare(data.inputs[rows]), self.settings.augment, data.generator)
        inputs, labels = parallel.part(inputs), parallel.part(data.labels[rows])
        inputs, share, origins = self.translated(inputs, labels)
        weights = data.weights_of(rows)
        return self.standardized(inputs), labels, share, None if weights is None else parallel.part(weights)[origins]

    def translated_losses(self, draws: tuple[Tensor, Tensor, Tensor, Tensor | None]) -> Losses:
        """Return the loss of a translated batch, and what share of it is translations."""
        inputs, labels, share, weights = draws
        return {"classifier": self.source.label_loss(self.outputs(inputs), labels, weights), "translated": share}

    def translated(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return a balanced batch with translations in place of some samples, their share, and which sample each is of.

        Parameters
        ----------
        inputs : Tensor of shape (B, ...)
            Not standardised.
        labels : integer Tensor of shape (B,)
        """
        settings, generator, counts = self.settings, self.data.generator, self.data.class_counts
        n = len(labels)

        def chance(probability: Tensor) -> Tensor:
            return parallel.draws(torch.rand, n, generator=generator) < probability

        acceptance = acceptance_probability(counts[labels], counts[labels].unsqueeze(1), settings.acceptance_beta)
        # No sample of a batch is of a larger class than some slot's: nothing can be translated to it.
        seeded = acceptance.sum(dim=1) > 0
        slots = ~chance(keep_probability(counts)[labels]) & seeded
        itself = torch.eye(n, device=labels.device) * ~seeded
        seeds = torch.multinomial(acceptance + itself, 1, generator=generator).squeeze(1)
        noise, accepted = (
            ball_noise(inputs, settings.noise_radius, generator, settings.noise_norm),
            chance(acceptance[range_of(seeds), seeds]),
        )
        # All samples are translated where it is not for the host to know which ones are to be.
        rows = slots.nonzero().squeeze(1) if host_may_look(labels.device) else range_of(seeds)
        if len(rows) == 0:
            return inputs, inputs.new_zeros(()), range_of(seeds)
        start = inputs[seeds[rows]] + noise[rows]
        images = inputs.dim() == 4
        self.networks.eval()
        moved = translate(
            lambda x: settings._outputs(self.guide, x),
            lambda x: settings._outputs(self.networks, x),
            start.clamp(0, 1) if images else start,
            labels[seeds[rows]],
            labels[rows],
            n_steps=settings.translation_steps,
            step_size=settings.translation_step_size,
            repulsion=settings.repulsion,
            value_range=(0.0, 1.0) if images else None,
        )
        sure = settings._outputs(self.guide, moved).softmax(dim=1).gather(1, labels[rows].unsqueeze(1))
        self.networks.train()
        taken = slots[rows] & accepted[rows] & (sure.squeeze(1) >= settings.confidence)
        taken_as = taken.view(-1, *[1] * (inputs.dim() - 1))
        replaced = inputs.index_copy(0, rows, torch.where(taken_as, moved.to(inputs.dtype), inputs[rows]))
        origins = range_of(seeds).index_copy(0, rows, torch.where(taken, seeds[rows], rows))
        return replaced, taken.sum() / n, origins


def range_of(x: Tensor) -> Tensor:
    """Return the numbers 0..n-1 of the rows of x (n, ...)."""
    return torch.arange(len(x), device=x.device)
