"""Every phase of every deep method can be recorded and replayed, and what could not be is noticed.

On the CPU, on the stand-in of `capture_tape`; tests/training/test_training_cuda.py does it on a GPU where there is one.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from capture_tape import CaptureFault, TapeRecorder, taped
from imblearn.over_sampling import SMOTE
from sklearn.base import clone
from torch import nn

from latentover import (
    BAGANSampler,
    ClassicalSampler,
    DeepClassifier,
    DeepSMOTE,
    DGCClassifier,
    FlowSampler,
    GAMOClassifier,
    GAMOSampler,
    M2mClassifier,
    RAEClassifier,
    RAESampler,
)
from latentover.estimators import BaseDeepEstimator
from latentover.losses import GaussianLatents, VonMisesFisherLatents
from latentover.mixing import CMO, AMMixup, BoundaryMix, CutMix, MAMix, ManifoldMixup, NeighborMix, Remix, SMOTEMix
from latentover.training import (
    AdaptiveAugment,
    Engine,
    NaturalBatches,
    Phase,
    Program,
    StepDecay,
    WeightAverage,
    capture,
)
from latentover.training.capture import CaptureError, recordable
from latentover.training.optimizers import LearningRates

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(60, 5)).astype(np.float32), np.repeat([0, 1, 2], [40, 14, 6])
GREY = RNG.random((45, 1, 8, 8)).astype(np.float32), np.repeat([0, 1, 2], [28, 11, 6])
COLOUR = RNG.random((45, 3, 8, 8)).astype(np.float32), np.repeat([0, 1, 2], [28, 11, 6])
WEIGHTS = RNG.random(60) + 0.1
COLUMNS = pd.DataFrame(
    {
        "amount": np.where(RNG.random(60) < 0.4, 0.0, RNG.normal(size=60)),
        "town": RNG.choice(["Graz", "Linz", "Wels"], 60),
        "size": RNG.normal(size=60),
    }
)
SMALL = {"hidden_units": 8, "device": "cpu", "precision": "float32", "random_state": 0}
RAE = {**SMALL, "latent_dim": 4, "batch_size": 5, "max_steps": 7, "critic_steps": 2}
IMAGES = {"channels": 4}
FLOW = {"max_steps": 7, "batch_size": 16, "n_steps": 2}
GAMO = {**SMALL, "max_steps": 6, "batch_size": 16, "decoder_steps": 4, "noise_dim": 5}
BAGAN = {**SMALL, "max_epochs": 2, "autoencoder_epochs": 2, "batch_size": 16}
DGC = {**SMALL, "max_steps": 6, "batch_size": 16, "latent_dim": 4, "pretraining_steps": 3, "feature_dim": 8}
CLASSIFIER = {**SMALL, "max_epochs": 4, "batch_size": 16, "feature_dim": 6}
REFERENCE_CODE = {
    "update_order": "reference_code",
    "augment": "adaptive",
    "batches": "pool",
    "ema": 0.9,
    "conditional_critic": True,
    "decoder_classification": True,
    "encoder_passes": "separate",
    "critic_fakes": "mixtures_and_reconstructions",
    "penalty_coefficients": "normal",
    "wrong_label": "shuffle",
    "classifier_optimizer": "shared",
    "max_steps": 14,
}
FITS = {
    "rae": (RAEClassifier(**RAE), TABLE),
    "rae, mixed columns by the mixer": (RAESampler(**RAE, alpha="mixer", ema=0.9), (COLUMNS, TABLE[1], WEIGHTS)),
    "rae of the paper": (RAEClassifier(**RAE, decoder="adversarial", numbers="standard"), TABLE),
    "rae on images": (
        RAEClassifier(**RAE, **IMAGES, mixing=Remix(), augment="flip_shift_cutout", schedule="one_cycle"),
        GREY,
    ),
    "rae's reference code": (RAEClassifier(**{**RAE, **REFERENCE_CODE}, **IMAGES), GREY),
    "rae, drawn weights": (
        RAEClassifier(**RAE, alpha=[2.0, 1.0], class_preserving=False, loss="logit_adjusted", reconstruct_every=2),
        TABLE,
    ),
    "rae, three members": (RAEClassifier(**RAE, alpha="uniform", n_components=3, mixing=NeighborMix()), TABLE),
    "rae without decoder": (RAEClassifier(**RAE, decoder=False, optimizer="sgd", early_stopping=True), TABLE),
    "rae with weights": (RAESampler(**RAE), (*TABLE, WEIGHTS)),
    "deepsmote": (DeepSMOTE(**SMALL, max_epochs=5, batch_size=16, schedule="cosine"), TABLE),
    "deepsmote on images": (
        DeepSMOTE(**SMALL, **IMAGES, max_epochs=5, batch_size=16, penalty="reference_code"),
        GREY,
    ),
    "flow": (FlowSampler(**SMALL, **FLOW, strength=0.5), TABLE),
    "flow with weights": (FlowSampler(**SMALL, **FLOW, schedule="constant", ema=0.0), (*TABLE, WEIGHTS)),
    "flow on images": (FlowSampler(**SMALL, **FLOW, **IMAGES, augment="flip", dropout=0.1), GREY),
    "gamo": (GAMOClassifier(**GAMO), TABLE),
    "gamo on images": (GAMOClassifier(**GAMO, **IMAGES, feature_dim=8, augment="shift", schedule="cosine"), GREY),
    "gamo, jointly": (
        GAMOSampler(**GAMO, generator_updates="joint", extractor="dense", feature_dim=8),
        (*TABLE, WEIGHTS),
    ),
    "gamo with weights": (
        GAMOClassifier(**GAMO, extractor="dense", feature_dim=8),
        (*TABLE, WEIGHTS),
    ),
    "bagan": (BAGANSampler(**BAGAN), TABLE),
    "bagan on images": (
        BAGANSampler(**BAGAN, **IMAGES, batches="class_balanced", fake_classes="rebalance", schedule="cosine"),
        GREY,
    ),
    "dgc": (DGCClassifier(**DGC), TABLE),
    "dgc with weights": (DGCClassifier(**DGC), (*TABLE, WEIGHTS)),
    "rae classifier with weights": (RAEClassifier(**RAE, early_stopping=True), (*TABLE, WEIGHTS)),
    "dgc on images": (
        DGCClassifier(**DGC, **IMAGES, encoder_steps=2, classification_reduction="sum", augment="shift"),
        GREY,
    ),
    "classifier": (DeepClassifier(**CLASSIFIER, early_stopping=True, ema=0.9), TABLE),
    "classifier with a new head": (
        DeepClassifier(**CLASSIFIER, head_sampler=FlowSampler(**SMALL, **FLOW), head_epochs=2, synthetic_weight=0.5),
        TABLE,
    ),
    "classifier, ldam-drw": (
        DeepClassifier(
            **CLASSIFIER,
            backbone="resnet",
            channels=4,
            standardize=True,
            loss="ldam",
            reweighting="drw",
            drw_start=0.5,
            optimizer="sgd",
            learning_rate=0.1,
            schedule=StepDecay(),
            augment="pad_crop_flip",
            track=True,
        ),
        COLOUR,
    ),
    "classifier, focal": (
        DeepClassifier(**CLASSIFIER, loss="focal", reweighting="effective_number", batches="class_balanced"),
        TABLE,
    ),
    "classifier, mamix": (
        DeepClassifier(
            **CLASSIFIER, mixing=MAMix(alpha=0.5), bn_clean_forward=True, loss="logit_adjusted", reweighting="drw"
        ),
        TABLE,
    ),
    "classifier, remix behind the encoder": (
        DeepClassifier(**CLASSIFIER, mixing=Remix(per_sample=True, space="features"), reweighting="class_weights"),
        TABLE,
    ),
    "classifier, smote-mix": (DeepClassifier(**CLASSIFIER, mixing=SMOTEMix(), loss="balanced_softmax"), TABLE),
    "classifier, neighbours behind a stage": (
        DeepClassifier(**CLASSIFIER, mixing=NeighborMix(space="hidden", layers=(0, 1)), loss="bce"),
        TABLE,
    ),
    "classifier, manifold mixup": (DeepClassifier(**CLASSIFIER, mixing=ManifoldMixup(layers=(0, 1))), TABLE),
    "classifier, am-mixup": (
        DeepClassifier(**CLASSIFIER, mixing=AMMixup(partner="center", class_balanced_partners=True)),
        TABLE,
    ),
    "classifier, cutmix and trivial augment": (
        DeepClassifier(
            **CLASSIFIER,
            **IMAGES,
            mixing=CutMix(per_sample=True, probability=0.5),
            augment="flip_shift_trivial_cutout",
            optimizer="sgd",
            learning_rate=0.1,
            schedule="one_cycle",
            ema=0.9,
        ),
        COLOUR,
    ),
    "classifier, cmo and rand augment": (
        DeepClassifier(
            **CLASSIFIER,
            backbone="resnet",
            channels=4,
            mixing=CMO(probability=0.5),
            augment="pad_crop_flip_rand",
            batches="square_root",
            optimizer="sgd",
            schedule="one_cycle",
            ema=0.9,
        ),
        (*GREY, WEIGHTS[:45]),
    ),
    "classifier, gaussian latents": (
        DeepClassifier(
            **CLASSIFIER,
            mixing=Remix(alpha=0.4),
            loss="logit_adjusted",
            latent_augmentation=GaussianLatents(warmup=0.5, borrow=1),
            batches="square_root",
        ),
        (*TABLE, WEIGHTS),
    ),
    "classifier, gaussian latents around cosines": (
        DeepClassifier(
            **CLASSIFIER, classifier="cosine", latent_augmentation=GaussianLatents(), stage_sampler=SMOTE(k_neighbors=2)
        ),
        TABLE,
    ),
    "classifier, von mises-fisher latents": (
        DeepClassifier(
            **CLASSIFIER,
            **IMAGES,
            mixing=MAMix(),
            bn_clean_forward=True,
            loss="logit_adjusted",
            latent_augmentation=VonMisesFisherLatents(projection_dim=5),
        ),
        GREY,
    ),
    "classifier, mixing at the boundary": (
        DeepClassifier(
            **CLASSIFIER, mixing=BoundaryMix(radius=2.0), loss="logit_adjusted", latent_augmentation=GaussianLatents()
        ),
        (*TABLE, WEIGHTS),
    ),
    "classifier with a stage": (
        DeepClassifier(**CLASSIFIER, stage_sampler=SMOTE(k_neighbors=2), stage_start=0.5, reweighting="class_weights"),
        TABLE,
    ),
    "classifier with weights": (DeepClassifier(**CLASSIFIER, reweighting="class_weights"), (*TABLE, WEIGHTS)),
    "classifier, neighbours and weights": (
        DeepClassifier(**CLASSIFIER, mixing=NeighborMix(space="hidden", layers=(0, 1)), early_stopping=True),
        (*TABLE, WEIGHTS),
    ),
    "classifier, a stage of weights": (
        DeepClassifier(**CLASSIFIER, mixing=Remix(), stage_sampler=ClassicalSampler(k_neighbors=2), stage_start=0.5),
        (*TABLE, WEIGHTS),
    ),
    "m2m with weights": (
        M2mClassifier(**CLASSIFIER, translation_start=0.5, confidence=0.2, translation_steps=2),
        (*TABLE, WEIGHTS),
    ),
    "m2m": (M2mClassifier(**CLASSIFIER, translation_start=0.5, confidence=0.2, translation_steps=2), TABLE),
    "m2m on images": (
        M2mClassifier(
            **CLASSIFIER,
            **IMAGES,
            translation_start=0.5,
            confidence=0.2,
            translation_steps=2,
            guide="reference_code",
            augment="shift",
        ),
        GREY,
    ),
}
EACH = pytest.mark.parametrize("name", FITS)


@pytest.fixture(autouse=True)
def recorded_early(monkeypatch):
    monkeypatch.setattr(capture, "EAGER_UPDATES", 1)


def fit(name, **settings):
    estimator, (X, y, *weights) = FITS[name]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(Expected every class|What is generated)")
        return clone(estimator).set_params(**settings).fit(X, y, **({"sample_weight": weights[0]} if weights else {}))


def assert_same(one, other):
    for key, tensor in one.networks_.state_dict().items():
        assert torch.equal(tensor, other.networks_.state_dict()[key]), key
    without_seconds = [
        [{key: value for key, value in row.items() if key != "seconds"} for row in fitted.history_]
        for fitted in (one, other)
    ]
    np.testing.assert_equal(*without_seconds)


def test_every_deep_method_is_tried():
    def leaves(cls):
        return {leaf for sub in cls.__subclasses__() for leaf in leaves(sub)} | {cls}

    exported = {
        cls
        for cls in leaves(BaseDeepEstimator)
        if cls.__module__.startswith("latentover.methods") and not cls.__name__.startswith("_")
    }
    assert {type(estimator) for estimator, _ in FITS.values()} == exported


@EACH
def test_every_phase_can_be_recorded_and_stays_as_it_was_recorded(name, monkeypatch):
    """Nothing is read, sent or shaped by values; kernels, numbers, shapes and places are the same in each update."""
    with taped(monkeypatch, TapeRecorder(check=True)) as tape:
        fit(name, capture=True)
    assert tape.n_recorded >= 1
    assert tape.n_replayed >= 3


@EACH
def test_replays_train_the_same_networks_to_the_bit(name, monkeypatch):
    with recordable():
        eager = fit(name)
    with taped(monkeypatch, TapeRecorder()) as tape:
        replayed = fit(name, capture=True)
    assert tape.n_replayed >= 3
    assert_same(replayed, eager)


@pytest.mark.parametrize(
    "name",
    [
        "rae",
        "rae's reference code",
        "gamo on images",
        "dgc",
        "classifier",
        "classifier with a stage",
        "classifier, a stage of weights",
        "classifier, cmo and rand augment",
        "classifier, gaussian latents",
        "classifier, von mises-fisher latents",
        "bagan",
        "m2m",
    ],
)
def test_an_interrupted_training_goes_on_to_the_same_weights(name, monkeypatch, tmp_path):
    with taped(monkeypatch, TapeRecorder()):
        whole = fit(name, capture=True)
    run_step, path = Engine.run_step, str(tmp_path / "training")

    def dying(self, step):
        if step == 4 and self.checkpoint is not None:
            raise InterruptedError
        run_step(self, step)

    with taped(monkeypatch, TapeRecorder()), monkeypatch.context() as patch:
        patch.setattr(Engine, "run_step", dying)
        with pytest.raises(InterruptedError):
            fit(name, capture=True, checkpoint=path, checkpoint_every=1)
    with taped(monkeypatch, TapeRecorder()):
        assert_same(fit(name, capture=True, checkpoint=path), whole)


# ---- What is noticed -------------------------------------------------------------------------------------------------


class _Reads(nn.Module):
    """A user's network that a graph cannot hold, in one way or another."""

    def __init__(self, how):
        super().__init__()
        self.dense, self.how, self.seen = nn.Linear(5, 6), how, torch.zeros(())

    def forward(self, x):
        hidden = self.dense(x)
        if not self.training:
            return hidden
        return getattr(self, f"_{self.how}")(hidden)

    def _item(self, x):
        return x * (1 + 0 * x.detach().sum().item())

    def _tolist(self, x):
        return x * len(x.detach()[0].tolist()) / 6

    def _bool(self, x):
        return x if x.detach().sum() > -1e9 else -x

    def _numpy(self, x):
        return x + float(np.asarray(x.detach()).sum() * 0)

    def _nonzero(self, x):
        return x.index_select(0, (x.detach().sum(dim=1) > -1e9).nonzero().squeeze(1))

    def _mask(self, x):
        return torch.cat([x[x.detach().sum(dim=1) > 0], x[x.detach().sum(dim=1) <= 0]])

    def _unique(self, x):
        return x * len(torch.ones(3).unique())

    def _tensor(self, x):
        return x * torch.tensor(0.5)

    def _new_tensor(self, x):
        return x * x.new_tensor(0.5)

    def _from_numpy(self, x):
        return x * torch.from_numpy(np.full(6, 0.5, dtype=np.float32))

    def _sent(self, x):
        return x * self.seen.to(x.device).add(1)

    def _generator(self, x):
        return x + torch.rand(len(x), 1, generator=self.own)

    own = torch.Generator().manual_seed(1)


