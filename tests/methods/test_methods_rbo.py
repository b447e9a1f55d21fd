import math

import numpy as np
import pytest
import torch

from latentover.methods.rbo import MultiClassRBO, class_surroundings, potential, surroundings, walk


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class TestPotential:
    @pytest.mark.parametrize(("distance", "expected"), [(0.02, 0.852144), (0.05, 0.367879)])
    def test_of_one_point(self, distance, expected):
        found = potential(torch.tensor([[distance]]), torch.tensor([1]), 0.05)
        torch.testing.assert_close(found, torch.tensor([expected]))

    def test_oracle(self):
        found = potential(torch.tensor([[0.02, 0.05, 0.03]]), torch.tensor([1, 1, -1]), 0.05)
        torch.testing.assert_close(found, torch.tensor([0.522347]), atol=1e-6, rtol=0)


def height(x, points, signs, gamma):
    return abs(
        sum(
            sign * math.exp(-((sum(abs(a - b) for a, b in zip(x, point, strict=True)) / gamma) ** 2))
            for point, sign in zip(points.tolist(), signs.tolist(), strict=True)
        )
    )


class TestWalk:
    def scene(self, d=3, m=12):
        points = torch.rand(m, d, generator=generator(), dtype=torch.float64)
        signs = torch.where(torch.arange(m) < 4, -1.0, 1.0)
        return points, signs, torch.arange(m).repeat(4, 1)

    def ends(self, max_steps, gamma=0.4, step_size=0.01, **scene):
        points, signs, neighbors = self.scene(**scene)
        settings = {"gamma": gamma, "step_size": step_size, "max_steps": max_steps, "generator": generator(5)}
        return points, signs, walk(points[:4], points, neighbors, signs, **settings)

    def test_goes_down_in_steps_along_the_features(self):
        points, signs, before = self.ends(max_steps=0)
        torch.testing.assert_close(before, points[:4])
        heights = [height(x, points, signs, 0.4) for x in before.tolist()]
        for trials in (1, 2, 3, 10, 50):
            _, _, after = self.ends(max_steps=trials)
            if trials - 1 in (0, 1, 2):  # the same draws, one trial more: one feature of each walk at the most
                steps = (after - before).abs()
                assert ((steps > 1e-9).sum(dim=1) <= 1).all()
                torch.testing.assert_close(
                    steps.amax(dim=1), (steps.amax(dim=1) > 1e-9) * 0.01 * torch.ones(4).double()
                )
            now = [height(x, points, signs, 0.4) for x in after.tolist()]
            assert all(a <= b + 1e-12 for a, b in zip(now, heights, strict=True))
            before, heights = after, now

    def test_ends_where_no_step_helps(self):
        points, signs, ends = self.ends(max_steps=5000, step_size=0.05)
        for x in ends.tolist():
            here = height(x, points, signs, 0.4)
            helps = []
            for j in range(3):
                for step in (0.05, -0.05):
                    there = [*x[:j], x[j] + step, *x[j + 1 :]]
                    if height(there, points, signs, 0.4) < here - 1e-9:
                        helps.append((j, step))
            assert len(helps) <= 1  # the way back from the last step is not tried

    def test_every_move_is_tried_before_a_walk_ends(self):
        # Of 2 d = 12 moves a single one leads down: away from the class's sample, in the one feature that the larger
        # class's sample differs in.
        d = 6
        points = torch.zeros(2, d, dtype=torch.float64)
        points[0, 3] = 0.5
        signs = torch.tensor([1.0, -1.0])
        for seed in range(20):
            end = walk(
                points[:1],
                points,
                torch.tensor([[0, 1]]),
                signs,
                gamma=0.3,
                step_size=-0.1,
                max_steps=2 * d,
                generator=generator(seed),
            )
            assert not torch.equal(end, points[:1])

    def test_chunks_change_nothing_but_the_draws(self, monkeypatch):
        points, signs, whole = self.ends(max_steps=3000)
        monkeypatch.setattr("latentover.methods.resampling.CHUNK_ELEMENTS", 24)  # one walk at once
        _, _, ends = self.ends(max_steps=3000)
        for one, other in zip(whole.tolist(), ends.tolist(), strict=True):
            assert height(other, points, signs, 0.4) == pytest.approx(height(one, points, signs, 0.4), abs=0.05)


