"""The stage of a deep classifier: natural samples first, and from some epoch on what an over-sampler made of them."""

import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.over_sampling import ADASYN, SMOTE, RandomOverSampler
from sklearn.base import clone
from sklearn.datasets import load_digits
from torch import nn

from latentover import ClassicalSampler, DeepClassifier, DeepSMOTE, load, save
from latentover.methods import deep_classifier
from latentover.methods.deep_classifier import Source
from latentover.mixing import MAMix, NeighborMix, SMOTEMix
from latentover.training import Engine

COUNTS = [40, 14, 6]
SMALL = {
    "feature_dim": 4,
    "hidden_units": 8,
    "channels": 4,
    "dropout": 0.0,
    "learning_rate": 1e-3,
    "batch_size": 20,
    "max_epochs": 4,
    "stage_start": 0.5,
    "device": "cpu",
    "precision": "float32",
    "random_state": 0,
}
"""Two epochs of three batches, and a stage of six: once through the 3 * 40 samples of a balanced set."""
DEEP = DeepSMOTE(
    latent_dim=4,
    channels=4,
    hidden_units=16,
    max_epochs=40,
    learning_rate=0.02,
    penalty="reference_code",
    k_neighbors=3,
)
BRIEF = clone(DEEP).set_params(max_epochs=2)
"""Where it does not matter what the samples look like."""


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(n_class=3, return_X_y=True)
    rows = np.concatenate([np.flatnonzero(y == label)[:n] for label, n in enumerate(COUNTS)])
    return X[rows].reshape(-1, 1, 8, 8), y[rows]


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 3)), np.repeat([0, 1, 2], COUNTS)


@pytest.fixture
def seen(monkeypatch):
    """Inputs, labels and class weights of every batch that the network learns from."""
    batches = []

    def spy(self, outputs, labels, *sample_weights):
        weights = None if self.class_weights is None else self.class_weights.clone()
        batches.append((self.data.inputs, labels, weights))
        return label_loss(self, outputs, labels, *sample_weights)

    label_loss = Source.label_loss
    monkeypatch.setattr(Source, "label_loss", spy)
    return batches


def counts_of(batches):
    return np.bincount(torch.cat([labels for _, labels, _ in batches]).numpy()).tolist()


def state_of(fitted):
    return fitted.networks_.state_dict()


def assert_same_weights(one, other):
    for name, tensor in state_of(one).items():
        assert torch.equal(tensor, state_of(other)[name]), name


