import numpy as np
import pytest

from latentover.data import Imbalance, long_tailed_counts, step_counts, subsample

CIFAR10 = {
    10: [5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500],
    50: [5000, 3237, 2096, 1357, 878, 568, 368, 238, 154, 100],
    100: [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50],
    200: [5000, 2775, 1540, 854, 474, 263, 146, 81, 45, 25],
    250: [5000, 2707, 1465, 793, 429, 232, 125, 68, 36, 20],
    300: [5000, 2652, 1407, 746, 396, 210, 111, 59, 31, 16],
    1 / 0.0033: [5000, 2650, 1404, 744, 394, 209, 110, 58, 31, 16],
}


@pytest.mark.parametrize(("rho", "counts"), CIFAR10.items())
def test_long_tailed_cifar10(rho, counts):
    assert long_tailed_counts(5000, rho, 10).tolist() == counts


@pytest.mark.parametrize(
    ("n_max", "rho", "n_classes", "total", "smallest"),
    [
        (5000, 10, 10, 20431, 500),
        (5000, 50, 10, 13996, 100),
        (5000, 100, 10, 12406, 50),
        (5000, 200, 10, 11203, 25),
        (5000, 250, 10, 10875, 20),
        (5000, 300, 10, 10628, 16),
        (500, 10, 100, 19573, 50),
        (500, 50, 100, 12608, 10),
        (500, 100, 100, 10847, 5),
        (9000, 10, 10, 36779, 900),
        (9000, 50, 10, 25197, 180),
        (9000, 100, 10, 22332, 90),
        (9000, 200, 10, 20168, 45),
        (9000, 250, 10, 19580, 36),
        (9000, 300, 10, 19135, 30),
        (1000, 100, 10, 2478, 10),
        (1000, 50, 10, 2795, 20),
        (1000, 10, 10, 4084, 100),
        (500, 10, 200, 39072, 50),
        (500, 100, 200, 21549, 5),
        (1300, 10, 100, 50973, 130),
        (100, 10, 100, 3876, 10),
        (50, 10, 100, 1911, 5),
    ],
)
def test_long_tailed_totals(n_max, rho, n_classes, total, smallest):
    counts = long_tailed_counts(n_max, rho, n_classes)
    assert counts.sum() == total
    assert counts[0] == n_max
    assert counts[-1] == smallest


@pytest.mark.parametrize(
    ("n_max", "rho", "n_classes", "head", "tail"),
    [
        (500, 10, 100, [500, 488, 477, 466, 455, 445], [53, 52, 51, 50]),
        (500, 50, 100, [500, 480, 462, 444, 426, 410], [11, 10, 10, 10]),
        (500, 100, 100, [500, 477, 455, 434, 415, 396], [5, 5, 5, 5]),
        (500, 100, 200, [500], [5, 5, 5, 5]),
        (9000, 100, 10, [9000, 5395, 3234, 1938, 1162], [696, 417, 250, 150, 90]),
        (9000, 200, 10, [9000, 4995, 2772, 1538, 854], [474, 263, 146, 81, 45]),
        (1000, 100, 10, [1000, 599, 359, 215, 129], [77, 46, 27, 16, 10]),
    ],
)
def test_long_tailed_ends(n_max, rho, n_classes, head, tail):
    counts = long_tailed_counts(n_max, rho, n_classes).tolist()
    assert counts[: len(head)] == head
    assert counts[-len(tail) :] == tail


@pytest.mark.parametrize(
    ("rho", "n_classes", "groups"),
    [
        (10, 100, (69, 31, 0)),
        (50, 100, (41, 41, 18)),
        (100, 100, (35, 35, 30)),
        (10, 200, (139, 61, 0)),
        (100, 200, (70, 70, 60)),
    ],
)
def test_shot_groups(rho, n_classes, groups):
    counts = long_tailed_counts(500, rho, n_classes)
    many, few = (counts > 100).sum(), (counts < 20).sum()
    assert (many, n_classes - many - few, few) == groups


def test_floor_keeps_exact_integers():
    for rho in range(1, 400):
        assert long_tailed_counts(10 * rho, rho, 10)[-1] == 10
        assert long_tailed_counts(3 * rho**2, rho**2, 3).tolist() == [3 * rho**2, 3 * rho, 3]


@pytest.mark.parametrize(("rho", "tail", "total"), [(10, 500, 27500), (50, 100, 25500), (100, 50, 25250)])
def test_step_cifar10(rho, tail, total):
    counts = step_counts(5000, rho, 10)
    assert counts.tolist() == [5000] * 5 + [tail] * 5
    assert counts.sum() == total


@pytest.mark.parametrize(("n_classes", "mu", "n_small"), [(5, 0.5, 3), (7, 0.5, 4), (10, 0.9, 9), (10, 0.1, 1)])
def test_step_loses_no_class(n_classes, mu, n_small):
    assert step_counts(100, 10, n_classes, mu).tolist() == [100] * (n_classes - n_small) + [10] * n_small


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 10, 10), "Expected `n_max` to be an integer of at least 1, but got 0"),
        ((5.5, 10, 10), "Expected `n_max` to be an integer"),
        ((100, 0.5, 10), r"Expected `rho` to be a number of at least 1 .* but got 0.5"),
        ((100, float("nan"), 10), "Expected `rho`"),
        ((100, 10, 1), "Expected `n_classes` to be an integer of at least 2, but got 1"),
    ],
)
@pytest.mark.parametrize("profile", [long_tailed_counts, step_counts])
def test_profile_arguments(profile, arguments, message):
    with pytest.raises(ValueError, match=message):
        profile(*arguments)