class TestClasses:
    X = torch.rand(60, 4, generator=generator())
    labels = torch.tensor([1] * 30 + [0] * 18 + [3] * 10 + [2] * 2)

    def test_neighbours_are_the_nearest_and_the_sample_itself(self):
        own, majority = self.X[30:48], self.X[:30]
        found = surroundings(own, majority, 5)
        nearest = torch.cdist(own, torch.cat([own, majority]), p=1.0).sort(dim=1).values[:, :6]
        measured = (own[:, None] - found.points[found.neighbors]).abs().sum(dim=2).sort(dim=1).values
        torch.testing.assert_close(measured, nearest)
        assert (measured[:, 0] == 0).all()

    @pytest.mark.parametrize("n_neighbors", [5, 80])
    def test_signs_tell_the_class_from_the_others(self, n_neighbors):
        settings = {"n_neighbors": n_neighbors, "gamma": 0.3, "step_size": 0.01, "max_steps": 20}
        found = class_surroundings(self.X, self.labels, **settings, generator=generator())
        assert found.neighbors.shape == (60, n_neighbors + 1)
        for label in range(4):
            near = found.neighbors[self.labels == label].unique()
            near = near[found.signs[near] != 0]
            assert len(near) > 1
            own = (found.points[near][:, None] == self.X[self.labels == label]).all(dim=2).any(dim=1)
            assert torch.equal(found.signs[near] < 0, own)

    def test_the_second_class_meets_the_largest_alone(self):
        settings = {"n_neighbors": 60, "gamma": 0.3, "step_size": 0.01, "max_steps": 20}
        found = class_surroundings(self.X, self.labels, **settings, generator=generator())
        near = found.neighbors[30:48].unique()
        others = found.points[near[found.signs[near] > 0]]
        assert (others[:, None] == self.X[:30]).all(dim=2).any(dim=1).all()


def blobs(*counts, d=3, seed=0):
    y = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).normal(size=(len(y), d)) + y[:, None], y


class TestSampler:
    def test_walks_start_at_their_parents_and_lead_towards_the_border(self):
        X, y = blobs(60, 20)
        walks = {"gamma": 0.3, "step_size": 0.01, "max_steps": 200}
        sampler = MultiClassRBO(**walks, random_state=0, clip="none")
        X_new, _ = sampler.fit_resample(X, y)
        steps = np.abs(X_new[80:] - X[sampler.parents_[80:, 0]]) / np.ptp(X, axis=0) / 0.01
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
        assert (steps.sum(axis=1) > 0).mean() > 0.9

        def heights(Z):
            scaled, rows = Z / np.ptp(X, axis=0), X / np.ptp(X, axis=0)
            distances = np.abs(scaled[:, None] - rows).sum(axis=2)
            signs = torch.from_numpy(np.where(y == 1, -1.0, 1.0))
            return potential(torch.from_numpy(distances), signs, 0.3).abs().mean()

        assert heights(X_new[80:]) < 0.5 * heights(X[sampler.parents_[80:, 0]])

    def test_without_steps_samples_are_repeated(self):
        X, y = blobs(60, 20)
        sampler = MultiClassRBO(max_steps=1, step_size=1e-9, random_state=0)
        X_new, _ = sampler.fit_resample(X, y)
        np.testing.assert_allclose(X_new[80:], X[sampler.parents_[80:, 0]], atol=1e-5)

    def test_gamma_per_feature(self):
        X, y = blobs(60, 20)
        each = MultiClassRBO(gamma=0.1, per_feature=True, max_steps=20, step_size=0.01, random_state=0)
        total = MultiClassRBO(gamma=0.1 * 3, max_steps=20, step_size=0.01, random_state=0)
        np.testing.assert_allclose(each.fit_resample(X, y)[0], total.fit_resample(X, y)[0])

    def test_images_keep_type_and_range(self):
        X, y = blobs(40, 9, d=64)
        images = np.clip(X.reshape(-1, 1, 8, 8) * 40 + 100, 0, 255).astype(np.uint8)
        sampler = MultiClassRBO(gamma=0.1, per_feature=True, step_size=0.1, max_steps=100, random_state=0)
        X_new, _ = sampler.fit_resample(images, y)
        assert X_new.shape == (80, 1, 8, 8)
        assert X_new.dtype == np.uint8
        assert (X_new[49:] != images[sampler.parents_[49:, 0]]).any()