class TestIdea:
    @pytest.mark.parametrize("kind", ["uint8", "float32", "rows"])
    @pytest.mark.parametrize(
        "sampler", [DEEP, ClassicalSampler(k_neighbors=3), SMOTE(k_neighbors=3)], ids=["deep", "ours", "imblearn"]
    )
    def test_all_classes_are_seen_alike_from_the_stage_on(self, digits, seen, sampler, kind):
        X, y = digits
        X = {"uint8": (X * 15).astype(np.uint8), "float32": (X / 16).astype(np.float32), "rows": X.reshape(60, -1)}[
            kind
        ]
        fitted = DeepClassifier(**SMALL, stage_sampler=sampler).fit(X, y)
        assert counts_of(seen[:6]) == [2 * n for n in COUNTS]
        assert counts_of(seen[6:]) == [40, 40, 40]
        encoded, inputs = fitted.format_.encode(X), seen[-1][0]
        assert inputs.dtype == encoded.dtype
        torch.testing.assert_close(inputs[:60], encoded, rtol=0, atol=0 if kind == "uint8" else 1e-6)
        made = fitted.format_.network_input(inputs[60:]).flatten(1)
        assert len(made.unique(dim=0)) > 30, "samples differ"
        assert not (torch.cdist(made, fitted.format_.network_input(encoded).flatten(1)).amin(dim=1) == 0).all()
        if kind != "rows":
            assert 0 <= made.min() < 0.1 < 0.9 < made.max() <= 1
        assert fitted.class_counts_.tolist() == COUNTS

    def test_new_samples_lie_between_those_of_their_class(self, table, seen):
        X, y = table
        fitted = DeepClassifier(**SMALL, stage_sampler=SMOTE(k_neighbors=1)).fit(X, y)
        encoded, inputs = fitted.format_.encode(X).double(), seen[-1][0].double()
        for row, label in zip(inputs[60:], [1] * 26 + [2] * 34, strict=True):
            distances = (encoded[y == label] - row).norm(dim=1)
            nearest = distances.topk(2, largest=False)
            pair = encoded[y == label][nearest.indices]
            # On the way from one to the other the two distances add up; k = 1 may start from the farther one.
            assert any(
                torch.isclose((a - row).norm() + (b - row).norm(), (a - b).norm(), atol=1e-5)
                for a in pair
                for b in encoded[y == label]
            )

    def test_may_begin_at_once(self, table, seen):
        DeepClassifier(**{**SMALL, "stage_start": 0.0, "max_epochs": 2}, stage_sampler=SMOTE(k_neighbors=3)).fit(*table)
        assert counts_of(seen) == [40, 40, 40]

    def test_before_it_nothing_depends_on_the_sampler(self, table):
        one, other = (
            [row["classifier"] for row in DeepClassifier(**SMALL, stage_sampler=sampler).fit(*table).history_]
            for sampler in (RandomOverSampler(), SMOTE(k_neighbors=3))
        )
        assert one[:2] == other[:2]
        assert one[2] != other[2]

    def test_any_totals_of_named_classes(self, table, seen):
        X, y = table[0], np.array(["many", "few", "rare"])[table[1]]
        sampler = ClassicalSampler(sampling_strategy={"rare": 26})
        fitted = DeepClassifier(**{**SMALL, "max_epochs": 5, "stage_start": 0.2}, stage_sampler=sampler).fit(X, y)
        assert fitted.classes_.tolist() == ["few", "many", "rare"]
        assert counts_of(seen[3:7]) == [14, 40, 26]


