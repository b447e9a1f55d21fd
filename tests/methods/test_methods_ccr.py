import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from latentover.methods.ccr import MultiClassCCR, clean, clean_classes, sample_spheres, sphere_noise, sphere_radii


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def radius_step_by_step(distances, energy):
    """The loop of the paper: from sample to sample, each one inside makes growing dearer."""
    radius, inside, ordered = 0.0, 0, sorted(distances)
    while inside < len(ordered):
        step = energy / (inside + 1)
        if ordered[inside] >= radius + step:
            return radius + step
        step = ordered[inside] - radius
        radius, energy, inside = ordered[inside], energy - step * (inside + 1), inside + 1
    return radius + energy / max(inside, 1)


class TestRadii:
    @pytest.mark.parametrize(
        ("energy", "distances", "radius", "inside"),
        [
            (0.25, [0.1, 0.4, 2.0], 0.175, 1),
            (0.5, [0.1, 0.12, 0.15], 0.24, 3),
            (0.25, [1.0, 2.0], 0.25, 0),
            (0.25, [0.05], 0.25, 1),
            (0.25, [], 0.25, 0),
        ],
    )
    def test_oracles(self, energy, distances, radius, inside):
        found = sphere_radii(torch.tensor([distances], dtype=torch.float64), energy)
        torch.testing.assert_close(found, torch.tensor([radius], dtype=torch.float64))
        assert sum(d < radius for d in distances) == inside

    def test_equal_the_loop(self):
        distances = torch.rand(50, 9, generator=generator(), dtype=torch.float64)
        for energy in (0.01, 0.3, 2.0, 50.0):
            expected = [radius_step_by_step(row, energy) for row in distances.tolist()]
            torch.testing.assert_close(sphere_radii(distances, energy), torch.tensor(expected, dtype=torch.float64))


class TestCleaning:
    def points(self):
        minority = torch.rand(6, 3, generator=generator(), dtype=torch.float64)
        majority = torch.rand(15, 3, generator=generator(1), dtype=torch.float64)
        return minority, majority

    def test_pushes_are_those_of_each_pair(self, monkeypatch):
        monkeypatch.setattr("latentover.methods.resampling.CHUNK_ELEMENTS", 40)
        minority, majority = self.points()
        found = clean(minority, majority, 0.8, 1.0, generator())
        expected = torch.zeros_like(majority)
        for centre, radius in zip(minority, found.radii, strict=True):
            for j, point in enumerate(majority):
                d = (point - centre).abs().sum()
                if d < radius:
                    expected[j] += (radius - d) / d * (point - centre)
        assert 0 < found.inside.sum() < 15
        torch.testing.assert_close(found.shift, expected)
        assert torch.equal(found.inside, expected.abs().sum(dim=1) > 0)

    @pytest.mark.parametrize("norm", [1.0, 2.0])
    def test_one_sphere_pushes_to_its_surface(self, norm):
        minority, majority = self.points()
        found = clean(minority[:1], majority, 1.5, norm, generator())
        pushed = (majority + found.shift - minority[0]).norm(p=norm, dim=1)
        assert found.inside.any()
        torch.testing.assert_close(pushed[found.inside], found.radii.expand(int(found.inside.sum())))
        assert (pushed >= found.radii - 1e-9).all()

    def test_a_coincident_sample_is_pushed_somewhere(self):
        minority, majority = self.points()
        majority[4] = minority[0]
        found = clean(minority[:1], majority, 0.2, 1.0, generator())
        torch.testing.assert_close(found.shift[4].abs().sum(), found.radii[0])
        assert torch.isfinite(found.shift).all()

    def test_without_push_nothing_moves(self):
        minority, majority = self.points()
        found = clean(minority, majority, 0.8, 1.0, generator(), push=False)
        assert found.inside.any()
        assert not found.shift.any()


class TestSampling:
    @pytest.mark.parametrize("norm", [1.0, 2.0])
    def test_noise_is_in_the_ball_and_its_length_uniform(self, norm):
        radii = torch.full((4000,), 0.5, dtype=torch.float64)
        lengths = sphere_noise(radii, 6, norm, generator()).norm(p=norm, dim=1)
        assert lengths.max() <= 0.5
        torch.testing.assert_close(lengths.mean(), torch.tensor(0.25, dtype=torch.float64), atol=0.01, rtol=0)

    def test_small_spheres_get_more_and_the_total_is_exact(self):
        centres, radii = torch.tensor([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]]), torch.tensor([0.25, 0.5, 1.0])
        new = sample_spheres(centres, radii, 2000, 1.0, generator())
        distances = torch.cdist(new, centres, p=1.0)
        nearest = distances.argmin(dim=1)
        assert len(new) == 2000
        assert (nearest.bincount() - torch.tensor([4, 2, 1]) / 7 * 2000).abs().max() < 1
        assert (distances.amin(dim=1) <= radii[nearest] + 1e-5).all()


