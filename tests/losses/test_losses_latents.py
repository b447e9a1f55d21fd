import math

import numpy as np
import pytest
import torch
from scipy.special import gammaln, ive
from scipy.stats import vonmises_fisher

from latentover.losses import (
    ClassMoments,
    GaussianLatents,
    VonMisesFisherLatents,
    gaussian_offsets,
    von_mises_fisher_logits,
)
from latentover.losses.latents import log_bessel
from latentover.mixing import Mixed


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def features(n=60, d=3, classes=4):
    """Rows of classes of which the last has one row and the one before two."""
    x = torch.randn(n, d, dtype=torch.float64, generator=generator()) * torch.tensor([1.0, 3.0, 0.5]) + 2
    labels = torch.randint(0, classes - 2, (n,), generator=generator(1))
    labels[[3, 40]], labels[11] = classes - 2, classes - 1
    return x, labels


def unbounded(n_features, n_classes):
    return ClassMoments(n_features, torch.full((n_classes,), torch.inf, dtype=torch.float64))


def in_double(moments):
    moments.counts, moments.means = moments.counts.double(), moments.means.double()
    moments.covariances = moments.covariances.double()
    return moments


class TestMoments:
    @pytest.mark.parametrize("size", [1, 7, 60])
    def test_streaming_moments_are_those_of_all_rows(self, size):
        x, labels = features()
        moments = in_double(unbounded(3, 5))  # the fifth class never comes
        for rows in torch.arange(60).split(size):
            moments.update(x[rows], labels[rows])
        for c in range(4):
            of_class = x[labels == c].numpy()
            assert moments.counts[c] == len(of_class)
            np.testing.assert_allclose(moments.means[c], of_class.mean(axis=0))
            np.testing.assert_allclose(moments.covariances[c], np.cov(of_class.T, bias=True), atol=1e-12) if len(
                of_class
            ) > 1 else np.testing.assert_allclose(moments.covariances[c], np.zeros((3, 3)), atol=1e-12)
        assert (moments.counts[4], moments.means[4].abs().max(), moments.covariances[4].abs().max()) == (0, 0, 0)

    def test_weights_count_rows_several_times(self):
        x, labels = features()
        times = torch.randint(0, 3, (60,), generator=generator(2))
        weighted, repeated = in_double(unbounded(3, 4)), in_double(unbounded(3, 4))
        for rows in torch.arange(60).split(9):
            weighted.update(x[rows], labels[rows], times[rows])
        again = torch.repeat_interleave(torch.arange(60), times)
        repeated.update(x[again], labels[again])
        for name in ("counts", "means", "covariances"):
            torch.testing.assert_close(getattr(weighted, name), getattr(repeated, name))

    def test_what_is_older_than_the_horizon_is_forgotten(self):
        moments = ClassMoments(1, torch.tensor([10.0, 1000.0]))
        old, new = torch.zeros(50, 1), torch.ones(50, 1)
        labels = torch.arange(50) % 2
        for x in (*[old] * 4, *[new] * 6):
            moments.update(x, labels)
        assert moments.means[0] > 0.99
        torch.testing.assert_close(moments.means[1], torch.tensor([0.6]))
        expected = torch.tensor([0.6 * 0.4])
        torch.testing.assert_close(moments.covariances[1, 0], expected)

    def test_a_mixture_counts_for_the_class_that_it_has_more_of(self):
        x = torch.tensor([[1.0], [5.0], [9.0], [4.0]])
        mixed = Mixed(x, torch.tensor([0, 0, 1, 1]), torch.tensor([1, 1, 0, 0]), torch.tensor([1.0, 0.25, 0.5, 0.75]))
        moments, expected = (ClassMoments(1, torch.full((2,), torch.inf)) for _ in range(2))
        moments.update_mixed(x, mixed)
        expected.update(x[[0, 1, 3]], torch.tensor([0, 1, 1]), torch.tensor([1.0, 0.5, 0.5]))
        torch.testing.assert_close(moments.means, expected.means)
        torch.testing.assert_close(moments.covariances, expected.covariances)

    def test_state_goes_on_where_it_was(self):
        x, labels = features()
        whole, first, second = (in_double(unbounded(3, 4)) for _ in range(3))
        whole.update(x[:30], labels[:30])
        first.update(x[:30], labels[:30])
        places = [second.counts.data_ptr(), second.means.data_ptr(), second.covariances.data_ptr()]
        second.load_state_dict(first.state_dict())
        for each in (whole, second):
            each.update(x[30:], labels[30:])
        assert places == [second.counts.data_ptr(), second.means.data_ptr(), second.covariances.data_ptr()]
        for name in ("counts", "means", "covariances"):
            assert torch.equal(getattr(whole, name), getattr(second, name))