class TestSettings:
    def test_the_stage_has_its_own_augmentation(self, digits, monkeypatch):
        used = []

        def spy(x, augment, generator):
            used.append(augment)
            return x

        monkeypatch.setattr(deep_classifier, "augment_images", spy)
        settings = {**SMALL, "augment": "pad_crop_flip", "stage_sampler": RandomOverSampler()}
        DeepClassifier(**settings).fit(*digits)
        assert used == ["pad_crop_flip"] * 6 + ["none"] * 6
        used.clear()
        DeepClassifier(**settings, stage_augment="shift").fit(*digits)
        assert used[6:] == ["shift"] * 6

    def test_class_weights_are_those_of_the_set(self, table, seen):
        DeepClassifier(
            **SMALL, stage_sampler=RandomOverSampler(), reweighting="drw", drw_start=0.25, effective_beta=0.99
        ).fit(*table)
        weights = torch.stack([weights for *_, weights in seen])
        assert torch.equal(weights[:3], torch.ones(3, 3))
        inverse = torch.tensor([1 / (1 - 0.99**n) for n in COUNTS])
        torch.testing.assert_close(weights[3:6], (3 * inverse / inverse.sum()).expand(3, 3))
        torch.testing.assert_close(weights[6:], torch.ones(6, 3))

    def test_so_are_margins_and_priors(self, table, monkeypatch):
        counts, criterion = [], DeepClassifier._criterion

        def spy(self, class_counts):
            losses = criterion(self, class_counts)
            return lambda *batch: counts.append(class_counts.tolist()) or losses(*batch)

        monkeypatch.setattr(DeepClassifier, "_criterion", spy)
        DeepClassifier(**SMALL, loss="ldam", stage_sampler=RandomOverSampler()).fit(*table)
        assert counts == [COUNTS] * 6 + [[40, 40, 40]] * 6

    def test_mixing_rules_get_its_counts(self, table):
        counts = []

        class Spy(MAMix):
            def __call__(self, inputs, labels, class_counts, generator):
                counts.append(class_counts.tolist())
                return super().__call__(inputs, labels, class_counts, generator)

        DeepClassifier(**SMALL, mixing=Spy(), stage_sampler=SMOTE(k_neighbors=3)).fit(*table)
        assert counts == [COUNTS] * 6 + [[40, 40, 40]] * 6

    @pytest.mark.parametrize("space", ["inputs", "features"])
    def test_neighbours_are_found_among_its_samples(self, table, space):
        searched = []

        class Spy(SMOTEMix):
            def prepare(self, features, labels):
                searched.append((features, labels))
                return super().prepare(features, labels)

            def partner_rows(self, neighbors, rows, generator):
                near = super().partner_rows(neighbors, rows, generator)
                labels = searched[len(neighbors) == 120][1]
                assert torch.equal(labels[near], labels[rows])
                return near

        DeepClassifier(**SMALL, mixing=Spy(neighbor_space=space), stage_sampler=SMOTE(k_neighbors=3)).fit(*table)
        assert [features.shape for features, _ in searched] == [
            (60, 3 if space == "inputs" else 4),
            (120, 3 if space == "inputs" else 4),
        ]

    def test_what_is_tracked_are_real_samples_with_their_counts(self, table, monkeypatch):
        looked = []

        def spy(outputs, features, labels, counts):
            looked.append((np.bincount(labels).tolist(), counts.tolist()))
            return {}

        monkeypatch.setattr(deep_classifier, "tracked_scores", spy)
        DeepClassifier(**SMALL, stage_sampler=RandomOverSampler(), track=True).fit(*table)
        assert looked == [(COUNTS, COUNTS)] * 4

    def test_standardises_with_the_moments_of_real_images(self, digits):
        settings = {**SMALL, "standardize": True}
        one, other = (
            DeepClassifier(**settings, stage_sampler=sampler).fit(*digits).networks_["standardizer"]
            for sampler in (None, RandomOverSampler())
        )
        assert torch.equal(one.mean, other.mean)
        assert torch.equal(one.scale, other.scale)

    def test_class_balanced_batches_stay_so(self, table, seen):
        settings = {**SMALL, "max_epochs": 40, "batches": "class_balanced"}
        sampler = RandomOverSampler(sampling_strategy={2: 30})
        DeepClassifier(**settings, stage_sampler=sampler).fit(*table)
        for part in (seen[:60], seen[60:]):
            np.testing.assert_allclose(np.array(counts_of(part)) / 1200, 1 / 3, atol=5 * np.sqrt(2 / 9 / 1200))

    def test_a_frame_with_categories_and_gaps(self, table):
        frame = pd.DataFrame(table[0].copy(), columns=list("abc"))
        frame["town"] = np.where(np.arange(60) % 3, "Graz", "Linz")
        frame.loc[::7, "a"] = np.nan
        fitted = DeepClassifier(**SMALL, missing="mask", stage_sampler=DEEP).fit(frame, table[1])
        assert fitted.predict(frame).shape == (60,)

    @pytest.mark.parametrize("layout", ["channels_last", "rows"])
    def test_any_layout_of_images(self, digits, layout):
        X, y = digits
        plain = DeepClassifier(**SMALL, stage_sampler=DEEP).fit(X, y)
        if layout == "rows":
            other = DeepClassifier(**SMALL, image_shape=(1, 8, 8), stage_sampler=DEEP).fit(X.reshape(60, -1), y)
        else:
            last = clone(DEEP).set_params(channels_last=True)
            other = DeepClassifier(**SMALL, channels_last=True, stage_sampler=last).fit(np.moveaxis(X, 1, -1), y)
        assert_same_weights(plain, other)


class Recording(RandomOverSampler):
    """Keeps what it was asked to resample, and with which seed."""

    asked = []  # noqa: RUF012 - of all clones

    def fit_resample(self, X, y):
        self.asked.append((X, y, self.random_state))
        return super().fit_resample(X, y)