class TestClasses:
    X = torch.rand(60, 4, generator=generator(), dtype=torch.float64)
    labels = torch.tensor([1] * 30 + [0] * 18 + [3] * 10 + [2] * 2)

    def cleaned(self, cleaning, energy=0.8):
        return clean_classes(self.X, self.labels, energy, 1.0, cleaning, generator())

    def test_every_sample_has_its_sphere(self):
        radii = self.cleaned("ignore").radii
        assert ((radii > 0) & (radii <= 0.8)).all()

    def test_the_second_class_meets_the_largest_alone(self):
        distances = torch.cdist(self.X[30:48], self.X[:30], p=1.0)
        torch.testing.assert_close(self.cleaned("translate").radii[30:48], sphere_radii(distances, 0.8))

    def test_translation_moves_larger_classes_alone_and_removes_nothing(self):
        found = self.cleaned("translate")
        moved = (found.points != self.X).any(dim=1)
        assert moved[:30].any()
        assert not moved[self.labels == 2].any()
        assert not found.removed.any()

    def test_removal_moves_nothing(self):
        found = self.cleaned("remove")
        torch.testing.assert_close(found.points, self.X)
        assert found.removed[:30].any()
        assert not found.removed[self.labels == 2].any()

    def test_removal_leaves_something_of_each_class(self):
        found = self.cleaned("remove", energy=1000.0)
        assert set(self.labels[~found.removed].tolist()) == {0, 1, 2, 3}

    def test_ignoring_changes_nothing(self):
        found = self.cleaned("ignore")
        assert torch.equal(found.points, self.X)
        assert not found.removed.any()


def blobs(*counts, d=3, seed=0):
    y = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).normal(size=(len(y), d)) + y[:, None], y


class TestSampler:
    def test_new_rows_are_in_the_spheres_of_their_parents(self):
        X, y = blobs(60, 20)
        sampler = MultiClassCCR(random_state=0, clip="none")
        X_new, _ = sampler.fit_resample(X, y)
        parents = sampler.parents_[80:, 0]
        distances = (np.abs(X_new[80:] - X[parents]) / np.ptp(X, axis=0)).sum(axis=1)
        assert (distances <= sampler.radii_[parents] + 1e-5).all()
        assert distances.max() > 0.5 * sampler.radii_[parents].min()

    def test_energy_per_feature(self):
        X, y = blobs(60, 20)
        each = MultiClassCCR(energy=0.1, per_feature=True, random_state=0).fit(X, y)
        np.testing.assert_allclose(each.radii_, MultiClassCCR(energy=0.3, random_state=0).fit(X, y).radii_, rtol=1e-5)

    @pytest.mark.parametrize("kind", ["array", "frame", "sparse"])
    def test_translation_moves_samples_of_the_larger_class_out_of_the_spheres(self, kind):
        X, y = blobs(60, 20)
        given = {"array": X, "frame": pd.DataFrame(X, columns=list("abc")), "sparse": sp.csr_matrix(X)}[kind]
        sampler = MultiClassCCR(energy=0.5, cleaning="translate", random_state=0, clip="none")
        X_new, y_new = sampler.fit_resample(given, y)
        assert type(X_new) is type(given)
        X_new = X_new.toarray() if kind == "sparse" else np.asarray(X_new)
        moved = (X_new[:80] != X).any(axis=1)
        assert moved.any()
        assert not moved[60:].any()
        span = np.ptp(X, axis=0)
        near = [(np.abs(Z[moved][:, None] - X[60:]) / span).sum(axis=2).min(axis=1).mean() for Z in (X, X_new[:80])]
        assert near[1] > near[0]
        assert np.bincount(y_new).tolist() == [60, 60]

    def test_removal_leaves_rows_out_with_their_provenance(self):
        X, y = blobs(60, 20)
        sampler = MultiClassCCR(energy=0.5, cleaning="remove", random_state=0)
        X_new, y_new = sampler.fit_resample(X, y)
        kept = sampler.sample_origin_[~sampler.synthetic_mask_]
        assert len(X_new) == len(y_new) == len(sampler.parents_) == len(kept) + 40
        assert len(kept) < 80
        np.testing.assert_array_equal(X_new[: len(kept)], X[kept])
        frame = pd.DataFrame(X, index=np.arange(80) + 1000)
        X_frame, _ = sampler.set_params(keep_index="original").fit_resample(frame, y)
        np.testing.assert_array_equal(X_frame.index[: len(kept)], kept + 1000)

    def test_by_default_the_originals_stay(self):
        X, y = blobs(60, 20)
        assert (MultiClassCCR(energy=0.5, random_state=0).fit_resample(X, y)[0][:80] == X).all()

    def test_constant_features_stay_constant(self):
        X, y = blobs(60, 20)
        X[:, 1] = 7.5
        assert (MultiClassCCR(random_state=0).fit_resample(X, y)[0][:, 1] == 7.5).all()

    def test_images_keep_type_and_range(self):
        X, y = blobs(40, 9, d=64)
        images = np.clip(X.reshape(-1, 1, 8, 8) * 40 + 100, 0, 255).astype(np.uint8)
        X_new, _ = MultiClassCCR(energy=0.25, per_feature=True, cleaning="translate").fit_resample(images, y)
        assert X_new.shape == (80, 1, 8, 8)
        assert X_new.dtype == np.uint8
