import numpy as np
import pandas as pd
import pytest
import torch

from latentover.methods.amdo import (
    AMDO,
    category_weights,
    class_ellipsoids,
    on_sphere,
    same_class_neighbors,
    sample_ellipsoids,
    sequential,
)

CORNERS = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0], [2.0, 1.0]], dtype=torch.float64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def mahalanobis(x, X):
    """Squared distances (n,) from the mean of X, by the definition."""
    centred = X - X.mean(dim=0)
    return torch.einsum(
        "nd,de,ne->n", x - X.mean(dim=0), torch.linalg.pinv(centred.T @ centred / len(X)), x - X.mean(dim=0)
    )


def everything(X):
    return torch.ones(len(X), dtype=torch.bool)


class TestEllipsoids:
    def test_oracle(self):
        found = class_ellipsoids(CORNERS, everything(CORNERS))
        torch.testing.assert_close(found.mean, torch.tensor([1, 0.5], dtype=torch.float64))
        torch.testing.assert_close(found.variances, torch.tensor([1, 0.25], dtype=torch.float64))
        torch.testing.assert_close(found.radii, torch.full((4,), 2.0, dtype=torch.float64))

    @pytest.mark.parametrize("synthesis", ["sphere", "sequential"])
    def test_new_samples_are_on_the_ellipse_of_their_parent(self, synthesis):
        X = torch.randn(30, 2, generator=generator(), dtype=torch.float64) @ torch.tensor([[2.0, 1], [0, 0.3]]).double()
        found = class_ellipsoids(X, everything(X))
        torch.testing.assert_close(found.radii, mahalanobis(X, X))
        new = sample_ellipsoids(found, found.radii.repeat(9), synthesis, generator())
        torch.testing.assert_close(mahalanobis(new, X), found.radii.repeat(9))

    def test_on_the_ellipsoid_in_any_dimension_and_in_the_span(self):
        X = torch.randn(20, 50, generator=generator(), dtype=torch.float64)
        found = class_ellipsoids(X, everything(X))
        assert len(found.variances) == 19
        new = sample_ellipsoids(found, found.radii, "sphere", generator())
        torch.testing.assert_close(mahalanobis(new, X), mahalanobis(X, X))
        span = torch.linalg.qr((X - X.mean(dim=0)).T[:, :19]).Q
        centred = new - X.mean(dim=0)
        torch.testing.assert_close(centred @ span @ span.T, centred)

    def test_samples_have_the_covariance_of_the_class(self):
        X = (
            torch.randn(300, 4, generator=generator(), dtype=torch.float64)
            @ torch.rand(4, 4, generator=generator()).double()
        )
        found = class_ellipsoids(X, everything(X))
        new = sample_ellipsoids(found, found.radii.repeat(200), "sphere", generator())
        torch.testing.assert_close(torch.cov(new.T), torch.cov(X.T, correction=0), atol=0.01, rtol=0.02)

    def test_sequential_coordinates_leave_the_ellipsoid_in_high_dimensions(self):
        d = 301
        radii, variances = torch.full((500,), 2.0, dtype=torch.float64), torch.rand(d, generator=generator()).double()
        inflated = (sequential(radii, variances, generator()) ** 2 / variances).sum(dim=1) / radii
        torch.testing.assert_close(inflated.mean(), torch.tensor((d - 1) / 3).double(), rtol=0.02, atol=0)
        exact = (on_sphere(radii, variances, generator()) ** 2 / variances).sum(dim=1)
        torch.testing.assert_close(exact, radii)

    def test_mean_and_axes_are_of_the_kept_and_radii_of_all(self):
        X = torch.cat([CORNERS, torch.tensor([[5.0, 0.5]]).double()])
        found = class_ellipsoids(X, torch.tensor([True] * 4 + [False]))
        torch.testing.assert_close(found.variances, torch.tensor([1, 0.25], dtype=torch.float64))
        torch.testing.assert_close(found.radii, torch.tensor([2.0, 2, 2, 2, 16], dtype=torch.float64))

    def test_where_none_is_kept_all_are(self):
        found = class_ellipsoids(CORNERS, ~everything(CORNERS))
        torch.testing.assert_close(found.radii, torch.full((4,), 2.0, dtype=torch.float64))

    @pytest.mark.parametrize("X", [CORNERS[1:2], CORNERS[1:2].repeat(3, 1)], ids=["one", "the same"])
    def test_without_variance_samples_are_repeated(self, X):
        found = class_ellipsoids(X, everything(X))
        torch.testing.assert_close(sample_ellipsoids(found, torch.ones(5), "sphere", generator()), X[:1].expand(5, -1))


def test_same_class_neighbors_by_hand():
    X, others = torch.tensor([[0.0], [1.0], [10.0]]), torch.tensor([[2.0], [9.0], [11.0], [12.0]])
    assert same_class_neighbors(X, others, 2).tolist() == [1, 1, 0]