READS = (
    "item",
    "tolist",
    "bool",
    "numpy",
    "nonzero",
    "mask",
    "unique",
    "tensor",
    "new_tensor",
    "from_numpy",
    "sent",
    "generator",
)


@pytest.mark.parametrize("how", READS)
class TestNetworksThatCannotBeRecorded:
    def test_are_refused_with_the_reason_where_recording_is_demanded(self, how, monkeypatch):
        with (
            taped(monkeypatch, TapeRecorder()),
            pytest.raises(
                CaptureError, match=r"capture=True, but the classifier update cannot: (the host|a shape|a tensor|a gen)"
            ),
        ):
            DeepClassifier(**CLASSIFIER, backbone=_Reads(how), capture=True).fit(*TABLE)

    def test_train_one_kernel_at_a_time_otherwise_and_say_so(self, how, monkeypatch):
        with (
            taped(monkeypatch, TapeRecorder()) as tape,
            pytest.warns(UserWarning, match="cannot be recorded as a CUDA"),
        ):
            fitted = DeepClassifier(**CLASSIFIER, backbone=_Reads(how)).fit(*TABLE)
        assert tape.n_replayed == 0
        assert len(fitted.history_) == 4


class TestFaultsOfThePackage:
    """Each of these stood, or could stand, in the package: put back, the checks above fail."""

    def fails(self, name, monkeypatch, match):
        with taped(monkeypatch, TapeRecorder(check=True)), pytest.raises((CaptureFault, CaptureError), match=match):
            fit(name, capture=True)

    def test_the_adaptive_augmentation_sends_a_number(self, monkeypatch):
        monkeypatch.setattr(
            AdaptiveAugment,
            "update",
            lambda self, positive: self.probability.add_(positive * positive.new_tensor(0.5)).clamp_(0, 1),
        )
        self.fails("rae's reference code", monkeypatch, "made of Python numbers")

    def test_the_adaptive_augmentation_is_rebound(self, monkeypatch):
        def update(self, positive):
            self.probability = (self.probability + (positive - self.target) * self.step).clamp(0, 1)

        monkeypatch.setattr(AdaptiveAugment, "update", update)
        self.fails("rae's reference code", monkeypatch, "differs from its recording")

    def test_the_adaptive_augmentation_looks_which_images_it_chose(self, monkeypatch):
        monkeypatch.setattr("latentover.training.adaptive.host_may_look", lambda device: True)
        self.fails("rae's reference code", monkeypatch, "a shape depends on values")

    def test_learning_rates_are_plain_numbers(self, monkeypatch):
        init = LearningRates.__init__
        monkeypatch.setattr(
            LearningRates, "__init__", lambda self, *args, as_tensors: init(self, *args, as_tensors=False)
        )
        self.fails("deepsmote", monkeypatch, "differs from its recording")
        self.fails("classifier, ldam-drw", monkeypatch, "differs from its recording")

    def test_class_weights_are_made_anew_in_each_epoch(self, monkeypatch):
        def start_epoch(self, epoch):
            self.class_weights = self.program.settings._class_weights(self.data.class_counts, epoch)

        monkeypatch.setattr("latentover.methods.deep_classifier.Source.start_epoch", start_epoch)
        self.fails("classifier, ldam-drw", monkeypatch, "differs from its recording")

    def test_the_last_smaller_batch_has_no_key_of_its_own(self, monkeypatch):
        advance = NaturalBatches.advance
        monkeypatch.setattr(NaturalBatches, "advance", lambda self: advance(self) and None)
        self.fails("classifier", monkeypatch, "differs from its recording")

    def test_an_average_counts_on_the_host(self, monkeypatch):
        def update(self):
            for ours, theirs in zip(self.module.parameters(), self.network.parameters(), strict=True):
                ours.data = self.decay * ours.data + (1 - self.decay) * theirs.data

        monkeypatch.setattr(WeightAverage, "update", update)
        self.fails("classifier", monkeypatch, "differs from its recording")

    def test_an_average_asks_its_counter(self, monkeypatch):
        """As torch's `AveragedModel` does, whose counter is a tensor of the CPU."""

        def update(self):
            if not hasattr(self, "counter"):
                self.counter = torch.zeros((), dtype=torch.int64)
            self.counter.add_(1)
            if self.counter == 0:
                raise AssertionError

        monkeypatch.setattr(WeightAverage, "update", update)
        self.fails("classifier", monkeypatch, "the host reads a tensor")

    def test_the_accuracy_is_rebound(self, monkeypatch):
        def update(self, losses, n):
            self.sums = self.sums + n * torch.stack([losses["accuracy"], torch.ones_like(losses["accuracy"])])

        monkeypatch.setattr("latentover.methods.deep_classifier.TrainingAccuracy.update", update)
        self.fails("classifier, am-mixup", monkeypatch, "differs from its recording")

    def test_the_features_of_a_game_are_rebound(self, monkeypatch):
        def learn_features(self):
            self.features, self.points = None, []
            learn(self)

        from latentover.methods.gamo import GAMOProgram

        learn = GAMOProgram.learn_features
        monkeypatch.setattr(GAMOProgram, "learn_features", learn_features)
        self.fails("gamo on images", monkeypatch, "differs from its recording")

    def test_generated_points_are_grouped_by_the_labels_that_came(self, monkeypatch):
        monkeypatch.setattr("latentover.methods.gamo.host_may_look", lambda device: True)
        self.fails("gamo", monkeypatch, "a shape depends on values|the host reads")

    def test_a_generator_is_not_registered(self, monkeypatch):
        other = torch.Generator().manual_seed(5)

        def draw(self):
            return torch.randint(len(self.by_class), (self.n_tuples,), generator=other)

        monkeypatch.setattr("latentover.training.ClassBatches.draw", draw)
        self.fails("classifier, focal", monkeypatch, "a generator is not registered")

    def test_frozen_rates_show_in_replays_too(self, monkeypatch):
        """Without the check: what was recorded is made again, with the learning rate of the first time."""
        with recordable():
            eager = fit("deepsmote")
        init = LearningRates.__init__
        monkeypatch.setattr(
            LearningRates, "__init__", lambda self, *args, as_tensors: init(self, *args, as_tensors=False)
        )
        with taped(monkeypatch, TapeRecorder()):
            replayed = fit("deepsmote", capture=True)
        with pytest.raises(AssertionError):
            assert_same(replayed, eager)


