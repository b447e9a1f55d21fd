"""The statements of the RAE paper about mixing, and what becomes of them where an assumption is missing.

Mondal et al., "Minority Oversampling for Imbalanced Data via Class-Preserving Regularized Auto-Encoders", AISTATS 2023,
Section 4 and Appendix A. Random variables with few values are enumerated, so that variances are exact.
"""

from itertools import combinations_with_replacement, permutations, product

import numpy as np
import pytest
import torch
from sklearn.svm import SVC

from latentover.mixing import convex_combination, cyclic_shifts

CONVEX_LOSSES = {
    "logistic": lambda z: np.log1p(np.exp(-z)),
    "hinge": lambda z: np.maximum(0, 1 - z),
    "exponential": lambda z: np.exp(-z),
    "squared": lambda z: (1 - z) ** 2,
    "absolute": np.abs,
}


def rng(seed=0):
    return np.random.default_rng(seed)


def mixtures(latents, weights):
    return convex_combination(torch.from_numpy(latents), torch.from_numpy(weights)).numpy()


def moments(loss, values, probabilities, alpha):
    """Exact mean and variance of loss(sum_j alpha_j z_j) for independent z_j with these values."""
    losses, chances = [], []
    for places in product(range(len(values)), repeat=len(alpha)):
        losses.append(loss(np.dot(alpha, values[list(places)])))
        chances.append(np.prod(probabilities[list(places)]))
    losses, chances = np.array(losses), np.array(chances)
    mean = chances @ losses
    return mean, chances @ (losses - mean) ** 2


def curvature_term(loss, values, probabilities):
    """K = (E loss(z))^2 - loss(E z)^2 of the proof of Proposition 2."""
    return moments(loss, values, probabilities, [1])[0] ** 2 - loss(probabilities @ values) ** 2


class TestProposition1:
    """Label preservation.

    S_0 and S_1 are the latents of two linearly separable classes. Then every convex combination of latents of S_0
    belongs to class 0, and every one of S_1 to class 1.
    """

    @pytest.mark.parametrize(("n_classes", "t"), [(2, 2), (2, 5), (7, 2), (7, 4)])
    def test_mixture_has_the_class_of_its_parents(self, n_classes, t):
        """Beyond the paper, for any number of classes: argmax W z + b cuts the space into convex regions."""
        weight, bias = rng().normal(size=(6, n_classes)), rng(1).normal(size=n_classes)
        z = rng(2).normal(size=(5000, 6)) * 2
        label = (z @ weight + bias).argmax(axis=1)
        for c in range(n_classes):
            members = z[label == c]
            parents = members[rng(3).integers(len(members), size=(500, t))]
            alpha = rng(4).dirichlet(np.full(t, 0.5), size=500)
            mixed = mixtures(parents, alpha) @ weight + bias
            assert (mixed.argmax(axis=1) == c).all()
            lead = mixed[:, [c]] - mixed
            lead_of_parents = (parents @ weight + bias)[..., [c]] - (parents @ weight + bias)
            assert (lead >= lead_of_parents.min(axis=1) - 1e-9).all()  # no nearer to another class than a parent was

    def test_each_of_the_cyclic_orders_keeps_the_class(self):
        weight = rng().normal(size=4)
        z = rng(1).normal(size=(400, 4))
        pairs = z[z @ weight > 0][:100].reshape(50, 2, 4)
        orders = cyclic_shifts(torch.from_numpy(pairs)).numpy()
        assert (mixtures(orders, rng(2).dirichlet([1, 1], size=100)) @ weight > 0).all()

    def test_without_linear_separability_it_fails(self):
        """A ring around a disc: a circle separates them, no plane does, and mixtures of the ring fall into the disc."""
        angle = rng().uniform(0, 2 * np.pi, size=(1000, 2))
        ring = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        radius = np.linalg.norm(mixtures(ring, np.full((1000, 2), 0.5)), axis=1)
        assert (np.linalg.norm(ring, axis=-1) > 0.99).all()
        assert (radius < 0.5).mean() == pytest.approx(1 / 3, abs=0.05)  # |cos(difference / 2)| < 1/2

    def test_mixtures_across_classes_do_not_keep_a_class(self):
        weight = rng().normal(size=4)
        z = rng(1).normal(size=(1000, 4))
        positive, negative = z[z @ weight > 0][:300], z[z @ weight < 0][:300]
        mixed = mixtures(np.stack([positive, negative], axis=1), np.full((300, 2), 0.5)) @ weight
        assert 0.3 < (mixed > 0).mean() < 0.7

    def test_largest_margin_does_not_notice_mixtures(self):
        """A consequence: mixtures lie in the convex hulls of the classes, which alone decide a hard margin."""
        z = np.concatenate([rng().normal(size=(30, 3)), rng(1).normal(size=(8, 3)) + np.array([5, 3, 0])])
        y = np.repeat([0, 1], [30, 8])
        rare = z[y == 1]
        added = mixtures(rare[rng(2).integers(8, size=(22, 2))], rng(3).dirichlet([1, 1], size=22))
        plain = SVC(kernel="linear", C=1e6).fit(z, y)
        mixed = SVC(kernel="linear", C=1e6).fit(np.concatenate([z, added]), np.append(y, np.ones(22, int)))
        assert plain.score(z, y) == 1
        np.testing.assert_allclose(mixed.coef_, plain.coef_, rtol=1e-2)
        np.testing.assert_allclose(mixed.intercept_, plain.intercept_, rtol=1e-2)