class TestSampler:
    @pytest.fixture(autouse=True)
    def nothing_asked(self):
        Recording.asked.clear()

    def test_sees_the_training_part_alone(self, table):
        X, y = table
        fitted = DeepClassifier(**SMALL, early_stopping=True, stage_sampler=Recording()).fit(X, y)
        ((rows, labels, _),) = Recording.asked
        assert np.bincount(labels).tolist() == [36, 12, 5]  # of 40, 14 and 6, a tenth is set aside, rounded up
        distances = np.abs(rows[:, None] - fitted.format_.encode(X).numpy()[None]).max(axis=2)
        assert (distances.min(axis=0) > 1e-3).sum() == 7

    def test_is_asked_once_with_a_seed_of_the_estimators(self, table):
        for own, seed in ((None, 0), (3, 0), (None, 1)):
            DeepClassifier(**{**SMALL, "random_state": seed}, stage_sampler=Recording(random_state=own)).fit(*table)
        seeds = [seed for *_, seed in Recording.asked]
        assert len(seeds) == 3
        assert seeds[0] == seeds[1] != seeds[2]

    def test_is_cloned_and_leaves_the_generators_of_others_alone(self, table):
        sampler = clone(DEEP)
        states = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
        first = DeepClassifier(**SMALL, stage_sampler=sampler).fit(*table)
        assert not hasattr(sampler, "networks_")
        assert sampler.random_state is None
        np.testing.assert_array_equal(np.random.get_state()[1], states[0])  # noqa: NPY002
        assert torch.equal(torch.get_rng_state(), states[1])
        assert_same_weights(first, DeepClassifier(**SMALL, stage_sampler=sampler).fit(*table))

    def test_has_parameters_of_its_own(self, table):
        estimator = DeepClassifier(**SMALL, stage_sampler=clone(DEEP))
        assert estimator.get_params()["stage_sampler__k_neighbors"] == 3
        changed = clone(estimator).set_params(stage_sampler__k_neighbors=2, stage_sampler__max_epochs=1)
        assert (changed.stage_sampler.k_neighbors, estimator.stage_sampler.k_neighbors) == (2, 3)
        changed.fit(*table)

    def test_warns_as_on_its_own(self, table):
        X, y = table[0][:56], table[1][:56]  # two of class 2
        with pytest.warns(UserWarning, match="4 samples, but got 2 of class 2"):
            DeepClassifier(**SMALL, stage_sampler=ClassicalSampler(k_neighbors=3)).fit(X, y)


class TestErrors:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"stage_sampler": "smote"}, r"Expected stage_sampler to be None or an over-sampler such as .*got 'smote'"),
            ({"stage_sampler": SMOTE}, "Expected stage_sampler to be None or an over-sampler"),
            ({"stage_start": 1.0}, r"Expected stage_start to be .* but got 1\.0"),
            ({"stage_start": 0.9}, "Expected stage_start to leave an epoch of max_epochs=4"),
            ({"stage_start": -0.1}, "Expected stage_start to be a number of at least 0|stage_start to be .*at least 0"),
            ({"stage_augment": "twist"}, "Expected stage_augment to be one of"),
            ({"stage_sampler": DeepSMOTE(k_neighbors=0)}, "Expected k_neighbors to be a whole number at least 1"),
        ],
    )
    def test_of_settings(self, table, settings, message):
        estimator = DeepClassifier(**{**SMALL, "stage_sampler": DEEP, **settings})
        with pytest.raises(ValueError, match=message):
            estimator.fit(*table)

    @pytest.mark.parametrize("sampler", [SMOTE(k_neighbors=20), ADASYN(n_neighbors=0)])
    def test_of_a_sampler_come_before_the_training(self, table, sampler, monkeypatch):
        monkeypatch.setattr(Engine, "update", lambda *_: pytest.fail("has begun to train"))
        with pytest.raises((TypeError, ValueError), match="Expected stage_sampler to be an over-sampler that can work"):
            DeepClassifier(**SMALL, stage_sampler=sampler).fit(*table)


