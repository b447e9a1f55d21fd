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


def resampled_as_the_authors_do(X, y, energy, rng):
    """Rows that `cleaning="remove"` leaves of each class, by a loop over classes, samples and spheres."""
    names = sorted(set(y.tolist()), key=lambda c: -(y == c).sum())
    pools = {c: [*X[y == c]] for c in names}
    n_max = len(pools[names[0]])
    for i, rare in enumerate(names[1:], start=1):
        drawn = {c: set(rng.permutation(len(pools[c]))[: n_max // i].tolist()) for c in names[:i]}
        met = [pools[c][j] for c in names[:i] for j in sorted(drawn[c])]
        radii = [radius_step_by_step([np.abs(x - z).sum() for z in met], energy) for x in pools[rare]]
        for c in names[:i]:
            spheres = list(zip(pools[rare], radii, strict=True))
            inside = {j for j in drawn[c] if any(np.abs(x - pools[c][j]).sum() < r for x, r in spheres)}
            pools[c] = [x for j, x in enumerate(pools[c]) if j not in inside]
        missing, shares = n_max - len(pools[rare]), np.cumsum(1 / np.array(radii)) / np.sum(1 / np.array(radii))
        for u in (np.arange(missing) + rng.uniform()) / max(missing, 1):
            centre = min(int(np.searchsorted(shares, u)), len(radii) - 1)
            direction = rng.uniform(-1, 1, X.shape[1])
            step = direction / np.abs(direction).sum() * rng.uniform() * radii[centre]
            pools[rare].append(pools[rare][centre] + step)
    return {c: len(pool) for c, pool in pools.items()}


class TestNewSamplesAreCleaned:
    def test_as_many_are_left_as_the_authors_leave(self):
        X, y = blobs(40, 20, 10, d=2)
        X = (X - X.min(axis=0)) / np.ptp(X, axis=0)
        theirs, ours = [], []
        for seed in range(40):
            left = resampled_as_the_authors_do(X, y, 0.5, np.random.default_rng(seed))
            theirs.append([left[0], left[1], left[2]])
            sampler = MultiClassCCR(energy=0.5, cleaning="remove", random_state=seed)
            ours.append(np.bincount(sampler.fit_resample(X, y)[1]))
            assert sampler.synthetic_mask_.sum() == sum(sampler.sampling_strategy_.values())
        removed = 40 - np.mean(theirs, axis=0)
        assert removed[1] > 5  # there is something to clean
        error = np.sqrt((np.var(theirs, axis=0) + np.var(ours, axis=0)) / 40)
        assert (np.abs(np.mean(theirs, axis=0) - np.mean(ours, axis=0)) <= 4 * error).all()

    @pytest.mark.parametrize("label", [0, 1])
    def test_no_new_sample_of_a_larger_class_is_inside_a_sphere(self, label):
        """Of two classes every sample of the larger one is met by the spheres, and `sample` makes those of it too."""
        X, y = blobs(60, 20)
        span = np.ptp(X, axis=0)

        def inside(cleaning):
            sampler = MultiClassCCR(energy=0.5, cleaning=cleaning, random_state=0, clip="none").fit(X, y)
            new = sampler.sample(200, label, random_state=0)
            assert len(new) == 200
            distances = (np.abs(new[:, None] - X[60:]) / span).sum(axis=2)
            return (distances < sampler.radii_[60:] - 1e-4).any(axis=1).sum()

        assert inside("ignore") > 50
        if label == 0:
            assert inside("remove") == 0
            assert inside("translate") < inside("ignore") / 2  # out of one sphere, now and then into another
        else:  # a class's own spheres do not clean it
            assert inside("remove") == inside("translate") == inside("ignore")

    def test_one_sphere_pushes_new_samples_to_its_surface(self):
        X, y = blobs(60, 1)
        fits = {c: MultiClassCCR(energy=1.0, cleaning=c, random_state=0, clip="none") for c in ("ignore", "translate")}
        new = {c: sampler.fit(X, y).sample(300, 0, random_state=0) for c, sampler in fits.items()}
        np.testing.assert_allclose(fits["ignore"].radii_, fits["translate"].radii_)
        span, radius = np.ptp(X, axis=0), fits["translate"].radii_[60]
        distance = {c: (np.abs(rows - X[60]) / span).sum(axis=1) for c, rows in new.items()}
        inside = distance["ignore"] < radius
        assert 10 < inside.sum() < 290
        np.testing.assert_allclose(distance["translate"][inside], radius, rtol=1e-4)
        np.testing.assert_allclose(new["translate"][~inside], new["ignore"][~inside])

    def test_a_middle_class_meets_the_spheres_with_half_of_its_samples(self):
        X, y = blobs(60, 30, 10)
        fits = {c: MultiClassCCR(energy=5.0, cleaning=c, random_state=0, clip="none") for c in ("ignore", "translate")}
        new = {c: sampler.fit(X, y).sample(1000, 1, random_state=0) for c, sampler in fits.items()}
        moved = (np.abs(new["ignore"] - new["translate"]) > 1e-6).any(axis=1)
        assert moved.mean() == pytest.approx(0.5, abs=0.064)  # four standard deviations

    def test_a_class_that_is_all_inside_still_gives_samples(self):
        X, y = blobs(60, 20)
        sampler = MultiClassCCR(energy=1000.0, cleaning="remove", random_state=0).fit(X, y)
        assert sampler.sample(7, 0).shape == (7, 3)