def test_same_class_neighbors_of_points_that_many_others_repeat():
    assert same_class_neighbors(torch.zeros(1, 2), torch.zeros(9, 2), 3).tolist() == [0]


class TestMixedTypes:
    def test_weights_are_one_over_the_share(self):
        X = torch.tensor([[0.3, 1, 0, 0], [0.1, 1, 0, 0], [0.2, 1, 0, 0], [0.9, 0, 1, 0]])
        expected = torch.tensor([1, 4 / 3, 4, 1])  # nothing of the class is in the last category
        torch.testing.assert_close(category_weights(X, [slice(1, 4)]), expected)

    def test_of_categories_alone_it_is_correspondence_analysis(self):
        # The total inertia of an indicator matrix in PCAmix is the number of categories less that of variables.
        first, second = (
            torch.randint(3, (200,), generator=generator()),
            torch.randint(4, (200,), generator=generator(1)),
        )
        X = torch.cat([torch.eye(3)[first], torch.eye(4)[second]], dim=1).double()
        found = class_ellipsoids(X, everything(X), category_weights(X, [slice(0, 3), slice(3, 7)]))
        torch.testing.assert_close(found.variances.sum(), torch.tensor(5.0).double())
        assert len(found.variances) == 5

    def test_new_samples_come_back_in_the_users_scale(self):
        X = torch.cat([torch.randn(60, 2, generator=generator()), torch.eye(2).repeat(30, 1)], dim=1).double()
        found = class_ellipsoids(X, everything(X), category_weights(X, [slice(2, 4)]))
        new = sample_ellipsoids(found, found.radii.repeat(400), "sphere", generator())
        torch.testing.assert_close(new.mean(dim=0), X.mean(dim=0), atol=0.03, rtol=0)
        torch.testing.assert_close(new.var(dim=0), X.var(dim=0), rtol=0.06, atol=0)
        torch.testing.assert_close(new[:, 2:].sum(dim=1), torch.ones(len(new)).double())


def blobs(*counts, d=3, seed=0):
    y = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).normal(size=(len(y), d)) + 2 * y[:, None], y


class TestSampler:
    def test_new_rows_are_as_far_from_the_mean_as_their_parents(self):
        X, y = blobs(60, 50)
        X[60:] += 6  # no other class near: all are kept
        sampler = AMDO(random_state=0, clip="none")
        X_new, _ = sampler.fit_resample(X, y)
        own, new = torch.from_numpy(X[y == 1]), torch.from_numpy(X_new[110:])
        parents = torch.from_numpy(X[sampler.parents_[110:, 0]])
        torch.testing.assert_close(mahalanobis(new, own), mahalanobis(parents, own), rtol=1e-3, atol=1e-3)

    def test_samples_amid_other_classes_are_no_parents(self):
        X, y = blobs(60, 20)
        X[-1] = X[y == 0].mean(axis=0)
        sampler = AMDO(random_state=0)
        sampler.fit_resample(X, y)
        assert 79 not in sampler.parents_[80:]
        sampler.set_params(base_selection=[79]).fit_resample(X, y)
        assert (sampler.parents_[80:] == 79).all()

    @pytest.mark.parametrize(("balance", "total"), [(1.0, 60), (0.5, 40), (0.01, 20)])
    def test_partial_balance(self, balance, total):
        _, y_new = AMDO(balance=balance, random_state=0).fit_resample(*blobs(60, 20))
        assert np.bincount(y_new).tolist() == [60, total]

    def test_mixed_types_come_back_with_known_categories(self):
        X, y = blobs(60, 20)
        frame = pd.DataFrame({"size": X[:, 0], "kind": np.where(X[:, 1] > 2, "high", "low"), "odd": X[:, 2] > 1})
        X_new, _ = AMDO(random_state=0).fit_resample(frame, y)
        assert X_new.dtypes.equals(frame.dtypes)
        assert set(X_new["kind"][80:]) == {"high", "low"}

    def test_images(self):
        X, y = blobs(40, 9, d=64)
        images = np.clip(X.reshape(-1, 1, 8, 8) * 40 + 100, 0, 255).astype(np.uint8)
        X_new, _ = AMDO(random_state=0).fit_resample(images, y)
        assert X_new.shape == (80, 1, 8, 8)
        assert X_new.dtype == np.uint8
        assert len(np.unique(X_new[49:].reshape(31, -1), axis=0)) == 31

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"balance": 1.5}, "balance to be a number above 0 and at most 1, but got 1.5"),
            ({"balance": 0}, "balance to be a number above 0 and at most 1, but got 0"),
            ({"min_class_neighbors": 6}, "min_class_neighbors to be at most k_neighbors = 5, but got 6"),
            ({"synthesis": "cube"}, "synthesis to be one of .*, but got 'cube'"),
        ],
    )
    def test_wrong_parameters(self, wrong, message):
        with pytest.raises(ValueError, match=f"Expected {message}"):
            AMDO(**wrong).fit(*blobs(20, 5))
