"""Fresh rows pass, shifted ones are told apart, copies are found, and tables of all kinds are looked at."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

from latentover.metrics import column_copies, table_quality
from latentover.metrics.copying import row_copies
from latentover.metrics.intervals import Estimate
from latentover.metrics.table_verdicts import does_help
from latentover.metrics.table_views import as_points, look_at

TOWNS = ["Graz", "Linz", "Wien", "<script>alert(1)</script>"]


def table(n, seed, *, rare=0.25, shift=0.0):
    """Accounts with an identifier, a time, numbers, levels, missing values, and a label."""
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < rare, "yes", "no")
    bad = y == "yes"
    amount = np.exp(rng.normal(3 + bad + shift, 1)).round(2)
    amount[rng.random(n) < 0.1] = 0
    hours = np.where(bad & (rng.random(n) < 0.7), rng.integers(0, 5, n), rng.integers(6, 24, n))
    age = rng.integers(18, 90, n).astype(float)
    age[rng.random(n) < 0.2] = np.nan
    return pd.DataFrame(
        {
            "iban": [f"AT{number:018d}" for number in rng.integers(0, 10**17, n)],
            "opened": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, n) * 24 + hours, "h"),
            "amount": amount,
            "age": age,
            "town": rng.choice(TOWNS, n, p=[0.5, 0.3, 0.15, 0.05]),
            "member": rng.random(n) < 0.3,
            "fraud": y,
        }
    )


def rare_of(frame):
    return frame[frame["fraud"] == "yes"].reset_index(drop=True)


REAL, HOLDOUT = table(1600, 0), table(1600, 1)
FRESH = rare_of(table(1600, 2))


@pytest.fixture(scope="module")
def fresh():
    return table_quality(REAL, FRESH, HOLDOUT, target="fraud")


class TestFreshRows:
    def test_are_hardly_told_from_real_ones(self, fresh):
        assert 0.42 < fresh.judge.auc.value < 0.56
        assert fresh.judge.held_out
        assert fresh.judge.n == min(len(FRESH), len(rare_of(HOLDOUT)))
        assert [verdict.grade for verdict in fresh.verdicts[:2]] == ["good", "good"]

    def test_are_as_far_from_real_ones_as_held_out_rows(self, fresh):
        near = fresh.nearness
        assert near.median == pytest.approx(near.usual_median, rel=0.1)
        assert near.nearer_to_real == pytest.approx(0.5, abs=0.07)
        assert near.nearer_than_usual == pytest.approx(0.5, abs=0.07)
        assert near.coverage == pytest.approx(near.usual_coverage, abs=0.06)

    def test_have_distances_like_held_out_rows(self, fresh):
        for column in fresh.columns:
            assert column.distance < 0.1 + column.usual, column.name
            assert column.finer == 0
        assert not [name for name, found in fresh.copies.items() if found.flagged]

    def test_identifiers_take_part_in_copies_alone(self, fresh):
        assert fresh.identifiers == ("iban",)
        assert next(iter(fresh.copies)) == "iban"
        assert fresh.copies["iban"].copied == 0
        names = [column.name for column in fresh.columns]
        assert names == ["opened", "opened, hour", "opened, weekday", "amount", "age", "town", "member"]

    def test_help_a_classifier_as_real_rows_do(self, fresh):
        effect = fresh.effect
        assert effect.rare == ("yes",)
        assert effect.n_test == len(HOLDOUT)
        assert {(row.classifier, row.new_rows, row.tuned) for row in effect.rows} == {
            (name, new, tuned) for name in ("boosting", "logistic") for new in (True, False) for tuned in (True, False)
        }
        assert fresh.verdicts[2].grade in ("good", "fair")

    def test_points_show_masses_and_none_that_few_rows_have(self, fresh):
        (amount,) = [column for column in fresh.columns if column.name == "amount"]
        (zero,) = [point for point in amount.points if point.value == "0"]
        own = rare_of(REAL)["amount"]
        assert zero.real == pytest.approx((own == 0).mean())
        assert zero.new == pytest.approx((FRESH["amount"] == 0).mean())
        (age,) = [column for column in fresh.columns if column.name == "age"]
        assert age.missing_new == pytest.approx(FRESH["age"].isna().mean())

    def test_is_json_and_a_frame_and_a_short_text(self, fresh):
        again = json.loads(json.dumps(fresh.to_dict(), allow_nan=False))
        assert again["judge"]["auc"]["value"] == fresh.judge.auc.value
        assert again["verdicts"][0]["grade"] == "good"
        assert fresh.to_frame().loc["iban", "copied"] == 0
        assert "Could the rows be real?" in repr(fresh)
        assert max(map(len, repr(fresh).splitlines())) <= 100

    def test_one_seed_one_result(self, fresh):
        assert table_quality(REAL, FRESH, HOLDOUT, target="fraud").to_dict() == fresh.to_dict()


class TestFaults:
    def test_a_shift_is_seen_by_the_judge_and_by_its_column(self):
        found = table_quality(REAL, rare_of(table(1600, 2, shift=3)), HOLDOUT, target="fraud", effect=None)
        assert found.judge.auc.value > 0.85
        assert max(found.columns, key=lambda column: column.distance).name == "amount"
        assert found.verdicts[0].grade == "poor"
        assert "amount" in found.verdicts[0].answer
        assert found.effect_reason

    def test_pairs_that_no_longer_belong_together(self):
        rng = np.random.default_rng(0)
        town = rng.choice(["a", "b"], 1500)
        frame = pd.DataFrame({"town": town, "tax": np.where(town == "a", "x", "y"), "n": rng.normal(size=1500)})
        broken = frame.assign(tax=rng.permutation(frame["tax"]))
        pair = table_quality(frame[:500], broken[500:1000], frame[1000:]).pairs[0]
        assert {pair.first, pair.second} == {"town", "tax"}
        assert (pair.real, pair.new) == (pytest.approx(1), pytest.approx(0, abs=0.1))
        assert pair.kind == "cramers_v"
        assert pair.usual == pytest.approx(0)

    def test_an_iban_of_another_row_in_every_new_one(self):
        stolen = FRESH.assign(iban=REAL["iban"].sample(len(FRESH), random_state=0).to_numpy())
        found = table_quality(REAL, stolen, HOLDOUT, target="fraud", effect=None)
        assert found.copied_rows == 0
        assert found.copies["iban"].copied == 1
        assert found.copies["iban"].flagged
        assert found.verdicts[1].grade == "poor"
        assert "iban (100%)" in found.verdicts[1].answer

    def test_a_single_stolen_iban(self):
        stolen = FRESH.assign(iban=[REAL["iban"][7], *FRESH["iban"][1:]])
        assert table_quality(REAL, stolen, HOLDOUT, target="fraud", effect=None).copies["iban"].flagged

    def test_whole_rows_with_a_fresh_iban(self):
        copied = pd.concat([rare_of(REAL)[:100].assign(iban="DE1"), FRESH[:300]], ignore_index=True)
        found = table_quality(REAL, copied, HOLDOUT, target="fraud", effect=None)
        assert found.copied_rows == pytest.approx(0.25)
        assert found.usual_copied_rows == 0
        assert found.verdicts[1].grade == "poor"

    def test_rows_close_to_training_rows(self):
        own = rare_of(REAL)
        rng = np.random.default_rng(0)
        near = own.assign(amount=own["amount"] * rng.uniform(0.99, 1.01, len(own)), iban="DE1")
        found = table_quality(REAL, near, HOLDOUT, target="fraud", effect=None)
        assert found.nearness.nearer_to_real > 0.95
        assert found.verdicts[1].grade == "poor"

    def test_numbers_finer_than_real_ones(self):
        fine = FRESH.assign(amount=FRESH["amount"] + 0.001, age=FRESH["age"] + 0.5)
        found = {c.name: c for c in table_quality(REAL, fine, HOLDOUT, target="fraud", effect=None).columns}
        assert found["amount"].finer == 1
        assert found["age"].finer == 1

    def test_copies_pass_the_judge_where_nothing_is_held_out_and_that_is_said(self):
        found = table_quality(REAL, rare_of(REAL), target="fraud")
        assert not found.judge.held_out
        assert found.judge.auc.value < 0.55
        assert "copies would pass" in found.verdicts[0].answer
        assert found.verdicts[1].grade == "poor"
        assert found.effect is None
        assert found.nearness.usual_median is None
        assert any("held-out" in note for note in found.notes)

    def test_dependencies(self):
        found = table_quality(REAL, FRESH, target="fraud", dependencies={"a = b + c": 0.4, "d <= e": 0.0})
        assert found.violations == {"a = b + c": 0.4, "d <= e": 0.0}
        assert found.verdicts[0].grade == "poor"
        assert "40% of them break the dependency a = b + c." in found.verdicts[0].answer

        class Found:
            def violations(self, frame):
                assert "fraud" not in frame
                return {"amount > 0": float((frame["amount"] == 0).mean())}

        found = table_quality(REAL, FRESH, target="fraud", dependencies=Found())
        assert found.violations["amount > 0"] == pytest.approx((FRESH["amount"] == 0).mean())
        assert found.usual_violations["amount > 0"] == pytest.approx((rare_of(REAL)["amount"] == 0).mean())


class TestKindsOfTables:
    def test_several_classes_are_compared_each_with_its_own(self):
        rng = np.random.default_rng(0)

        def draw(n, labels):
            y = np.repeat(labels, n)
            return np.column_stack([rng.normal(size=len(y)) + 4 * y, rng.normal(size=len(y))]), y

        (X, y), (H, h) = draw(300, [0, 1, 2]), draw(300, [0, 1, 2])
        new = np.concatenate([draw(400, [1])[0], draw(40, [2])[0]])  # ten times as many of one class
        found = table_quality(X, new, H, y_real=y, y_new=np.repeat([1, 2], [400, 40]), y_holdout=h)
        assert found.classes == ("1", "2")
        assert found.n_real == 600
        assert found.judge.auc.value < 0.6
        assert all(column.distance < 0.25 for column in found.columns)
        assert found.effect.rare == ("1", "2")
        assert len(found.effect.classes) == 3

    @pytest.mark.parametrize("n", [1, 2, 5, 30])
    def test_few_rows(self, n):
        real, new, holdout = table(40, 0), rare_of(table(60, 1))[:n], table(40, 2)
        found = table_quality(real, new, holdout, target="fraud")
        assert found.judge.auc is None
        assert "too few" in found.judge.reason
        assert found.n_new == min(n, len(rare_of(table(60, 1))))
        json.dumps(found.to_dict(), allow_nan=False)
        assert repr(found)

    def test_columns_of_every_kind_and_of_nothing(self):
        rng = np.random.default_rng(0)

        def draw(n):
            return pd.DataFrame(
                {
                    "cat": pd.Categorical(rng.choice(["a", "b"], n), categories=["a", "b", "never"]),
                    "nullable": pd.array(np.where(rng.random(n) < 0.2, None, rng.integers(0, 9, n)), dtype="Int64"),
                    "zone": pd.Timestamp("2024-01-01", tz="Europe/Vienna")
                    + pd.to_timedelta(rng.integers(0, 99, n), "D"),
                    "span": pd.to_timedelta(rng.integers(0, 99, n), "h"),
                    "month": pd.PeriodIndex(rng.choice(["2024-01", "2024-02"], n), freq="M"),
                    "empty": [None] * n,
                    "constant": 3.0,
                    "many": rng.integers(0, 400, n).astype(str),
                    "huge": 10.0 ** rng.integers(-3, 300, n),
                    "broken": rng.choice([1.0, np.inf, -np.inf], n),
                    7: rng.normal(size=n),
                }
            )

        found = table_quality(draw(900), draw(900), draw(900))
        assert found.judge.auc.value < 0.58
        assert len(found.columns) >= 11
        json.dumps(found.to_dict(), allow_nan=False)
        assert found.copies["huge"].flagged is False

    def test_levels_that_are_new_in_new_rows(self):
        real, new = (pd.DataFrame({"town": ["a", "b"] * 100, "n": range(200)}) for _ in range(2))
        new["town"] = "elsewhere"
        found = table_quality(real, new)
        assert found.judge.auc.value > 0.99
        assert found.columns[0].distance == 1

    def test_arrays_and_identifiers_by_name(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(300, 4))
        X[:, 0] = np.arange(300)
        new = rng.normal(size=(200, 4))
        new[:, 0] = rng.integers(0, 300, 200)
        found = table_quality(X, new, identifiers=[0])
        assert [column.name for column in found.columns] == ["1", "2", "3"]
        assert found.copies["0"].copied == 1
        assert found.copies["0"].flagged

    def test_a_natural_ratio_that_the_rows_do_not_have(self):
        even = table_quality(REAL, FRESH, HOLDOUT, target="fraud")
        counts = {"no": 99_000, "yes": 1_000}
        rare = table_quality(REAL, FRESH, HOLDOUT, target="fraud", class_counts=counts, new_counts={"yes": 500})
        first, second = (found.effect.rows[0].scores for found in (even, rare))
        assert second.auprc < first.auprc  # the same rows, but with far more honest ones beside each
        assert second.brier < first.brier


class TestErrors:
    def test_columns_labels_and_rows(self):
        with pytest.raises(ValueError, match=r"\*new\* to have the columns of \*real\*, but got none named 'age'"):
            table_quality(REAL, FRESH.drop(columns="age"), target="fraud")
        with pytest.raises(ValueError, match=r"\*new\* .* one more, 'x'"):
            table_quality(REAL, FRESH.assign(x=1), target="fraud")
        with pytest.raises(ValueError, match=r"\*target\* to be a column of \*new\*, but got 'fraud'"):
            table_quality(REAL, FRESH.drop(columns="fraud"), target="fraud")
        with pytest.raises(ValueError, match=r"classes of .*new.* but got 'perhaps'"):
            table_quality(REAL, FRESH.assign(fraud="perhaps"), target="fraud")
        with pytest.raises(ValueError, match=r"\*new\* to have rows, but got none"):
            table_quality(REAL, FRESH[:0], target="fraud")
        with pytest.raises(ValueError, match=r"identifiers.* but got 'id'"):
            table_quality(REAL, FRESH, target="fraud", identifiers=["id"])
        with pytest.raises(ValueError, match="a label a row, but got 3 labels"):
            table_quality(REAL, FRESH, y_real=["a", "b", "c"], y_new=["a"])
        with pytest.raises(ValueError, match="y_new beside y_real"):
            table_quality(REAL, FRESH, y_real=REAL["fraud"])
        with pytest.raises(ValueError, match="column 'amount' to hold numbers in every table"):
            table_quality(REAL, FRESH.assign(amount="much"), target="fraud")
        with pytest.raises(ValueError, match=r"a table \(n, d\), but got shape \(3,\)"):
            table_quality([1, 2, 3], FRESH)


class TestCopies:
    def test_usual_is_what_fresh_rows_have(self):
        rng = np.random.default_rng(0)

        def cents(n):
            return pd.DataFrame({"amount": rng.exponential(20, n).round(2), "town": rng.zipf(1.7, n).astype(str)})

        train = cents(1500)
        found, fresh = column_copies(train, cents(20_000)), cents(20_000)
        for name in ("amount", "town"):
            times = train[name].value_counts()
            by_hand = fresh[name].isin(times.index[times == 1]).mean()
            assert found[name].usual == pytest.approx(by_hand, abs=0.03)
            assert found[name].copied == pytest.approx(by_hand, abs=0.02)
            assert found[name].unique == pytest.approx((times == 1).sum() / len(train))
            assert not found[name].flagged

    def test_types_do_not_hide_a_copy(self):
        train = pd.DataFrame({"a": [1, 2, 3], "b": pd.Categorical(["x", "y", "z"]), "c": [2**60 + 1, 5, 6]})
        new = pd.DataFrame({"a": [2.0], "b": ["z"], "c": pd.array([2**60], dtype="Int64")})
        found = column_copies(train, new)
        assert [found[name].copied for name in "abc"] == [1, 1, 0]

    def test_whole_rows_with_missing_values(self):
        train = pd.DataFrame({"a": [1.0, np.nan, 3.0], "b": ["x", None, "z"]})
        new = pd.DataFrame({"b": [None, "x", "z"], "a": [np.nan, 3.0, 3.0]})
        assert row_copies(train, new).tolist() == [True, False, True]

    def test_errors(self):
        with pytest.raises(ValueError, match="rows on both sides"):
            column_copies(REAL[:0], FRESH)
        with pytest.raises(ValueError, match="none named 'iban'"):
            column_copies(REAL, FRESH.drop(columns="iban"))


@pytest.mark.parametrize(
    ("boosting", "logistic", "begins", "grade"),
    [
        (((1, 5), (-1, 2)), ((-2, 1), (1, 4)), "Yes: 90 real rows", "good"),
        (((-1, 5), (-1, 2)), ((-4, 1), (0.1, 4)), "In part: 90 real rows", "fair"),
        (((1, 5), (1, 2)), ((-4, 1), (-1, 4)), "In part: ", "fair"),
        (((1, 5), (1, 2)), ((-4, -1), (-1, 4)), "Some scores rise and others fall: ", "fair"),
        (((-1, 5), (-1, 2)), ((-4, 1), (-1, 4)), "Not beyond chance: ", "fair"),
        (((-1, 5), (-1, 2)), ((-4, -1), (-1, 4)), "No, and some scores fall: ", "poor"),
    ],
)
def test_new_rows_help_where_every_classifier_is_better(boosting, logistic, begins, grade):
    scores = ("auprc", "tuned_balanced_accuracy")
    differences = {
        name: {
            score: Estimate((low + high) / 200, low / 100, high / 100)
            for score, (low, high) in zip(scores, found, strict=True)
        }
        for name, found in (("boosting", boosting), ("logistic", logistic))
    }
    effect = SimpleNamespace(differences=differences, rows=[], n_test=90)
    verdict = does_help(SimpleNamespace(effect=effect))
    assert verdict.answer.startswith(begins)
    assert verdict.grade == grade


def test_distances_to_the_closest_record_are_those_between_points():
    own = [frame.drop(columns=["iban", "fraud"]) for frame in (rare_of(REAL), FRESH)]
    views, _ = look_at(own)
    real, new = as_points(views, [0, 1])
    found = table_quality(REAL, FRESH, HOLDOUT, target="fraud", effect=None, max_rows=10_000).nearness
    everything = cdist(new, real).min(axis=1)
    # Of classes of unequal size as many rows are drawn as both sides have.
    assert found.median == pytest.approx(np.median(everything), rel=0.05)


def test_points_are_standardised_and_levels_a_standard_deviation_apart():
    frame = pd.DataFrame({"n": [0.0, 10.0, np.nan], "town": ["a", "b", "a"]})
    views, _ = look_at([frame])
    (points,) = as_points(views, [0])
    distances = cdist(points, points)
    assert distances[0, 1] == pytest.approx(np.hypot(2, 1))  # two standard deviations, and another town
    assert distances[0, 2] == pytest.approx(np.hypot(1, 1))  # missing: at the mean, and missing
