import numpy as np
import pandas as pd
import pytest
import torch

from latentover import SmoothedBootstrapSampler
from latentover.methods.smoothed_bootstrap import class_cloud, silverman_factor, smoothed

N_NEW = 60_000


def class_of(n=40, seed=0):
    """A skewed class of correlated numbers beside a large one."""
    rng = np.random.default_rng(seed)
    rare = rng.exponential(size=(n, 3)) @ np.array([[1.0, 0.8, 0.0], [0.0, 0.5, -2.0], [0.0, 0.0, 1.0]]) + [5, -3, 100]
    return np.concatenate([rng.normal(size=(100, 3)), rare]), np.repeat([0, 1], [100, n])


def new_rows(X, y, n=N_NEW, weights=None, **settings):
    sampler = SmoothedBootstrapSampler(clip="none", numbers="standard", random_state=0, **settings).fit(X, y, weights)
    return sampler.sample(n, 1, random_state=1)


class TestBandwidth:
    @pytest.mark.parametrize(
        ("n", "d", "expected"), [(50, 1, (4 / 3) ** 0.2 * 50**-0.2), (200, 2, 200 ** (-1 / 6)), (10, 6, 20**-0.1)]
    )
    def test_rule(self, n, d, expected):
        assert silverman_factor(n, d) == pytest.approx(expected)

    def test_is_of_the_columns_that_vary_and_of_what_the_weights_are_worth(self):
        X = torch.tensor([[0.0, 7.0, 1.0], [1.0, 7.0, 5.0], [2.0, 7.0, 2.0], [4.0, 7.0, 0.0]])
        assert class_cloud(X).bandwidth.item() == pytest.approx(silverman_factor(4, 2))
        two = class_cloud(X, torch.tensor([3.0, 0.0, 3.0, 0.0]))
        assert two.bandwidth.item() == pytest.approx(silverman_factor(2, 2))

    @pytest.mark.parametrize("bandwidth", [-0.1, float("inf"), "scott", True])
    def test_others_are_errors(self, bandwidth):
        with pytest.raises(ValueError, match="Expected bandwidth to be 'silverman' or a number at least 0, but got"):
            SmoothedBootstrapSampler(bandwidth=bandwidth).fit(*class_of())