class TestGaussian:
    def test_the_bound_is_the_loss_of_the_mean_exponential_of_drawn_latents(self):
        """For the exponential of each difference of logits the expectation is exact; the loss is below the bound."""
        weights = torch.randn(4, 3, dtype=torch.float64, generator=generator())
        factor = torch.randn(4, 3, 3, dtype=torch.float64, generator=generator(1)) * 0.4
        covariances, strength = factor @ factor.mT, 0.7
        x, y = torch.tensor([0.3, -0.5, 1.0], dtype=torch.float64), 2
        noise = torch.randn(400_000, 3, dtype=torch.float64, generator=generator(2))
        drawn = x + math.sqrt(strength) * noise @ factor[y].T
        logits, priors = drawn @ weights.T, torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64).log()
        ratios = (logits - logits[:, y : y + 1] + priors - priors[y]).exp()
        adjusted = x @ weights.T + priors + gaussian_offsets(weights, covariances, strength)[y]
        closed = (adjusted - adjusted[y]).exp()
        spread = ratios.std(dim=0) / math.sqrt(400_000)
        assert ((closed - ratios.mean(dim=0)).abs() <= 5 * spread + 1e-12).all()
        losses = ratios.sum(dim=1).log()
        bound = -adjusted.log_softmax(dim=0)[y]
        assert bound > losses.mean() + 5 * losses.std() / math.sqrt(400_000)
        assert bound == pytest.approx(math.log(ratios.mean(dim=0).sum()), rel=2e-2)

    def test_gradients_are_right(self):
        weights = torch.randn(3, 2, dtype=torch.float64, generator=generator(), requires_grad=True)
        covariances = torch.eye(2, dtype=torch.float64) * torch.tensor([1.0, 2.0, 3.0]).double().view(3, 1, 1)
        assert torch.autograd.gradcheck(lambda w: gaussian_offsets(w, covariances, 0.5), (weights,))

    def test_rare_classes_borrow_from_the_nearest_frequent_ones(self):
        """Against a loop over classes; the most frequent one keeps its own, and ties are not more frequent."""
        counts = torch.tensor([500, 200, 100, 10, 10])
        running = GaussianLatents(borrow=2, strength=1.0).start(2, counts)
        moments = running.moments
        moments.means.copy_(torch.tensor([[0.0, 0], [1, 0], [5, 0], [4, 0], [1, 1]]))
        factor = torch.randn(5, 2, 2, generator=generator())
        moments.covariances.copy_(factor @ factor.mT)
        found = running.covariances()
        for c in range(5):
            others = sorted(
                (float((moments.means[c] - moments.means[k]).norm()), k) for k in range(5) if counts[k] > counts[c]
            )[:2]
            own = moments.covariances[c]
            if not others:
                torch.testing.assert_close(found[c], own)
                continue
            mean = torch.stack([moments.covariances[k] for _, k in others]).mean(dim=0)
            torch.testing.assert_close(found[c], (counts[c] * own + 2 * mean) / (counts[c] + 2))
        assert torch.equal(GaussianLatents(borrow=0).start(2, counts).covariances(), torch.zeros(5, 2, 2))

    def test_balanced_classes_have_nobody_to_borrow_from(self):
        running = GaussianLatents().start(2, torch.tensor([50, 50, 50]))
        running.moments.covariances.copy_(torch.rand(3, 2, 2))
        assert torch.equal(running.covariances(), running.moments.covariances)

    def test_the_strength_rises_over_the_warmup(self):
        running = GaussianLatents(strength=2.0, warmup=0.5).start(2, torch.tensor([5, 5]))
        place, seen = running.strength.data_ptr(), []
        for progress in (0.0, 0.25, 0.5, 0.9):
            running.start_step(progress)
            seen.append(running.strength.item())
        assert seen == [0, 1, 2, 2]
        assert running.strength.data_ptr() == place
        at_once = GaussianLatents(warmup=0).start(2, torch.tensor([5, 5]))
        at_once.start_step(0.0)
        assert at_once.strength == 0.5


