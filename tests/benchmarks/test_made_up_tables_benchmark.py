"""The made-up tables keep the rules that new rows are held to, and the benchmark says what breaks them."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import made_up_tables


@pytest.mark.parametrize("name", made_up_tables.TABLES)
def test_the_tables_keep_their_own_rules(name):
    table = made_up_tables.TABLES[name](np.random.default_rng(0), 2000)
    assert set(table.y) == {"yes", "no"}
    assert 0.01 < np.mean(table.y == "yes") < 0.1
    for text, rule in table.rules.items():
        assert np.all(rule(table.X)), text
    for column, decimals in table.decimals.items():
        assert np.allclose(table.X[column], np.round(table.X[column].astype(float), decimals), atol=1e-9)
    for column, value in table.masses.items():
        assert (table.X[column] == value).mean() > 0.02


def test_a_sampler_that_breaks_rules_is_told_from_one_that_keeps_them(monkeypatch, capsys):
    monkeypatch.setattr(made_up_tables, "N_ROWS", 3000)
    free = made_up_tables.SAMPLERS["SMOTE"](0).set_params(constraints="none")
    monkeypatch.setitem(made_up_tables.SAMPLERS, "free", lambda seed: free)
    kept, broken = (made_up_tables.measure("machines", sampler, 0) for sampler in ("SMOTE", "free"))
    assert kept["rules"] == 1.0
    assert kept["decimals"] == 1.0
    assert broken["rules"] < 0.9
    assert made_up_tables.measure("payments", "SMOTE", 0)["copied"] == 0.0  # of the references that name each payment
    made_up_tables.main(["--tables", "payments", "--samplers", "SMOTE"])
    assert capsys.readouterr().out.splitlines()[-1].startswith("| payments | SMOTE | ")