class TestProposition2:
    """Variance of the empirical risk.

    R(l; D) = 1/N sum_i l(z_i) and R_alpha(l; D) = 1/N sum_i l(alpha^T z^i), with tuples z^i of i.i.d. latents of a
    class. For a convex loss l >= 0 of variance at most B there is an alpha with V[R_alpha] <= V[R]. The proof shows it
    for ||alpha||^2 <= 1 - K / B with K = (E l(z))^2 - l(E z)^2.
    """

    @pytest.mark.parametrize("loss", CONVEX_LOSSES.values(), ids=CONVEX_LOSSES)
    def test_variance_is_bounded_and_the_condition_suffices(self, loss):
        """V[l(alpha^T z)] <= ||alpha||^2 V[l(z)] + K: so no more than V[l(z)] where ||alpha||^2 <= 1 - K / V[l(z)]."""
        draw, fulfilled = rng(), 0
        for _ in range(300):
            values = draw.normal(draw.uniform(-3, 3), draw.uniform(0.3, 3), size=3)
            probabilities, alpha = draw.dirichlet([1, 1, 1]), draw.dirichlet(np.ones(draw.integers(2, 5)))
            plain, mixed = (moments(loss, values, probabilities, weights)[1] for weights in ([1], alpha))
            bound = alpha @ alpha * plain + curvature_term(loss, values, probabilities)
            assert mixed <= bound * (1 + 1e-9)
            if bound <= plain:
                assert mixed <= plain * (1 + 1e-9)
                fulfilled += 1
        assert fulfilled >= 10

    def test_one_weight_of_one_is_the_alpha_that_always_exists(self):
        values, probabilities = np.array([-1.0, 0.5, 2.0]), np.array([0.2, 0.3, 0.5])
        for loss in CONVEX_LOSSES.values():
            assert moments(loss, values, probabilities, [0, 1]) == pytest.approx(
                moments(loss, values, probabilities, [1])
            )

    def test_linear_losses_attain_the_bound(self):
        """For l(z) = z the variance is ||alpha||^2 V[l(z)], half of it for the mean of two."""
        values, probabilities = np.array([0.0, 1.0, 4.0]), np.array([0.5, 0.2, 0.3])
        plain = moments(lambda z: z, values, probabilities, [1])[1]
        for alpha in ([0.5, 0.5], [0.9, 0.1], [0.2, 0.3, 0.5]):
            mixed = moments(lambda z: z, values, probabilities, alpha)[1]
            assert mixed == pytest.approx(np.square(alpha).sum() * plain)

    def test_a_class_that_is_mostly_wrong_gets_more_variance(self):
        """Hinge at z = 1 (loss 0) with probability 0.2 and at z = -1 (loss 1) with 0.8: 0.16 becomes 0.64 * 0.36."""
        values, probabilities = np.array([1.0, -1.0]), np.array([0.2, 0.8])
        plain, mixed = (moments(lambda z: np.maximum(0, -z), values, probabilities, a)[1] for a in ([1], [0.5, 0.5]))
        assert (plain, mixed) == pytest.approx((0.16, 0.2304))

    def test_an_upper_bound_of_the_variance_is_not_enough(self):
        """The condition needs the variance itself. For |z| at z = -1 and 1, K = 1, and B = 10 lets (0.7, 0.3) by."""
        values, probabilities, alpha = np.array([-1.0, 1.0]), np.array([0.5, 0.5]), np.array([0.7, 0.3])
        curvature = curvature_term(np.abs, values, probabilities)
        assert curvature == 1
        assert alpha @ alpha <= 1 - curvature / 10
        assert moments(np.abs, values, probabilities, [1])[1] == 0  # below B = 10
        assert moments(np.abs, values, probabilities, alpha)[1] == pytest.approx(0.09)

    @pytest.mark.parametrize(("n", "draws"), [(2, 2), (3, 3), (3, 6)])
    @pytest.mark.parametrize("alpha", [0.5, 0.8])
    def test_tuples_from_the_same_samples_do_not_reduce_it(self, n, draws, alpha):
        """The proof adds up variances, as if tuples shared no samples. Over-sampling mixes the same n again and again.

        For l(z) = z, M mixtures alpha z_i + (1 - alpha) z_j of random pairs i != j have the variance
        V / n + V / M ((n - 1) / n - 2 alpha (1 - alpha)), never below the V / n of the samples as they are.
        """
        values, probabilities = np.array([0.0, 1.0, 3.0]), np.array([0.6, 0.3, 0.1])
        plain = moments(lambda z: z, values, probabilities, [1])[1]
        pairs = list(permutations(range(n), 2))
        mean_of_squares, mean = 0.0, probabilities @ values
        for places in product(range(3), repeat=n):  # every data set of n samples
            data = values[list(places)]
            mixed = np.array([alpha * data[i] + (1 - alpha) * data[j] for i, j in pairs])
            square = (mixed.mean() - mean) ** 2 + mixed.var() / draws
            mean_of_squares += np.prod(probabilities[list(places)]) * square
        expected = plain / n + plain / draws * ((n - 1) / n - 2 * alpha * (1 - alpha))
        assert mean_of_squares == pytest.approx(expected)
        assert mean_of_squares >= plain / n * (1 - 1e-12)

    def test_convex_losses_are_underestimated(self):
        """Jensen: E l(alpha^T z) <= E l(z). The mixed risk has less variance about a smaller mean."""
        draw = rng()
        for loss in CONVEX_LOSSES.values():
            for _ in range(50):
                values, probabilities = draw.normal(size=3) * 2, draw.dirichlet([1, 1, 1])
                plain, mixed = (moments(loss, values, probabilities, a)[0] for a in ([1], draw.dirichlet([1, 1])))
                assert mixed <= plain * (1 + 1e-12)