class TestMoments:
    @pytest.mark.parametrize("bandwidth", ["silverman", 0.2, 3.0])
    def test_are_those_of_the_class(self, bandwidth):
        X, y = class_of()
        new, rare = new_rows(X, y, bandwidth=bandwidth), X[y == 1]
        spread = rare.std(axis=0)
        np.testing.assert_allclose((new.mean(axis=0) - rare.mean(axis=0)) / spread, 0, atol=0.02)
        covariance = np.cov(rare, rowvar=False, bias=True)
        np.testing.assert_allclose((np.cov(new, rowvar=False) - covariance) / np.outer(spread, spread), 0, atol=0.04)

    def test_are_those_of_the_weighted_class(self):
        X, y = class_of()
        weights = np.where(X[:, 0] > 6, 4.0, 1.0)
        weights[-1] = 0
        new, rare, shares = new_rows(X, y, weights=weights), X[y == 1], weights[y == 1]
        mean = np.average(rare, axis=0, weights=shares)
        covariance = np.cov(rare, rowvar=False, aweights=shares, bias=True)
        spread = np.sqrt(np.diag(covariance))
        np.testing.assert_allclose((new.mean(axis=0) - mean) / spread, 0, atol=0.02)
        np.testing.assert_allclose((np.cov(new, rowvar=False) - covariance) / np.outer(spread, spread), 0, atol=0.04)

    def test_of_a_class_with_fewer_rows_than_columns(self):
        rng = np.random.default_rng(2)
        X = rng.normal(size=(12, 20))
        y = np.repeat([0, 1], [8, 4])
        new, rare = new_rows(X, y, bandwidth=1.0), X[y == 1]
        np.testing.assert_allclose(np.cov(new, rowvar=False), np.cov(rare, rowvar=False, bias=True), atol=0.05)
        # The noise stays in the span of the class.
        _, _, span = np.linalg.svd(rare - rare.mean(axis=0))
        assert np.abs((new[:50] - rare.mean(axis=0)) @ span[3:].T).max() < 1e-4

    def test_a_wide_kernel_loses_the_skew_and_a_narrow_one_keeps_it(self):
        X, y = class_of(400)
        skews = [pd.Series(new_rows(X, y, bandwidth=h)[:, 0]).skew() for h in (0.1, 5.0)]
        assert skews[0] == pytest.approx(pd.Series(X[y == 1, 0]).skew(), rel=0.1)
        assert abs(skews[1]) < 0.1

    def test_of_scores_are_those_of_the_scores_of_the_class(self):
        X, y = class_of(200)
        sampler = SmoothedBootstrapSampler(bandwidth=0.5, clip="none", random_state=0).fit(X, y)
        new, rare = (sampler.format_.encode(rows).numpy() for rows in (sampler.sample(N_NEW, 1), X[y == 1]))
        np.testing.assert_allclose(new.mean(axis=0), rare.mean(axis=0), atol=0.02)
        np.testing.assert_allclose(np.cov(new, rowvar=False), np.cov(rare, rowvar=False, bias=True), atol=0.03)
        assert SmoothedBootstrapSampler().numbers == "scores"

    def test_of_a_column_with_a_point_mass_are_those_of_the_others(self):
        rng = np.random.default_rng(0)
        amount = np.where(rng.random(1200) < 0.7, 0.0, np.round(rng.lognormal(3, 1, 1200), 2))
        X = pd.DataFrame({"amount": amount, "age": rng.normal(50, 9, 1200) + np.log1p(amount)})
        y = np.repeat([0, 1], [800, 400])
        sampler = SmoothedBootstrapSampler(clip="none", bandwidth=0.5, random_state=0).fit(X, y)
        made, rare = sampler.sample(N_NEW, 1), X[y == 1]
        assert (made["amount"] == 0).mean() == pytest.approx((rare["amount"] == 0).mean(), abs=0.01)
        logs = [np.log(part.loc[part["amount"] > 0, "amount"]) for part in (made, rare)]
        assert logs[0].mean() == pytest.approx(logs[1].mean(), abs=0.05)
        assert logs[0].std() == pytest.approx(logs[1].std(), abs=0.05)

    def test_of_numbers_that_only_some_rows_have(self):
        X = torch.tensor([[1.0, 0.0], [3.0, 0.0], [9.0, 2.0], [0.0, 6.0]], dtype=torch.float64)
        known = torch.tensor([[True, False], [True, False], [False, True], [True, True]])
        cloud = class_cloud(X, known=known)
        torch.testing.assert_close(cloud.mean, torch.tensor([4 / 3, 4.0], dtype=torch.float64))
        covariance = cloud.factor.T @ cloud.factor
        torch.testing.assert_close(covariance.diag(), torch.tensor([14 / 9, 4.0], dtype=torch.float64))
        # One row has both, of three and of two.
        assert abs(covariance[0, 1]) == pytest.approx((4 / 3) * 2 / (3 * 2) ** 0.5)

    def test_formula_against_a_second_writing(self):
        X = torch.randn(9, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        cloud = class_cloud(X, bandwidth=0.7)
        new = smoothed(X[:4], cloud, torch.Generator().manual_seed(1))
        noise = torch.randn(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) @ cloud.factor
        expected = X.mean(0) + ((X[:4] - X.mean(0)) + 0.7 * noise) / (1 + 0.49) ** 0.5
        torch.testing.assert_close(new, expected)
        torch.testing.assert_close(cloud.factor.T @ cloud.factor, torch.cov(X.T, correction=0))


def mixed(n=300, missing=False):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "amount": rng.lognormal(size=n),
            "town": pd.Categorical(rng.choice(["Graz", "Linz", "Wien"], n), ["Wien", "Linz", "Graz", "Bern"]),
            "member": rng.random(n) < 0.3,
            "age": rng.integers(18, 90, n),
        }
    )
    y = np.repeat(["many", "few"], [n - 60, 60])
    X.loc[y == "few", "town"] = rng.choice(["Graz", "Linz"], 60)
    if missing:
        X.loc[rng.random(n) < 0.2, "amount"] = np.nan
    return X, y


