"""What every public sampler promises, found by crawling the package: none is left out."""

import hashlib
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.pipeline import Pipeline
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from test_estimators_contract import public_estimators, small

import latentover

SAMPLERS = [small(cls) for cls in public_estimators() if hasattr(cls, "fit_resample")]
EACH = pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # little training, and tiny classes

rng = np.random.default_rng(0)
Y = rng.permutation(np.repeat(["large", "rare", "rarer"], [24, 10, 7]))
X = rng.normal(size=(41, 3)) + 3 * (np.unique(Y, return_inverse=True)[1])[:, None]
FRAME = pd.DataFrame(
    {
        "amount": X[:, 0].astype("float32"),
        "age": pd.array(rng.integers(18, 90, 41), dtype="Int64"),
        "member": rng.random(41) < 0.5,
        "town": pd.Categorical(rng.choice(["Graz", "Linz"], 41), ["Linz", "Wien", "Graz"], ordered=True),
        "colour": rng.choice(["red", "green", "blue"], 41),
    }
)


def fitted(sampler, X, y, **parameters):
    sampler = clone(sampler).set_params(**parameters)
    return sampler, *sampler.fit_resample(X, y)


@EACH
class TestContract:
    def test_counts_originals_and_provenance(self, sampler):
        sampler, X_new, y_new = fitted(sampler, X, Y, sampling_strategy={"rare": 15, "rarer": 24})
        assert pd.Series(y_new).value_counts().to_dict() == {"large": 24, "rarer": 24, "rare": 15}
        assert X_new[:41].tobytes() == X.tobytes()
        assert y_new[:41].tolist() == Y.tolist()
        assert np.isfinite(X_new).all()
        assert sampler.synthetic_mask_.tolist() == [False] * 41 + [True] * 22
        assert sampler.sample_origin_.tolist() == [*range(41), *[-1] * 22]
        assert len(sampler.parents_) == len(sampler.mix_weights_) == len(sampler.sample_weight_) == 63
        assert (sampler.mix_weights_ >= 0).all()
        for column in sampler.parents_.T:
            assert column.min() >= 0
            assert column.max() < 41
            assert (Y[column] == y_new).all(), "parents are of the class"
        assert sampler.sample(3, "large", random_state=0).shape == (3, 3)
        assert len(sampler.to_frame(X_new, y_new)) == 63

    @pytest.mark.parametrize("n", [1, 2])
    def test_tiny_classes(self, sampler, n):
        y = np.repeat([0, 1, 2], [41 - 9 - n, 9, n])
        _, X_new, y_new = fitted(sampler, X, y, small_class="adapt")
        assert np.bincount(y_new).tolist() == [32 - n] * 3
        assert np.isfinite(X_new).all()
        _, _, skipped = fitted(sampler, X, y, small_class="skip")
        assert np.bincount(skipped)[2] == (n if n < sampler._rows_needed() else 32 - n)
        if n < sampler._rows_needed():
            with pytest.raises(ValueError, match=r"to have at least \d+ samples, but got .*\d of class 2"):
                fitted(sampler, X, y, small_class="raise")

    @pytest.mark.parametrize(
        ("shape", "dtype", "settings"),
        [((1, 8, 8), "uint8", {}), ((9, 8, 3), "float32", {"channels_last": True})],
        ids=["grey", "colour"],
    )
    def test_images(self, sampler, shape, dtype, settings):
        images = (rng.random((41, *shape)) * (255 if dtype == "uint8" else 1)).astype(dtype)
        nested = {f"autoencoder__{name}": value for name, value in settings.items() if hasattr(sampler, "autoencoder")}
        _, X_new, _ = fitted(sampler, images, Y, **settings, **nested)
        assert X_new.shape == (72, *shape)
        assert X_new.dtype == images.dtype
        assert X_new[:41].tobytes() == images.tobytes()
        assert X_new.max() <= (255 if dtype == "uint8" else 1)
        assert X_new.min() >= 0

    def test_frames_of_mixed_columns(self, sampler):
        _, X_new, y_new = fitted(sampler, FRAME, pd.Series(Y, dtype="category"))
        assert X_new.dtypes.equals(FRAME.dtypes)
        pd.testing.assert_frame_equal(X_new[:41], FRAME)
        assert y_new.dtype == "category"
        assert set(X_new["town"]) <= {"Graz", "Linz"}
        assert X_new["age"].between(FRAME["age"].min(), FRAME["age"].max()).all()
        assert not X_new.isna().any().any()

    def test_missing_values_stay_where_they_are(self, sampler):
        frame = FRAME.mask(np.random.default_rng(1).random(FRAME.shape) < 0.1)
        with pytest.raises(ValueError, match="X to have no missing values"):
            fitted(sampler, frame, Y)
        _, X_new, _ = fitted(sampler, frame, Y, missing="impute")
        pd.testing.assert_frame_equal(X_new[:41], frame)
        assert not X_new[41:].isna().any().any()

    def test_one_seed_and_nobody_elses_generator(self, sampler):
        state = torch.get_rng_state(), np.random.get_state()[1].tobytes()  # noqa: NPY002
        first = fitted(sampler, X, Y, random_state=3)[1]
        np.random.seed(5)  # noqa: NPY002 - what others do has no influence
        torch.rand(3)
        before = torch.get_rng_state(), np.random.get_state()[1].tobytes()  # noqa: NPY002
        again, X_new, _ = fitted(sampler, X, Y, random_state=3)
        again.sample(2, "rare", random_state=0)
        assert X_new.tobytes() == first.tobytes()
        assert fitted(sampler, X, Y, random_state=4)[1].tobytes() != first.tobytes()
        after = torch.get_rng_state(), np.random.get_state()[1].tobytes()  # noqa: NPY002
        assert torch.equal(before[0], after[0])
        assert before[1] == after[1]
        torch.set_rng_state(state[0])

    def test_twin_classes_do_not_share_draws(self, sampler):
        large, rare = X[Y == "large"], X[Y == "rare"]
        twins = np.concatenate([large, rare, rare])
        _, X_new, y_new = fitted(sampler, twins, np.repeat([0, 1, 2], [24, 10, 10]), random_state=0)
        first, second = (X_new[44:][y_new[44:] == label] for label in (1, 2))
        assert first.shape == second.shape == (14, 3)
        assert not np.allclose(first, second, rtol=1e-3)

    def test_clone_and_pickle(self, sampler):
        done = clone(sampler).fit(X, Y)
        again = pickle.loads(pickle.dumps(done))
        samples = (one.sample(4, "rare", random_state=3) for one in (done, again))
        assert next(samples).tobytes() == next(samples).tobytes()
        assert clone(done).get_params(deep=False).keys() == sampler.get_params(deep=False).keys()
        with pytest.raises(NotFittedError):
            clone(done).sample(1, "rare")

    def test_pipelines(self, sampler):
        pipeline = Pipeline([("sampler", sampler), ("model", LogisticRegression())])
        scores = cross_validate(pipeline, X, Y, cv=2, return_estimator=True, error_score="raise")
        assert all(fold["sampler"].synthetic_mask_.sum() > 0 for fold in scores["estimator"])
        grid = {"sampler__sampling_strategy": ["auto", "minority"], "model__C": [1.0]}
        search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, Y)
        assert search.best_params_["sampler__sampling_strategy"] in ("auto", "minority")


SCRIPT = """
import sys, warnings
sys.path.insert(0, {folder!r})
warnings.simplefilter("ignore")
from test_estimators_every_sampler import digests
print(*digests(), sep="\\n")
"""


def digests():
    """Return digests of all that each sampler makes of one seed, from numbers and from mixed columns."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for sampler in SAMPLERS:
            for data in (X, FRAME):
                done, X_new, y_new = fitted(sampler, data, Y)
                made = np.asarray(X_new).astype(str) if data is FRAME else X_new
                parts = [made, y_new, done.parents_, done.mix_weights_]
                digest = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts))
                found.append(digest.hexdigest())
    return found


def test_fresh_processes_give_the_same_bytes():
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(latentover.__file__).parents[1])}
    command = [sys.executable, "-c", SCRIPT.format(folder=str(Path(__file__).parent))]
    runs = []
    for hash_seed in ("1", "2"):  # by which Python orders its sets
        environment["PYTHONHASHSEED"] = hash_seed
        runs.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert runs[0] == runs[1]
    assert len(set(runs[0].split())) == 2 * len(SAMPLERS)