def bernstein_bound(losses, delta):
    """Upper bound of the mean of losses in [0, 1], rows of samples; Maurer and Pontil (COLT 2009), Theorem 4."""
    n = losses.shape[1]
    logarithm = np.log(2 / delta)
    spread = np.sqrt(2 * losses.var(axis=1, ddof=1) * logarithm / n)
    return losses.mean(axis=1) + spread + 7 * logarithm / (3 * (n - 1))


class TestProposition3:
    """Generalisation bound.

    For a bounded loss and an appropriate alpha, with probability 1 - delta,
    R(f) <= R_alpha(l; D) + O(sqrt(V_alpha log(M / delta) / N) + log(M / delta) / N), where V_alpha is the empirical
    variance of the losses of the mixtures and M a covering number of l(alpha^T z). Here for a single classifier.
    """

    loss = staticmethod(lambda z: np.log1p(np.exp(-z)) / np.log1p(np.exp(6)))  # in [0, 1] for z in [-6, 6]

    def draw(self, runs, n):
        pairs = np.clip(rng().normal(2, 1, size=(runs, n, 2)), -6, 6)
        return self.loss(pairs[..., 0]), self.loss(pairs.mean(axis=-1))

    def test_bound_holds_for_the_risk_of_mixtures_and_is_tighter(self):
        plain, mixed = self.draw(runs=2000, n=50)
        bound = bernstein_bound(mixed, delta=0.05)
        assert (bound >= mixed.mean()).mean() >= 0.95
        assert (bound - mixed.mean(axis=1)).mean() < (bernstein_bound(plain, delta=0.05) - plain.mean(axis=1)).mean()

    def test_bound_does_not_hold_for_the_risk_of_samples(self):
        """It bounds E l(alpha^T z), by Jensen no more than R(f) = E l(z): z = -1 or 1, |z|, alpha = (1/2, 1/2)."""
        pairs = rng().choice([-1.0, 1.0], size=(500, 1000, 2))
        bound = bernstein_bound(np.abs(pairs.mean(axis=-1)), delta=0.05)
        assert (bound >= 0.5).mean() >= 0.95  # the risk of mixtures
        assert (bound < 1).all()  # the risk R(f) of samples


