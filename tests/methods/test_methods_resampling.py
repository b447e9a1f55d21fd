import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentover.methods.resampling import UnitRange, by_size, joint_majority, nearest_points, spread_rows


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class TestUnitRange:
    def test_there_and_back(self):
        X = torch.tensor([[1.0, 5.0, -2.0], [3.0, 5.0, 0.0], [2.0, 5.0, -1.0]])
        unit = UnitRange.of(X)
        torch.testing.assert_close(unit.scale(X), torch.tensor([[0.0, 0, 0], [1, 0, 1], [0.5, 0, 0.5]]))
        torch.testing.assert_close(unit.unscale(unit.scale(X)), X)

    def test_constant_features_stay_constant(self):
        unit = UnitRange.of(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
        assert unit.unscale(torch.tensor([[0.3, 0.7]]))[0, 1] == 5


class TestJointMajority:
    def test_takes_equally_many_of_each_class(self):
        pools = [torch.full((10, 2), float(c)) for c in range(3)]
        for replacement in (False, True):
            drawn = joint_majority(pools, 10, generator(), replacement=replacement)
            assert drawn.places[:, 0].bincount().tolist() == [3, 3, 3]  # int(10 / 3)
            torch.testing.assert_close(drawn.points[:, 0], drawn.places[:, 0].float())

    def test_without_replacement_no_point_comes_twice(self):
        pool = torch.arange(50.0).unsqueeze(1)
        without = joint_majority([pool], 50, generator(), replacement=False)
        assert len(without.places[:, 1].unique()) == 50
        assert len(joint_majority([pool], 50, generator(), replacement=True).places[:, 1].unique()) < 50

    def test_more_classes_than_samples(self):
        pools = [torch.zeros(2, 1)] * 5
        assert len(joint_majority(pools, 2, generator(), replacement=False).points) == 5


def test_classes_by_size_keep_their_order_where_equal():
    assert by_size(torch.tensor([3, 9, 3, 20])) == [3, 1, 0, 2]


@pytest.mark.parametrize("norm", [1.0, 2.0])
def test_nearest_points_in_chunks(norm, monkeypatch):
    monkeypatch.setattr("latentover.methods.resampling.CHUNK_ELEMENTS", 50)
    rows, points = torch.rand(9, 4, generator=generator()), torch.rand(20, 4, generator=generator(1))
    distances = (rows[:, None] - points).norm(p=norm, dim=2)
    torch.testing.assert_close(nearest_points(rows, points, 3, norm), distances.argsort(dim=1)[:, :3])


class TestSpreadRows:
    def test_oracle(self):
        assert spread_rows(1 / torch.tensor([0.25, 0.5, 1.0]), 20, 0.5).bincount().tolist() == [11, 6, 3]

    @settings(max_examples=50, deadline=None, derandomize=True)
    @given(
        st.lists(st.floats(0, 100), min_size=1, max_size=8).filter(lambda weights: sum(weights) > 1e-3),
        st.integers(0, 60),
        st.floats(0, 1, exclude_max=True),
    )
    def test_each_row_as_often_as_its_share_up_to_one(self, weights, n, offset):
        weights = torch.tensor(weights, dtype=torch.float64)
        counts = spread_rows(weights, n, offset).bincount(minlength=len(weights))
        assert counts.sum() == n
        assert ((counts - n * weights / weights.sum()).abs() < 1 + 1e-9).all()

    def test_is_fair_over_offsets(self):
        weights = torch.tensor([0.1, 0.6, 0.3])
        counts = sum(spread_rows(weights, 4, offset / 100).bincount(minlength=3) for offset in range(100))
        torch.testing.assert_close(counts / 400, weights, atol=0.01, rtol=0)