def test_step_needs_both_kinds_of_class():
    with pytest.raises(ValueError, match=r"at least one large and one small class of 10, but got 0.01"):
        step_counts(100, 10, 10, mu=0.01)


# --- Imbalance ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"profile": "long_tail"}, "Expected `profile` to be one of .* did you mean 'long_tailed'"),
        ({"profile": "counts"}, "Expected `counts` to be given with profile='counts', but got None"),
        ({"profile": "counts", "counts": [3, 0]}, "every entry of `counts` to be an integer of at least 1, but got 0"),
        ({"profile": "counts", "counts": [3, 2], "rho": 2}, "Expected `rho` to be left out with profile='counts'"),
        ({"profile": "counts", "counts": [3, 2], "largest": 2}, "Expected `largest` to be left out"),
        ({"profile": "step"}, "Expected `rho` to be given with profile='step'"),
        ({"profile": "step", "rho": 2, "counts": [1]}, "Expected `counts` to be left out with profile='step'"),
        ({"profile": "step", "rho": 2, "mu": 1.5}, "Expected `mu` to be a fraction strictly between 0 and 1"),
        ({"profile": "long_tailed", "rho": 0}, "Expected `rho` to be a number of at least 1"),
        ({"profile": "long_tailed", "rho": 2, "mu": 0.3}, "Expected `mu` to be given with profile='step' only"),
        ({"profile": "long_tailed", "rho": 2, "largest": 0}, "Expected `largest` to be an integer of at least 1"),
    ],
)
def test_imbalance_fields(arguments, message):
    with pytest.raises(ValueError, match=message):
        Imbalance(**arguments)


def test_largest_is_what_balanced_data_has():
    assert Imbalance("long_tailed", rho=100).class_counts([5000] * 10).tolist() == CIFAR10[100]
    assert Imbalance("step", rho=100).class_counts([5000] * 10).tolist() == [5000] * 5 + [50] * 5


def test_largest_is_attainable_in_unbalanced_data():
    available = np.array([5923, 6742, 5958, 300])
    counts = Imbalance("long_tailed", rho=10).class_counts(available)
    assert (counts <= available).all()
    more = long_tailed_counts(int(counts[0]) + 1, 10, 4)
    assert (more > available).any()


def test_largest_given():
    counts = Imbalance("long_tailed", rho=100, largest=1000).class_counts([9000] * 10)
    assert counts.tolist() == [1000, 599, 359, 215, 129, 77, 46, 27, 16, 10]


def test_class_order_rotates_svhn():
    imbalance = Imbalance("long_tailed", rho=100, largest=1000, class_order=[1, 2, 3, 4, 5, 6, 7, 8, 9, 0])
    assert imbalance.class_counts([5000] * 10).tolist() == [10, 1000, 599, 359, 215, 129, 77, 46, 27, 16]


def test_class_order_with_counts_and_scarce_class():
    imbalance = Imbalance("counts", counts=[50, 5], class_order=[1, 0])
    assert imbalance.class_counts([5, 60]).tolist() == [5, 50]


@pytest.mark.parametrize("order", [[0, 1], [0, 0, 1], [1, 2, 3]])
def test_class_order_is_a_permutation(order):
    with pytest.raises(ValueError, match=r"`class_order` to hold every number from 0 to 2 once"):
        Imbalance("long_tailed", rho=2, class_order=order).class_counts([10, 10, 10])


def test_more_than_available_names_class_and_numbers():
    imbalance = Imbalance("counts", counts=[1000, 500])
    with pytest.raises(ValueError, match="got 1000 asked for of class 'zero', which has 980; ask for 980 or fewer"):
        imbalance.class_counts([980, 1135], classes=["zero", "one"])


def test_number_of_counts():
    with pytest.raises(ValueError, match="one number for each of the 3 classes of the data, but got 2 numbers"):
        Imbalance("counts", counts=[1, 2]).class_counts([10, 10, 10])


def test_no_class_is_left_empty():
    with pytest.raises(ValueError, match="at least 1 sample of every class, but got 0 asked for of class 2"):
        Imbalance("long_tailed", rho=1000).class_counts([100, 100, 100])


# --- subsample ---


def test_subsample_counts_order_and_uniqueness():
    y = np.random.default_rng(0).permutation(np.repeat(["a", "b", "c"], [30, 20, 10]))
    kept = subsample(y, [12, 7, 10], random_state=3)
    assert np.array_equal(kept, np.unique(kept))
    assert np.unique(y[kept], return_counts=True)[1].tolist() == [12, 7, 10]


def test_subsample_seed():
    y = np.repeat([0, 1], 100)
    assert np.array_equal(subsample(y, [10, 10], 1), subsample(y, [10, 10], 1))
    assert not np.array_equal(subsample(y, [10, 10], 1), subsample(y, [10, 10], 2))


def test_classes_of_one_size_do_not_share_draws():
    y = np.repeat([0, 1], 100)
    kept = subsample(y, [10, 10], random_state=0)
    assert not np.array_equal(kept[:10], kept[10:] - 100)


def test_smaller_counts_keep_a_subset():
    y = np.repeat([0, 1, 2], 100)
    large, small = subsample(y, [80, 50, 20], 0), subsample(y, [40, 50, 5], 0)
    assert set(small) < set(large)


def test_subsample_leaves_the_global_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    subsample([0, 1, 1], [1, 1], 0)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([1], "one number for each of the 2 classes in `y`"),
        ([1, 4], "got 4 asked for of class 'dog', which has 3"),
        ([0, 1], "got 0 asked for of class 'cat'"),
    ],
)
def test_subsample_errors(counts, message):
    with pytest.raises(ValueError, match=message):
        subsample(["cat", "cat", "dog", "dog", "dog"], counts)