class TestLevels:
    def test_without_a_bandwidth_rows_are_copies(self):
        X, y = mixed(missing=True)
        sampler = SmoothedBootstrapSampler(bandwidth=0, missing="mask", random_state=0)
        X_new, _ = sampler.fit_resample(X, y)
        parents = X.iloc[sampler.parents_[300:, 0]].reset_index(drop=True)
        pd.testing.assert_frame_equal(X_new[300:].reset_index(drop=True), parents, rtol=1e-5)

    def test_are_those_of_the_parent(self):
        X, y = mixed(missing=True)
        sampler = SmoothedBootstrapSampler(missing="mask", random_state=0)
        X_new, y_new = sampler.fit_resample(X, y)
        made, parents = X_new[300:].reset_index(drop=True), X.iloc[sampler.parents_[300:, 0]].reset_index(drop=True)
        assert set(y_new[300:]) == {"few"}
        for column in ("town", "member"):
            assert made[column].equals(parents[column])
        assert made["amount"].isna().equals(parents["amount"].isna())
        assert not made["amount"].isna().all()
        assert (made["amount"] != parents["amount"]).mean() > 0.9

    def test_come_from_near_rows_as_often_as_is_said(self):
        rng = np.random.default_rng(0)
        # Two groups of the rare class, far apart: a level never crosses from one to the other.
        group = rng.integers(0, 2, 80)
        rare = pd.DataFrame({"x": 100.0 * group + rng.normal(size=80)})
        rare["level"] = [f"{'ab'[g]}{i % 4}" for i, g in enumerate(group)]
        X = pd.concat([rare, pd.DataFrame({"x": np.zeros(200), "level": "c"})], ignore_index=True)
        y = np.repeat([1, 0], [80, 200])
        settings = {"bandwidth": 0, "k_neighbors": 20, "numbers": "standard", "random_state": 0}
        sampler = SmoothedBootstrapSampler(level_rate=0.5, sampling_strategy={1: 4080}, **settings)
        made = sampler.fit_resample(X, y)[0][280:]
        parents = X.iloc[sampler.parents_[280:, 0]]
        np.testing.assert_allclose(made["x"], parents["x"], atol=1e-3)
        lent = made["level"].to_numpy() != parents["level"].to_numpy()
        assert len(set(made["level"])) == 8
        # Of the 20 nearest rows those of the same level are nearest, by one-hot columns: about 9 of them.
        assert 0.15 < lent.mean() < 0.45
        assert (made["level"].str[0].to_numpy() == parents["level"].str[0].to_numpy()).all()
        never = SmoothedBootstrapSampler(level_rate=0, **settings)
        made = never.fit_resample(X, y)[0][280:]
        assert made["level"].tolist() == X["level"].iloc[never.parents_[280:, 0]].tolist()

    def test_a_number_comes_with_its_point_mass(self):
        rng = np.random.default_rng(0)
        X = pd.DataFrame({"x": np.where(np.arange(300) % 2, 0.0, rng.normal(size=300))})
        sampler = SmoothedBootstrapSampler(level_rate=1.0, k_neighbors=60, bandwidth=0, random_state=0)
        sampler.fit_resample(X, np.repeat([0, 1], [240, 60]))
        rows = sampler.sample(500, 1, random_state=0)
        assert sorted({*X["x"][240:].round(6)} - {*rows["x"].round(6)}) == []
        assert {*rows["x"].round(6)} <= {*X["x"][240:].round(6)}

    def test_rows_without_a_weight_lend_nothing(self):
        X = pd.DataFrame({"x": np.zeros(40), "level": ["a", "b"] * 10 + ["c"] * 20})
        y = np.repeat([1, 0], 20)
        weights = np.where(X["level"] == "b", 0.0, 1.0)
        sampler = SmoothedBootstrapSampler(level_rate=1.0, sampling_strategy={1: 100}, random_state=0)
        X_new, _ = sampler.fit_resample(X, y, sample_weight=weights)
        assert set(X_new["level"][40:]) == {"a"}

    def test_a_table_of_levels_alone_has_them(self):
        X, y = mixed()
        X_new, _ = SmoothedBootstrapSampler(random_state=0).fit_resample(X[["town", "member"]], y)
        assert set(X_new["town"][300:]) == {"Graz", "Linz"}