class TestVonMisesFisher:
    @pytest.mark.parametrize("order", [0, 0.5, 1, 3, 7.5, 20, 31, 63, 255])
    def test_the_bessel_function_is_scipys(self, order):
        x = torch.logspace(-2 if order < 100 else 2, 4.7, 60, dtype=torch.float64)
        expected = gammaln(order + 1) + order * np.log(2 / x.numpy()) + np.log(ive(order, x.numpy())) + x.numpy()
        np.testing.assert_allclose(log_bessel(x.square(), order).numpy(), expected, rtol=1e-8, atol=1e-7)
        assert abs(log_bessel(torch.zeros(1, dtype=torch.float64), order)) < 1e-8

    @pytest.mark.parametrize("p", [2, 3, 5, 128])
    def test_the_expectation_is_that_of_drawn_directions(self, p):
        rng = np.random.default_rng(0)
        z = torch.tensor(rng.normal(size=(4, p)))
        z = z / z.norm(dim=1, keepdim=True)
        mean = rng.normal(size=p)
        mean *= 0.8 / np.linalg.norm(mean)
        kappa = 0.8 * (p - 0.64) / (1 - 0.64)
        drawn = torch.tensor(vonmises_fisher(mean / 0.8, kappa).rvs(100_000, random_state=rng))
        each = (z @ drawn.T / 0.7).exp()
        found = von_mises_fisher_logits(z, torch.tensor(mean)[None], 0.7).exp()[:, 0]
        assert ((found - each.mean(dim=1)).abs() < 5 * each.std(dim=1) / math.sqrt(100_000)).all()

    def test_a_class_that_was_not_seen_is_uniform_and_one_of_one_sample_a_point(self):
        z = torch.nn.functional.normalize(torch.randn(5, 6, dtype=torch.float64, generator=generator()), dim=1)
        means = torch.stack([torch.zeros(6).double(), z[0]])
        found = von_mises_fisher_logits(z, means, 0.1)
        drawn = torch.nn.functional.normalize(torch.randn(400_000, 6, dtype=torch.float64), dim=1)
        mean = (z @ drawn.T / 2).exp().mean(dim=1).log()
        torch.testing.assert_close(von_mises_fisher_logits(z, means, 2.0)[:, 0], mean, rtol=0, atol=2e-3)
        torch.testing.assert_close(found[:, 1], z @ z[0] / 0.1, rtol=0, atol=1e-2)

    def test_gradients_are_right_and_finite(self):
        z = torch.randn(4, 7, dtype=torch.float64, generator=generator(), requires_grad=True)
        means = torch.randn(3, 7, dtype=torch.float64, generator=generator(1)) * torch.tensor([[0.0], [0.1], [0.3]])

        def function(z):
            return von_mises_fisher_logits(torch.nn.functional.normalize(z, dim=1), means, 0.5)

        assert torch.autograd.gradcheck(function, (z,))
        extreme = torch.nn.functional.normalize(z.detach().float(), dim=1).requires_grad_()
        whole = torch.stack([torch.zeros(7), extreme[0].detach(), -extreme[0].detach()])
        von_mises_fisher_logits(extreme, whole, 0.01).logsumexp(dim=1).sum().backward()
        assert extreme.grad.isfinite().all()

    def test_the_probability_of_a_class_is_bayes_rule(self):
        """With priors the logits are those of a posterior over the classes whose latents attract."""
        means = torch.tensor([[0.9, 0.0, 0.0], [0.0, 0.9, 0.0]])
        near, far = von_mises_fisher_logits(torch.tensor([[1.0, 0.0, 0.0]]), means, 0.1)[0]
        assert near > far + 3


@pytest.mark.parametrize(
    ("cls", "settings", "message"),
    [
        (GaussianLatents, {"strength": -1}, "strength to be a number of at least 0, but got -1"),
        (GaussianLatents, {"borrow": 1.5}, "borrow to be a whole number of at least 0, but got 1.5"),
        (GaussianLatents, {"warmup": 2}, "warmup to be a number of at least 0 and at most 1, but got 2"),
        (GaussianLatents, {"memory": 0}, "memory to be a number above 0, but got 0"),
        (VonMisesFisherLatents, {"temperature": 0}, "temperature to be a number above 0, but got 0"),
        (VonMisesFisherLatents, {"projection_dim": 1}, "projection_dim to be a whole number of at least 2, but got 1"),
        (VonMisesFisherLatents, {"weight": math.nan}, "weight to be a number of at least 0, but got nan"),
    ],
)
def test_wrong_settings_are_named(cls, settings, message):
    with pytest.raises(ValueError, match=f"^Expected {message}"):
        cls(**settings)
