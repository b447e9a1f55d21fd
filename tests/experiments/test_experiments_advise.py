"""The advice: right where the answer is known, its numbers against second writings, and what is refused."""

import json
import warnings
from decimal import Decimal
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from latentover import RAESampler, advise, cli
from latentover.experiments import advise as module_of
from latentover.experiments.advise import METHODS, METRICS, _advised, _scores, _thinned
from latentover.experiments.table_classifier import TableClassifier, is_category

CHEAP = ["threshold", "prior", "class_weights", "random", "smote"]


def logistic_rows(n=3000, seed=0):
    """Return rows with 5 % of a rare class, for which logistic regression is the true model."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    chance = 1 / (1 + np.exp(4.0 - 1.5 * X[:, 0] - X[:, 1]))
    return X, np.where(rng.random(n) < chance, "rare", "common")


def mixed_table(n=600, seed=0):
    """Return a frame with columns of many types, missing values, an identifier, and three classes."""
    rng = np.random.default_rng(seed)
    y = rng.choice(3, size=n, p=[0.8, 0.14, 0.06])
    towns = np.array(["Graz", "Linz", "Wien"])
    frame = pd.DataFrame(
        {
            "amount": rng.lognormal(size=n) + 2 * y,
            "visits": pd.array(rng.integers(0, 9, n), dtype="Int64"),
            "town": np.where(rng.random(n) < 0.6, towns[y], rng.choice(towns, n)),
            "kind": pd.Categorical(rng.choice(["a", "b"], n)),
            "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 9999, n), "h"),
            "active": rng.random(n) < 0.5,
            "number": [f"C-{i:05d}" for i in range(n)],
            "empty": [None] * n,
        }
    )
    for i, name in enumerate(["amount", "visits", "town", "kind", "since"]):
        frame.loc[i :: 11 + i, name] = None
    return frame, np.array(["ok", "fault", "fire"])[y]


@pytest.fixture(scope="module")
def of_logistic_rows():
    return advise(*logistic_rows(), classifier="logistic", methods=CHEAP)


class TestTheAnswer:
    def test_another_decision_where_that_suffices(self, of_logistic_rows):
        found = of_logistic_rows
        assert found.method in ("threshold", "prior")
        assert found.differences[found.method].low > 0.1
        assert found.sentence.startswith(METHODS[found.method].advice + ": balanced accuracy 0.")
        alarms = [np.mean(found.scores[name]["false_alarms"]) for name in (found.method, "none")]
        assert f"Its price: {alarms[0]:.1f} false alarms in 1,000 rows instead of {alarms[1]:.1f};" in found.sentence
        assert "Resampling adds nothing beyond the noise" in found.sentence
        assert "It also makes probabilities less true: Brier score" in found.sentence

    @pytest.mark.parametrize("goal", ["average_precision", "roc_auc", "brier"])
    def test_nothing_for_probabilities_that_are_right(self, goal):
        found = advise(*logistic_rows(), goal=goal, classifier="logistic", methods=CHEAP)
        assert found.method == "none"
        assert found.sentence.startswith("Leave the rows and the decision as they are: ")
        assert "calibrate" in found.sentence
        for name in ("threshold", "prior"):  # the same probabilities
            assert found.differences[name][:4] == (0, 0, 0, 1)

    def test_nothing_where_there_is_nothing_to_learn(self):
        rng = np.random.default_rng(0)
        found = advise(rng.normal(size=(1500, 3)), rng.random(1500) < 0.1, classifier="logistic", methods=CHEAP)
        assert found.method == "none"
        assert "no method is shown to have a better" in found.sentence or "nothing has a better" in found.sentence

    def test_the_goal_is_what_the_threshold_is_tuned_for(self):
        by = {
            goal: advise(*logistic_rows(), goal=goal, classifier="logistic", methods=["threshold"])
            for goal in ("balanced_accuracy", "macro_f1")
        }
        for metric in by:
            own, other = (np.mean(by[goal].scores["threshold"][metric]) for goal in (metric, *(set(by) - {metric})))
            assert own > other

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ({"none": [0.7, 0.71, 0.69], "threshold": [0.8, 0.81, 0.8], "smote": [0.81, 0.8, 0.8]}, "threshold"),
            ({"none": [0.7, 0.71, 0.69], "threshold": [0.7, 0.71, 0.69], "smote": [0.8, 0.81, 0.8]}, "smote"),
            ({"none": [0.7, 0.71, 0.69], "threshold": [0.8, 0.81, 0.8], "smote": [0.9, 0.91, 0.9]}, "smote"),
            ({"none": [0.7, 0.71, 0.69], "threshold": [0.6, 0.61, 0.6], "smote": [0.6, 0.61, 0.6]}, "none"),
            ({"none": [0.7, 0.9, 0.5], "threshold": [0.9, 0.8, 0.8], "smote": [0.9, 0.8, 0.9]}, "none"),
            ({"none": [0.7, 0.71, 0.7], "threshold": [0.8, 0.81, 0.8], "prior": [0.85, 0.86, 0.85]}, "prior"),
        ],
    )
    def test_a_later_step_is_taken_only_where_it_is_shown_to_be_better(self, values, expected):
        assert _advised(values, test_share=1 / 3) == expected


class TestColumns:
    @pytest.mark.parametrize("classifier", [HistGradientBoostingClassifier(max_iter=5), "logistic"], ids=str)
    def test_of_any_type_with_missing_values_and_three_classes(self, classifier, monkeypatch):
        monkeypatch.setattr(module_of, "RAE_STEPS", 5)
        monkeypatch.setattr(module_of, "RAESampler", partial(RAESampler, hidden_units=8), raising=True)
        frame, y = mixed_table()
        before = frame.copy()
        found = advise(frame, y, classifier=classifier, folds=3)
        pd.testing.assert_frame_equal(frame, before)
        assert list(found.scores) == list(METHODS)  # the smoothed bootstrap and the RAE among them
        assert found.rare == ["fault", "fire"]
        assert (found.classes[0], sum(found.counts)) == ("ok", 600)
        assert "Left out, no values: 'empty'." in found.notes
        assert "Left out, identifiers: 'number'." in found.notes
        assert np.mean(found.scores["none"]["roc_auc"]) > 0.8  # something was read from them

    @pytest.mark.parametrize(
        ("column", "note"),
        [
            (np.arange(3000) + 5000, "identifiers: 'c'"),  # row numbers
            ([f"c{i:04d}@mail.org" for i in range(3000)], "identifiers: 'c'"),
            ([f"a note on case {i} of this long day" for i in range(3000)], "free text: 'c'"),
            (np.arange(3000) % 7, None),
        ],
        ids=["row numbers", "e-mail", "text", "counts"],
    )
    def test_what_names_rows_is_left_out(self, column, note):
        X, y = logistic_rows()
        frame = pd.DataFrame(X, columns=["a", "b", "d"]).assign(c=column)
        found = advise(frame, y, classifier="logistic", methods=["prior"], folds=2)
        assert found.notes == ([] if note is None else [f"Left out, {note}."])
        named = advise(frame, y, classifier="logistic", methods=["prior"], folds=2, identifiers=["a"])
        assert named.notes[0].startswith("Left out, identifiers: 'a'")
        assert np.mean(named.scores["none"]["roc_auc"]) < np.mean(found.scores["none"]["roc_auc"]) - 0.05

    def test_numbers_of_an_array_are_no_identifiers(self):
        _, y = logistic_rows()
        found = advise(np.arange(3000)[:, None], y, classifier="logistic", methods=["prior"], folds=2)
        assert found.notes == []

    def test_what_is_a_category(self):
        frame, _ = mixed_table()
        frame["price"] = [Decimal(i) for i in range(len(frame))]
        kinds = {name: is_category(frame[name]) for name in frame}
        assert [name for name, category in kinds.items() if category] == ["town", "kind", "number", "empty"]

    @pytest.mark.parametrize("estimator", [HistGradientBoostingClassifier(), LogisticRegression()])
    def test_levels_that_training_has_not_seen_are_no_error(self, estimator):
        X = pd.DataFrame({"town": ["Graz", "Linz"] * 50, "n": range(100)})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = TableClassifier(estimator=estimator, categories=(0,)).fit(X, [0, 1] * 50)
            new = pd.DataFrame({"town": ["Wien", None, "Graz"], "n": [1, 2, 3]})
            assert model.predict_proba(new).shape == (3, 2)

    def test_times_are_numbers_in_their_order(self):
        when = pd.Series(pd.date_range("2024-01-01", periods=100, freq="h", tz="Europe/Vienna"))
        when[3] = pd.NaT
        X, y = pd.DataFrame({"when": when}), np.arange(100) >= 50
        model = TableClassifier(estimator=HistGradientBoostingClassifier(min_samples_leaf=5)).fit(X, y)
        known = np.arange(100) != 3
        np.testing.assert_array_equal(model.predict(X)[known], y[known])


class TestNumbers:
    def test_scores_are_those_of_scikit_learn_with_weights(self):
        rng = np.random.default_rng(0)
        y, decided = rng.integers(0, 3, 200), rng.integers(0, 3, 200)
        stated, weights, rare = rng.dirichlet(np.ones(3), 200), rng.random(200), np.array([1, 2])
        found = _scores(y, decided, stated, weights, rare)
        by = {"sample_weight": weights}
        of_rare = {"labels": [1, 2], "average": "macro", "sample_weight": weights}
        expected = {
            "balanced_accuracy": metrics.balanced_accuracy_score(y, decided, **by),
            "macro_f1": metrics.f1_score(y, decided, average="macro", **by),
            "recall": metrics.recall_score(y, decided, **of_rare),
            "precision": metrics.precision_score(y, decided, **of_rare),
            "average_precision": np.mean([metrics.average_precision_score(y == c, stated[:, c], **by) for c in rare]),
            "roc_auc": np.mean([metrics.roc_auc_score(y == c, stated[:, c], **by) for c in rare]),
            "brier": sum(w * ((p - np.eye(3)[c]) ** 2).sum() for w, p, c in zip(weights, stated, y, strict=True))
            / weights.sum(),
            "false_alarms": 1000 * weights[(decided > 0) & (decided != y)].sum() / weights.sum(),
        }
        assert list(found) == list(METRICS)
        assert found == pytest.approx(expected)

    @pytest.mark.parametrize("counts", [[1000, 50], [700, 300, 20], [400, 400, 400], [90, 10]])
    @pytest.mark.parametrize("budget", [100, 333, 5000])
    def test_the_largest_classes_are_cut_and_the_rare_ones_keep_all(self, counts, budget):
        kept = _thinned(np.array(counts), budget)
        cap = kept.max()
        assert kept.tolist() == [min(count, cap) for count in counts]
        assert kept.sum() <= budget
        assert kept.sum() > budget - len(counts) or kept.tolist() == counts

    def test_with_fewer_rows_all_is_still_said_of_the_natural_ratio(self):
        X, y = logistic_rows(6000)
        constant = DummyClassifier(strategy="prior")
        whole, part = (advise(X, y, classifier=constant, methods=["none"], max_rows=n) for n in (6000, 1000))
        assert (whole.n_rows, part.n_rows, sum(part.counts)) == (6000, 1000, 6000)
        for metric, values in whole.scores["none"].items():
            assert np.mean(part.scores["none"][metric]) == pytest.approx(np.mean(values), abs=1e-4)

    def test_with_fewer_rows_a_classifier_says_about_the_same(self):
        X, y = logistic_rows(6000)
        whole, part = (advise(X, y, classifier="logistic", methods=["prior"], max_rows=n) for n in (6000, 2000))
        for name in ("none", "prior"):
            for metric in ("balanced_accuracy", "recall", "precision", "brier"):
                values = whole.scores[name][metric]
                assert np.mean(part.scores[name][metric]) == pytest.approx(np.mean(values), abs=3 * np.std(values))

    def test_the_same_seed_gives_the_same_answer(self):
        settings = {"classifier": "logistic", "methods": ["threshold", "smote"]}
        answers = [advise(*mixed_table(), folds=3, random_state=seed, **settings) for seed in (1, 1, 2)]
        first, again, other = ({**found.to_dict(), "seconds": None} for found in answers)
        assert first == again
        assert first["scores"] != other["scores"]

    def test_the_frame_has_means_and_spread(self, of_logistic_rows):
        frame = of_logistic_rows.to_frame()
        assert list(frame.index) == ["none", *CHEAP]
        values = of_logistic_rows.scores["smote"]["recall"]
        assert len(values) == 5
        assert frame.loc["smote", ["recall", "recall_sd"]].tolist() == [np.mean(values), np.std(values, ddof=1)]
        assert frame.loc["smote", "difference"] == of_logistic_rows.differences["smote"].difference
        assert np.isnan(frame.loc["none", "difference"])

    def test_it_is_json_and_text(self, of_logistic_rows):
        known = json.loads(json.dumps(of_logistic_rows.to_dict()))
        assert known["differences"]["smote"]["n_folds"] == 5
        lines = str(of_logistic_rows).splitlines()
        assert lines[0] == of_logistic_rows.sentence
        assert [line[2:].split("  ")[0] for line in lines[3:9]] == [METHODS[name].title for name in ["none", *CHEAP]]
        assert [line[:2] for line in lines[3:9]].count("> ") == 1


class TestWhatGoesWrong:
    X, y = np.random.default_rng(0).normal(size=(60, 2)), np.repeat(["ok", "fire"], [57, 3])

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({}, r"at least 5 rows for 5 folds, but got 3 of class 'fire'; pass folds=3, or join"),
            ({"folds": 2}, "at least 4 rows for 2 folds, but got 3 of class 'fire'; collect more"),
            ({"goal": "accuracy"}, "goal to be one of balanced_accuracy, .*, but got 'accuracy'"),
            ({"classifier": "svm"}, "classifier to be one of boosting, .*, but got 'svm'"),
            ({"methods": ["smot"]}, r"methods to be a list of none, .*, but got \['smot'\]"),
            ({"methods": "smote"}, "methods to be a list of .*, but got 'smote'"),
            ({"folds": 1}, "folds to be a whole number at least 2, but got 1"),
            ({"repeats": 0}, "repeats to be a whole number at least 1, but got 0"),
            ({"max_rows": 10}, "max_rows to be a whole number at least 100, but got 10"),
            (
                {"folds": 3, "identifiers": ["a"]},
                r"identifiers to be a list of columns of X, \[0, 1\], but got \['a'\]",
            ),
            ({"random_state": "x"}, "random_state"),
        ],
    )
    def test_is_said_before_anything_is_trained(self, arguments, message, monkeypatch):
        monkeypatch.setattr(TableClassifier, "fit", lambda *_: pytest.fail("trained"))
        with pytest.raises(ValueError, match=message):
            advise(self.X, self.y, **arguments)

    @pytest.mark.parametrize(
        ("X", "y", "message"),
        [
            (X, ["ok"] * 60, "y to have at least 2 classes"),
            (X[:50], y, "50"),
            (np.where(X > 1, np.inf, X), y, "infinity"),
            (np.zeros((60, 1, 8, 8)), y, r"X to be a table \(n, d\), but got an array of shape"),
            (pd.DataFrame({"name": [f"n{i}" for i in range(60)]}), y, "X to have a column that can teach something"),
            (pd.DataFrame(X, columns=["a", "a"]), y, "a name of its own for each column, but got 'a' twice"),
        ],
    )
    def test_in_the_data(self, X, y, message):
        with pytest.raises(ValueError, match=message):
            advise(X, y, folds=3)

    def test_a_classifier_that_takes_no_weights(self):
        with pytest.raises(TypeError, match="classifier to have predict_proba and to take sample_weight"):
            advise(self.X, self.y, classifier=KNeighborsClassifier())

    def test_as_many_folds_as_rows_of_the_rarest_class_are_enough(self):
        found = advise(self.X, self.y, folds=3, classifier="logistic", methods=CHEAP)
        assert list(found.scores) == ["none", *CHEAP]
        assert any("The smallest class has 3 rows" in note for note in found.notes)
        assert any(note.startswith("SMOTE: Expected every class to have at least") and "'fire'" in note
                   for note in found.notes)  # fmt: skip

    def test_a_method_that_fails_is_left_out_and_named(self, monkeypatch):
        def fail(table):
            raise ValueError("Expected X to be\n  another.")

        monkeypatch.setitem(METHODS, "smote", METHODS["smote"]._replace(fit=fail))
        found = advise(*logistic_rows(500), folds=3, classifier="logistic", methods=["prior", "smote"])
        assert list(found.scores) == list(found.seconds) == ["none", "prior"]
        assert "SMOTE is left out, for it failed: Expected X to be another." in found.notes


class TestTheCommand:
    @pytest.fixture
    def table(self, tmp_path):
        frame, y = mixed_table(300)
        frame = frame.drop(columns="since")
        path = tmp_path / "table.csv"
        frame.assign(state=y).to_csv(path, index=False)
        return path

    def run(self, capsys, *arguments):
        status = cli.main(["data", "advise", *map(str, arguments)])
        return status, *capsys.readouterr()

    def test_answers_and_writes_all_scores(self, table, tmp_path, capsys):
        out = tmp_path / "advice.json"
        status, text, said = self.run(
            capsys, table, "--target", "state", "--folds", "3", "--methods", "threshold,prior", "--goal", "macro_f1",
            "--classifier", "logistic", "--json", out,
        )  # fmt: skip
        assert status == 0
        known = json.loads(out.read_text())
        assert text.startswith(known["sentence"])
        assert (known["goal"], list(known["scores"])) == ("macro_f1", ["none", "threshold", "prior"])
        assert said.splitlines()[0] == "300 rows, 5 columns, 3 methods, 3 folds"
        assert "s left" in said

    def test_columns_that_are_left_out(self, table, capsys):
        arguments = ("--folds", "2", "--methods", "prior", "--classifier", "logistic", "--id", "visits")
        status, text, said = self.run(capsys, table, "--target", "state", *arguments, "--drop", "amount", "town")
        assert status == 0
        assert "- Left out, identifiers: 'visits', 'number'." in text
        assert said.splitlines()[0] == "300 rows, 2 columns, 2 methods, 2 folds"

    def test_quiet(self, table, capsys):
        arguments = ("--folds", "2", "--methods", "prior", "--classifier", "logistic", "--quiet")
        assert self.run(capsys, table, "--target", "state", *arguments)[2] == ""

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--target", "stat"], "did you mean 'state'?"),
            (["--target", "state", "--goal", "f1"], "Expected --goal to be one of"),
            (["--target", "state", "--methods", "prior,smotee"], "Expected --methods to be a list of"),
            (["--target", "state", "--folds", "99"], "rows for 99 folds"),
            (["--target", "state", "--json", "."], "Expected"),
        ],
    )
    def test_bad_input_is_one_line(self, table, capsys, arguments, message):
        status, out, err = self.run(capsys, table, *arguments)
        assert (status, out) == (2, "")
        assert err.startswith("latentover: ")
        assert err.count("\n") == 1
        assert message in err