def on_the_sphere(n, d, seed=0):
    x = rng(seed).normal(size=(n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def smallest_norm_solution(x, y):
    return np.linalg.pinv(x, rcond=1e-9) @ y  # a stack of samples and their mixtures has half of its rank


def permutation_of_cycles(lengths):
    """Matrix whose cycles have these lengths."""
    n = sum(lengths)
    image, start = np.arange(n), 0
    for length in lengths:
        image[start : start + length] = start + np.roll(np.arange(length), 1)
        start += length
    return np.eye(n)[image]


def d(alpha, k):
    return alpha**2 + (1 - alpha) ** 2 + k * alpha * (1 - alpha)


class TestProposition4:
    """Lipschitz constant.

    x_i uniform on the sphere in R^d, y_i = -1 or 1, N <= c d. h_alpha is the linear classifier of smallest norm that
    gives every mixture alpha x_i + (1 - alpha) x_j of equal labels its label. With Q = alpha I + (1 - alpha) P for a
    permutation P with P Y = Y, its Lipschitz constant is at most sqrt(2 N / d(alpha)), where
    d(alpha) = alpha^2 + (1 - alpha)^2 + k alpha (1 - alpha) and k is the smallest eigenvalue of P + P^T.
    """

    n, dimension = 24, 600
    cycles = ([2] * 12, [3] * 8, [5] * 4 + [2, 2], [12, 12])

    def labels(self, lengths):
        return np.repeat(rng(1).choice([-1.0, 1.0], size=len(lengths)), lengths)  # one label a cycle: P Y = Y

    @pytest.mark.parametrize("lengths", cycles, ids=str)
    @pytest.mark.parametrize("alpha", [0.05, 0.3, 0.5, 0.9])
    def test_bound(self, lengths, alpha):
        """In one step: Q X X^T Q^T >= Q Q^T / 2 >= d(alpha) I / 2, both in the order of symmetric matrices."""
        x, y, p = on_the_sphere(self.n, self.dimension), self.labels(lengths), permutation_of_cycles(lengths)
        assert np.array_equal(p @ y, y)
        assert np.linalg.eigvalsh(x @ x.T)[0] >= 0.5
        mixed = alpha * x + (1 - alpha) * p @ x
        lowest = d(alpha, np.linalg.eigvalsh(p + p.T)[0])
        assert np.linalg.eigvalsh(mixed @ mixed.T)[0] >= lowest / 2 - 1e-12
        if lowest > 1e-9:
            assert np.linalg.norm(smallest_norm_solution(mixed, y)) <= np.sqrt(2 * self.n / lowest)

    def test_step_of_the_printed_proof_needs_more(self):
        """X X^T P^T + P X X^T >= (P + P^T) / 2 is false for X X^T = I. The bound holds without it, see above."""
        p = permutation_of_cycles([2])
        assert np.linalg.eigvalsh((p + p.T) - (p + p.T) / 2)[0] == pytest.approx(-1)

    @pytest.mark.parametrize("lengths", cycles, ids=str)
    def test_the_classifier_itself_does_not_change(self, lengths):
        """Q Y = Y, so Q X w = Y is X w = Y where Q is invertible, and asks for less where it is not."""
        x, y, p = on_the_sphere(self.n, self.dimension), self.labels(lengths), permutation_of_cycles(lengths)
        plain = smallest_norm_solution(x, y)
        for alpha in (0.05, 0.3, 0.9):
            mixed = alpha * x + (1 - alpha) * p @ x
            np.testing.assert_allclose(smallest_norm_solution(mixed, y), plain, atol=1e-9)
            both = smallest_norm_solution(np.concatenate([x, mixed]), np.concatenate([y, y]))
            np.testing.assert_allclose(both, plain, atol=1e-9)
        mean = smallest_norm_solution((x + p @ x) / 2, y)
        assert np.linalg.norm(mean) <= np.linalg.norm(plain) * (1 + 1e-9)

    def test_many_samples_for_the_dimension_break_the_assumption(self):
        """X X^T >= I / 2 needs about (1 - sqrt(N / d))^2 >= 1/2: no more samples than 8.6 % of the dimensions."""
        lowest = {n: np.linalg.eigvalsh(x @ x.T)[0] for n in (30, 150) for x in [on_the_sphere(n, 600)]}
        assert lowest[30] >= 0.5 > lowest[150]
        assert lowest[150] == pytest.approx((1 - np.sqrt(150 / 600)) ** 2, abs=0.05)


class TestCorollary1:
    """Robustness.

    N samples become M by over-sampling. For N <= M <= (1 + r) N there is an alpha for which the bound of
    Lip(h_alpha) is tighter than that of Lip(h), with some r > 0. The proof arrives at r = (k - 2) / 4.
    """

    def test_no_permutation_gives_a_positive_r(self):
        """P + P^T has eigenvalues 2 cos(2 pi j / length) for every cycle: k <= 2, and k = 2 for the identity alone."""
        for image in permutations(range(5)):
            p = np.eye(5)[list(image)]
            k = np.linalg.eigvalsh(p + p.T)[0]
            assert k <= 2 + 1e-12
            assert (k > 2 - 1e-9) == (image == tuple(range(5)))

    @pytest.mark.parametrize(("length", "k"), [(2, -2), (3, -1), (4, -2), (5, 2 * np.cos(4 * np.pi / 5))])
    def test_no_weight_tightens_the_bound(self, length, k):
        """Rows of Q sum to 1, so that Q Q^T has the eigenvalue 1: its lowest, d(alpha) for mixtures, is never above."""
        p = permutation_of_cycles([length])
        assert np.linalg.eigvalsh(p + p.T)[0] == pytest.approx(k)
        for alpha in (-0.5, -0.1, 0.0, 0.01, 0.3, 0.5, 0.99, 1.0, 1.5):
            q = alpha * np.eye(length) + (1 - alpha) * p
            lowest = np.linalg.eigvalsh(q @ q.T)[0]
            assert lowest <= 1 + 1e-12
            if 0 < alpha < 1:
                assert lowest == pytest.approx(d(alpha, k), abs=1e-12)
                assert lowest < 1

    def test_more_mixtures_than_samples_leave_no_bound(self):
        """N samples span N dimensions, so that the Gram matrix of more mixtures of them has the eigenvalue 0."""
        x = on_the_sphere(10, 300)
        every_pair = [(x[i] + x[j]) / 2 for i, j in combinations_with_replacement(range(10), 2)]
        assert len(every_pair) == 55
        assert np.linalg.matrix_rank(np.array(every_pair)) == 10
