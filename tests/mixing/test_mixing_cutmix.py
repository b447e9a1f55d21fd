import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from latentover import DeepClassifier, RAEClassifier, load, save
from latentover.mixing import CMO, CutMix

COUNTS = torch.tensor([90, 10])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def black_and_white(n=400, size=(12, 9)):
    """Images of zeros whose partners are ones: what is a patch shows in the pixels."""
    return torch.zeros(n, 2, *size), torch.zeros(n, dtype=torch.int64), (torch.ones(n, 2, *size), torch.ones(n).long())


class TestCutMix:
    @pytest.mark.parametrize("per_sample", [False, True])
    def test_one_rectangle_comes_from_the_partner_and_its_area_is_the_partners_label(self, per_sample):
        inputs, labels, partners = black_and_white()
        mixed = CutMix(per_sample=per_sample)(inputs, labels, COUNTS, generator(), partners)
        patches = mixed.inputs.bool()
        assert torch.equal(patches[:, 0], patches[:, 1])
        for patch, share in zip(patches[:, 0].numpy(), mixed.label_weight.tolist(), strict=True):
            rows, columns = patch.any(axis=1), patch.any(axis=0)
            assert np.array_equal(patch, np.outer(rows, columns))
            for side in (rows, columns):
                assert len(np.flatnonzero(np.diff(side.astype(int), prepend=0, append=0))) in (0, 2)  # one piece
            assert share == pytest.approx(1 - patch.mean(), abs=1e-6)
        assert (len({patch.numpy().tobytes() for patch in patches}) > 50) == per_sample

    def test_sides_are_the_root_of_what_is_taken_and_are_cut_off_at_the_border(self):
        """Each draw against a loop that has the same lambda and middle."""
        inputs, labels, partners = black_and_white(size=(20, 20))
        rule, ours = CutMix(alpha=0.7, per_sample=True), generator(3)
        mixed = rule(inputs, labels, COUNTS, ours, partners)
        again = generator(3)
        shape = torch.full((2, 400), 0.7, dtype=torch.float64)
        first, second = torch._standard_gamma(shape, generator=again)
        lam = (first / (first + second)).float()
        down, across = (torch.randint(20, (400,), generator=again) for _ in range(2))
        for i in range(400):
            side = int(math.sqrt(1 - lam[i].item()) * 20)
            expected = torch.zeros(20, 20)
            top, left = int(down[i]) - side // 2, int(across[i]) - side // 2
            expected[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)] = 1
            assert torch.equal(mixed.inputs[i, 0], expected), i

    def test_the_probability_is_that_of_a_patch(self):
        inputs, labels, partners = black_and_white(4000)
        untouched = [
            (CutMix(alpha=200, per_sample=True, probability=p)(inputs, labels, COUNTS, generator(), partners))
            for p in (0.0, 0.3, 1.0)
        ]
        shares = [(mixed.label_weight == 1).float().mean().item() for mixed in untouched]
        assert shares[0] == 1
        assert shares[2] == 0
        assert abs(shares[1] - 0.7) < 5 * math.sqrt(0.3 * 0.7 / 4000)

    def test_tuples_of_images_get_one_patch_for_all_members(self):
        inputs, partners = torch.zeros(5, 2, 3, 8, 8), torch.ones(5, 2, 3, 8, 8)
        mixed = CutMix()(inputs, torch.zeros(5).long(), COUNTS, generator(), (partners, torch.ones(5).long()))
        assert torch.equal(mixed.inputs, mixed.inputs[:, :1, :1].expand_as(mixed.inputs))

    @pytest.mark.parametrize("rule", [CutMix(), CMO()])
    def test_rows_are_refused(self, rule):
        rows = torch.zeros(4, 3)
        partners = (rows, torch.zeros(4).long())
        with pytest.raises(ValueError, match=r"^Expected inputs of C.* to be images .*got shape \(4, 3\); mix rows"):
            rule(rows, torch.zeros(4).long(), COUNTS, generator(), partners)
        with pytest.raises(ValueError, match=r"^Expected inputs of C.* to be images"):
            DeepClassifier(mixing=rule, max_epochs=1, hidden_units=4).fit(np.eye(8), np.arange(8) % 2)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"probability": 1.5}, "probability to be a number of at least 0 and at most 1, but got 1.5"),
            ({"weighting": "rare"}, "weighting to be one of .*, but got 'rare'"),
            ({"alpha": 0}, "alpha to be a number above 0, but got 0"),
        ],
    )
    def test_wrong_settings_are_named(self, settings, message):
        with pytest.raises(ValueError, match=f"^Expected {message}"):
            CMO(**settings)


class TestCMO:
    @pytest.mark.parametrize("weighting", ["inverse_frequency", "effective_number", "balanced"])
    def test_patches_come_from_classes_by_their_weight_and_from_all_their_rows_alike(self, weighting):
        counts = np.array([30000, 600, 40, 0, 5])
        labels = torch.repeat_interleave(torch.arange(5), torch.tensor(counts))[torch.randperm(30645)]
        rule, n = CMO(weighting=weighting), 60000
        searched = rule.search(torch.zeros(len(labels), 1), labels, lambda: pytest.fail("features are not needed"))
        drawn = rule.partner_rows(searched, torch.zeros(n, dtype=torch.int64), generator())
        present = counts > 0
        weights = {
            "inverse_frequency": 1 / counts[present],
            "effective_number": (1 - 0.9999) / (1 - 0.9999 ** counts[present]),
            "balanced": np.ones(4),
        }[weighting]
        found = np.bincount(labels[drawn], minlength=5)
        assert found[3] == 0
        assert chisquare(found[present], n * weights / weights.sum()).pvalue > 1e-4
        rows = np.unique(drawn[labels[drawn] == 2], return_counts=True)[1]
        assert len(rows) == 40
        assert chisquare(rows).pvalue > 1e-4

    def test_without_partners_it_says_what_to_do(self):
        images = torch.zeros(4, 1, 4, 4)
        with pytest.raises(ValueError, match=r"^Expected partners of CMO .*but got None; call search once"):
            CMO()(images, torch.zeros(4).long(), COUNTS, generator())

    def test_survives_a_bundle(self, tmp_path):
        X, y = np.random.default_rng(0).random((30, 1, 8, 8), dtype=np.float32), np.repeat([0, 1], [24, 6])
        rule = CMO(weighting="balanced", probability=0.5)
        fitted = DeepClassifier(mixing=rule, max_epochs=1, channels=4, hidden_units=8, random_state=0, device="cpu")
        fitted.fit(X, y)
        save(fitted, tmp_path / "bundle")
        again = load(tmp_path / "bundle")
        assert again.mixing == rule
        np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))

    @pytest.mark.parametrize("rule", [CutMix(), CMO()])
    def test_the_autoencoder_takes_it_too(self, rule):
        X, y = np.random.default_rng(0).random((30, 1, 8, 8), dtype=np.float32), np.repeat([0, 1], [24, 6])
        fitted = RAEClassifier(mixing=rule, max_steps=3, batch_size=4, channels=4, hidden_units=8, latent_dim=4)
        assert np.isfinite(fitted.fit(X, y).predict_proba(X)).all()
