import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latentover.mixing import NeighborMix, SMOTEMix, nearest_neighbors, neighbors


def brute_force(rows, k, labels=None):
    """For each row the distances to its k nearest other rows, the rows themselves may tie."""
    found = []
    for i in range(len(rows)):
        others = [j for j in range(len(rows)) if j != i and (labels is None or labels[j] == labels[i])]
        distances = sorted(float(np.linalg.norm(rows[i] - rows[j])) for j in others)
        found.append([distances[n % min(k, len(distances))] for n in range(k)] if distances else [0.0] * k)
    return np.array(found)


def distances_to(rows, found):
    return np.linalg.norm(rows[:, None] - rows[found], axis=2)


class TestNearestNeighbors:
    @given(st.integers(0, 2**16), st.integers(2, 12), st.integers(1, 4), st.booleans())
    def test_equals_brute_force(self, seed, n, k, by_class):
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(n, 3)).astype(np.float32)
        labels = rng.integers(3, size=n) if by_class else None
        found = nearest_neighbors(torch.from_numpy(rows), k, labels=None if labels is None else torch.tensor(labels))
        np.testing.assert_allclose(distances_to(rows, found.numpy()), brute_force(rows, k, labels), atol=1e-4)
        if labels is not None:
            assert (labels[found.numpy()] == labels[:, None]).all()

    def test_chunks_change_nothing(self, monkeypatch):
        rows = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
        whole = nearest_neighbors(rows, 3)
        monkeypatch.setattr(neighbors, "CHUNK_ELEMENTS", 7 * 50)
        assert torch.equal(nearest_neighbors(rows, 3), whole)

    def test_copies_of_a_row_are_each_other_s_neighbours(self):
        rows = torch.tensor([[1.0, 1.0], [1.0, 1.0], [5.0, 5.0]])
        assert nearest_neighbors(rows, 1)[:2].tolist() == [[1], [0]]

    def test_images_are_compared_pixel_by_pixel(self):
        images = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
        images[1, 0, 0, 0], images[2] = 200, 30  # distances from image 0: 200 and 240
        assert nearest_neighbors(images, 1)[0].item() == 1


class TestNeighborMix:
    def batch(self):
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(30, 4, generator=generator)
        return inputs, torch.arange(30) % 3, torch.tensor([10, 10, 10]), generator

    @pytest.mark.parametrize("k", [1, 4])
    def test_partners_are_drawn_evenly_from_the_k_nearest(self, k):
        inputs, labels, _, generator = self.batch()
        rule = NeighborMix(k_neighbors=k)
        found = rule.prepare(inputs, labels)
        assert found.shape == (30, k)
        rows = torch.full((4000,), 7)
        drawn = rule.partner_rows(found, rows, generator)
        shares = torch.stack([(drawn == neighbor).float().mean() for neighbor in found[7]])
        assert shares.sum().item() == pytest.approx(1)
        # Five standard deviations of a share of 1/k among 4000 draws.
        torch.testing.assert_close(shares, torch.full((k,), 1 / k), atol=5 * 0.5 / 4000**0.5, rtol=0)

    def test_neighbor_mix_mixes_labels_as_inputs(self):
        inputs, labels, counts, generator = self.batch()
        rows = torch.tensor([3, 4, 5])
        near = NeighborMix().partner_rows(NeighborMix().prepare(inputs, labels), rows, generator)
        mixed = NeighborMix()(inputs[rows], labels[rows], counts, generator, (inputs[near], labels[near]))
        lam = mixed.label_weight.unsqueeze(1)
        torch.testing.assert_close(mixed.inputs, lam * inputs[rows] + (1 - lam) * inputs[near])
        assert torch.equal(mixed.partners, labels[near])

    def test_smote_mix_stays_in_its_class(self):
        inputs, labels, counts, generator = self.batch()
        rule = SMOTEMix(k_neighbors=2)
        found = rule.prepare(inputs, labels)
        assert torch.equal(labels[found], labels.unsqueeze(1).expand(30, 2))
        mixed = rule(inputs, labels, counts, generator, (inputs[found[:, 0]], labels[found[:, 0]]))
        assert torch.equal(mixed.soft_labels(3), torch.eye(3)[labels])
        assert not torch.equal(mixed.inputs, inputs)

    def test_a_class_of_one_mixes_with_itself(self):
        rule = SMOTEMix(k_neighbors=3)
        assert rule.prepare(torch.randn(4, 2), torch.tensor([0, 0, 0, 1]))[3].tolist() == [3, 3, 3]

    @pytest.mark.parametrize("rule", [NeighborMix(), SMOTEMix()])
    def test_says_what_to_do_without_partners(self, rule):
        inputs, labels, counts, generator = self.batch()
        with pytest.raises(ValueError, match=f"Expected partners of {type(rule).__name__} .* partner_rows"):
            rule(inputs, labels, counts, generator)

    @pytest.mark.parametrize("k", [0, 1.5, True])
    def test_refuses_other_numbers_of_neighbours(self, k):
        with pytest.raises(ValueError, match="Expected k_neighbors to be a whole number of at least 1, but got"):
            NeighborMix(k_neighbors=k)