class TestCheckpoint:
    @pytest.mark.parametrize("stop", [5, 6, 8], ids="before step {}".format)
    @pytest.mark.parametrize(
        "settings",
        [
            {"stage_sampler": BRIEF, "early_stopping": True, "final_weights": "last"},
            {"stage_sampler": SMOTE(k_neighbors=3), "mixing": NeighborMix(neighbor_space="features")},
            {"stage_sampler": RandomOverSampler(), "stage_start": 0.0, "loss": "ldam", "batches": "square_root"},
        ],
        ids=["deep", "neighbours", "at once"],
    )
    def test_an_interrupted_training_ends_at_the_same_weights(self, table, settings, stop, tmp_path, monkeypatch):
        small = {**SMALL, "dropout": 0.2, "checkpoint": str(tmp_path / "training"), "checkpoint_every": 1, **settings}
        whole = DeepClassifier(**small).fit(*table)
        update, steps = Engine.update, []

        def interrupted(self, phase):
            steps.extend([0] * (phase.name == "classifier"))
            if len(steps) > stop:
                raise InterruptedError
            return update(self, phase)

        with monkeypatch.context() as patch:
            patch.setattr(Engine, "update", interrupted)
            with pytest.raises(InterruptedError):
                DeepClassifier(**small).fit(*table)
        # The set is in the checkpoint: the sampler is not asked again.
        monkeypatch.setattr(deep_classifier, "resampled", lambda *_: pytest.fail("has been made before"))
        resumed = DeepClassifier(**small).fit(*table)
        assert_same_weights(whole, resumed)
        assert [row["classifier"] for row in resumed.history_] == [row["classifier"] for row in whole.history_]
        assert list(tmp_path.iterdir()) == []

    def test_the_sampler_has_one_of_its_own(self, table, tmp_path, monkeypatch):
        small = {**SMALL, "stage_sampler": BRIEF, "checkpoint": str(tmp_path / "training"), "checkpoint_every": 1}
        whole = DeepClassifier(**small).fit(*table)
        run_step, steps = Engine.run_step, []

        def dying(self, number):
            steps.append((self.program.phases[0].name, number))
            if steps[-1] == ("autoencoder", 1) and steps.count(steps[-1]) == 1:
                raise InterruptedError
            run_step(self, number)

        monkeypatch.setattr(Engine, "run_step", dying)
        with pytest.raises(InterruptedError):
            DeepClassifier(**small).fit(*table)
        assert [path.name for path in tmp_path.iterdir()] == ["training.sampler"]
        resumed = DeepClassifier(**small).fit(*table)
        assert steps.count(("autoencoder", 0)) == 1, "went on from the checkpoint"
        assert_same_weights(whole, resumed)
        assert list(tmp_path.iterdir()) == []

    def test_what_the_sampler_has_learned_is_there_before_the_classifier_has_a_checkpoint(
        self, table, tmp_path, monkeypatch
    ):
        small = {**SMALL, "stage_sampler": BRIEF, "checkpoint": str(tmp_path / "training")}
        whole = DeepClassifier(**small).fit(*table)
        run_step, steps = Engine.run_step, []

        def dying(self, number):
            steps.append((self.program.phases[0].name, number))
            if steps[-1] == ("classifier", 2) and steps.count(steps[-1]) == 1:
                raise InterruptedError
            run_step(self, number)

        monkeypatch.setattr(Engine, "run_step", dying)
        with pytest.raises(InterruptedError):
            DeepClassifier(**small).fit(*table)
        assert [path.name for path in tmp_path.iterdir()] == ["training.sampler"]
        resumed = DeepClassifier(**small).fit(*table)
        assert steps.count(("autoencoder", 0)) == 1, "is not trained again"
        assert_same_weights(whole, resumed)
        assert list(tmp_path.iterdir()) == []


def test_a_backbone_of_ones_own(table):
    fitted = DeepClassifier(**SMALL, backbone=nn.Linear(3, 4), stage_sampler=DEEP).fit(*table)
    assert fitted.predict(table[0]).shape == (60,)


@pytest.mark.parametrize("sampler", [DEEP, SMOTE(k_neighbors=3)], ids=["ours", "imblearn"])
def test_comes_back_from_a_bundle(table, sampler, tmp_path):
    fitted = DeepClassifier(**SMALL, stage_sampler=sampler).fit(*table)
    again = load(save(fitted, tmp_path))
    assert again.stage_sampler.get_params() == sampler.get_params()
    np.testing.assert_array_equal(again.decision_function(table[0]), fitted.decision_function(table[0]))
    assert_same_weights(clone(again).fit(*table), fitted)