# ---- When the engine records -----------------------------------------------------------------------------------------


def counting(sizes, log):
    """Return a program whose batches have these sizes by turns, and that logs what it makes one kernel at a time."""
    network = nn.Linear(1, 1)

    class Turns:
        number = -1

        def advance(self):
            self.number += 1
            self.size = sizes[self.number % len(sizes)]
            return self.size

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            pass

    stream = Turns()

    def draw():
        log.append(stream.size)
        return torch.ones(stream.size, 1)

    phase = Phase(
        name="a",
        draw=draw,
        losses=lambda x: {"a": network(x).mean()},
        moves={"w": {"a": 1.0}},
        streams=[stream],
    )
    optimizers = {"w": torch.optim.SGD(network.parameters(), lr=0.1, fused=True)}
    return Program(networks=network, optimizers=optimizers, phases=[phase], n_steps=4 * len(sizes))


class TestRecordings:
    def run(self, monkeypatch, sizes, **settings):
        log = []
        with taped(monkeypatch, TapeRecorder()) as tape:
            history = Engine(counting(sizes, log), torch.Generator(), **settings).run()
        return log, tape, history

    def test_one_for_each_kind_of_batch_after_some_eager_updates(self, monkeypatch):
        monkeypatch.setattr(capture, "EAGER_UPDATES", 2)
        log, tape, history = self.run(monkeypatch, [4, 4, 3])
        assert log == [4, 4, 3, 4, 3, 3]  # of each kind twice, and once more to record it
        assert tape.n_recorded == 2
        assert tape.n_replayed == 12 - 6
        assert len(history) == 12

    def test_no_more_than_so_many_of_a_phase(self, monkeypatch):
        monkeypatch.setattr(capture, "MAX_RECORDINGS", 2)
        log, tape, _ = self.run(monkeypatch, [2, 3, 4, 5])
        assert tape.n_recorded == 2
        assert tape.n_replayed == 2 * 2
        assert log[-4:] == [4, 5, 4, 5]

    def test_none_where_nobody_wants_any(self, monkeypatch):
        log, tape, _ = self.run(monkeypatch, [4], capture=False)
        assert log == [4] * 4
        assert tape.n_recorded == 0

    def test_none_on_the_cpu(self):
        log = []
        Engine(counting([4], log), torch.Generator()).run()
        assert log == [4] * 4

    def test_demanded_where_there_can_be_none(self):
        with pytest.raises(ValueError, match=r"Expected capture to be 'auto' or False where .* needs CUDA"):
            RAEClassifier(**RAE, capture=True).fit(*TABLE)

    def test_none_with_several_processes(self, monkeypatch):
        monkeypatch.setattr("latentover.training.parallel.n_processes", lambda: 2)
        with taped(monkeypatch, TapeRecorder()):
            assert Engine(counting([4], []), torch.Generator()).recordings is None
            with pytest.raises(ValueError, match=r"with 2 process\(es\)"):
                Engine(counting([4], []), torch.Generator(), capture=True)
