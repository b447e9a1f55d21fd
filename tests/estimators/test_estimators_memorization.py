"""What a generator gives away of its training rows, for every one that is public."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from test_estimators_contract import public_estimators, small

from latentover import ClassicalSampler, RAEClassifier, RAESampler
from latentover.estimators import BaseGenerator

GENERATORS = [small(cls) for cls in public_estimators() if issubclass(cls, BaseGenerator)]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # little training

rng = np.random.default_rng(0)
Y = rng.permutation(np.repeat(["large", "rare", "rarer"], [60, 20, 8]))
X = rng.normal(size=(88, 5)) + 3 * (np.unique(Y, return_inverse=True)[1])[:, None]


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda generator: type(generator).__name__)
def test_every_generator_reports_on_its_rare_classes(generator):
    fitted = clone(generator).fit(X, Y)
    report = fitted.memorization_report(X, Y, n_samples=30)
    assert list(report.classes) == ["rare", "rarer"]
    frame = report.to_frame()
    assert frame["n_train"].tolist() == [20, 8]
    assert frame["n"].tolist() == [30, 30]
    assert frame[["copies", "twins", "nearer"]].stack().between(0, 1).all()
    assert repr(report) == repr(fitted.memorization_report(X, Y, n_samples=30)), "one seed, one report"
    assert type(fitted).__name__ in repr(report)
    assert ("from the training rows themselves" in repr(report)) == fitted._keeps_rows()


class Copier(RAESampler):
    """Gives the training rows themselves."""

    def _generate(self, label, n, generator):
        rows = (self.tensors_["labels"] == label).nonzero().squeeze(1)
        found = super()._generate(label, n, generator)
        own = torch.as_tensor(self.format_.encode(X))[rows[torch.arange(n) % len(rows)]]
        return replace(found, outputs=own)


def test_copies_are_found():
    report = Copier(max_steps=1, hidden_units=8, random_state=0).fit(X, Y).memorization_report(X, Y, n_samples=10)
    assert report.flagged == ["rare", "rarer"]
    assert report.to_frame()["copies"].tolist() == [1, 1]
    assert report.to_frame()["distance_ratio"].tolist() == [0, 0]
    assert repr(report).count("repeats rows") == 2
    assert report.to_dict()["flagged"] == ["rare", "rarer"]


def test_variations_of_one_row_by_smote_are_copies():
    y = np.where(np.arange(88) == 3, "single", "many")
    report = ClassicalSampler(random_state=0).fit(X, y).memorization_report(X, y)
    assert report.classes["single"].copies == 1
    assert report.flagged == ["single"]


def test_smote_lies_nearer_to_the_rows_than_they_do_to_each_other():
    many, y = rng.normal(size=(600, 5)), np.repeat([0, 1], [400, 200])
    found = ClassicalSampler(random_state=0).fit(many, y).memorization_report(many, y).classes[1]
    assert 0.2 < found.distance_ratio < 0.7
    assert found.copies == 0


def test_of_images_and_of_frames():
    images = (rng.random((88, 1, 8, 8)) * 255).astype(np.uint8)
    settings = {"max_steps": 1, "hidden_units": 8, "channels": 4, "latent_dim": 4, "random_state": 0}
    report = RAEClassifier(**settings).fit(images, Y).memorization_report(images, Y, n_samples=5)
    assert list(report.classes) == ["rare", "rarer"]
    frame = pd.DataFrame(X, columns=list("abcde")).assign(town=np.where(X[:, 0] > 3, "Graz", "Linz"))
    frame.loc[4, "a"] = np.nan
    sampler = RAESampler(**settings, missing="mask").fit(frame, Y)
    assert not sampler.memorization_report(frame, pd.Series(Y), n_samples=5).flagged


def test_where_all_classes_are_of_one_size_it_reports_on_all():
    y = np.arange(88) % 2
    assert list(ClassicalSampler().fit(X, y).memorization_report(X, y, n_samples=4).classes) == [0, 1]


def test_what_does_not_do_is_refused():
    sampler = ClassicalSampler()
    with pytest.raises(NotFittedError):
        sampler.memorization_report(X, Y)
    sampler.fit(X, Y)
    keep = np.r_[np.flatnonzero(Y != "rare"), np.flatnonzero(Y == "rare")[:10]]
    with pytest.raises(ValueError, match=r"X and y to be the data of fit, with .*'rare': 20.*, but got .*'rare': 10"):
        sampler.memorization_report(X[keep], Y[keep])
    with pytest.raises(ValueError, match="inconsistent numbers: 87 samples and 88 labels"):
        sampler.memorization_report(X[1:], Y)
    with pytest.raises(ValueError, match="n_samples to be a number of samples, 1 or more, but got 0"):
        sampler.memorization_report(X, Y, n_samples=0)
    with pytest.raises(ValueError, match="without a decoder"):
        RAEClassifier(decoder=False, max_steps=1).fit(X, Y).memorization_report(X, Y)


class TestColumns:
    """Values of single rows that new rows carry, whichever rows they are otherwise like."""

    frame = pd.DataFrame(X, columns=list("abcde")).assign(
        iban=[f"AT{i:04d}" for i in range(len(X))], town=np.where(X[:, 0] > 3, "Graz", "Linz")
    )

    class Thief(ClassicalSampler):
        """Gives each new row the account of a row of another class, and numbers of its own."""

        def sample(self, n, y, *, random_state=None):
            rows = super().sample(n, y, random_state=random_state)
            return rows.assign(iban=TestColumns.frame["iban"][Y == "large"].iloc[np.arange(n) % 60].to_numpy())

    def test_an_identifier_in_every_new_row_is_flagged(self):
        report = self.Thief(random_state=0).fit(self.frame, Y).memorization_report(self.frame, Y, n_samples=50)
        assert report.columns["iban"].copied == 1
        assert report.flagged_columns == ["iban"]
        assert report.columns["town"].copied == 0
        assert list(report.columns) == list(self.frame)
        assert report.columns_frame().loc["iban", "distinct"] == 50
        assert report.to_dict()["flagged_columns"] == ["iban"]
        assert report.to_dict()["columns"]["iban"]["copied"] == 1
        (line,) = [line for line in repr(report).splitlines() if line.startswith("iban")]
        assert line.endswith("copies values")

    def test_fresh_values_are_not(self):
        class Fresh(ClassicalSampler):
            def sample(self, n, y, *, random_state=None):
                rows = super().sample(n, y, random_state=random_state)
                return rows.assign(iban=[f"DE{i}" for i in range(n)], a=np.arange(n) / 7)

        report = Fresh(random_state=0).fit(self.frame, Y).memorization_report(self.frame, Y, n_samples=50)
        assert report.columns["iban"].copied == 0
        assert "iban" not in report.flagged_columns

    def test_of_arrays_by_number_and_of_images_not_at_all(self):
        report = ClassicalSampler(random_state=0).fit(X, Y).memorization_report(X, Y, n_samples=20)
        assert list(report.columns) == [0, 1, 2, 3, 4]
        images = (rng.random((88, 1, 8, 8)) * 255).astype(np.uint8)
        report = ClassicalSampler(random_state=0).fit(images, Y).memorization_report(images, Y, n_samples=5)
        assert report.columns == {}
        assert "column" not in repr(report)
