"""Scores of generated samples, from the file beside a run to the pages."""

import json

import pytest

from latentover.report import write_markdown, write_report
from latentover.report.generation import GENERATION, generation_tables
from latentover.runs.collection import collect_runs


def result(fid, *, features="pixels", n=100, flagged=False, collapsed=False):
    estimate = {"value": 0.5, "low": 0.4, "high": 0.6}
    scores = {"fid": {"value": fid}, "kid": estimate, "density": estimate, "coverage": estimate}
    scores |= {"diversity": 0.9, "collapsed": False}
    known = {"flagged": flagged, "copies": 3, "n": 100, "distance_ratio": 0.1}
    classes = {"0": {"collapsed": False}, "9": {"collapsed": collapsed}}
    return {"features": features, "n": n, "k": 5, "pooled": scores, "classes": classes, "memorization": known}


def leave(run, *results):
    (run.path / GENERATION).write_text(json.dumps({one["features"]: one for one in results}))


@pytest.fixture
def runs(runs_folder):
    return [run for run in collect_runs(runs_folder) if run.recipe == "rae"]


def test_means_over_seeds_and_one_table_for_what_may_be_compared(runs):
    leave(runs[0], result(1.0), result(9.0, features="inception"))
    leave(runs[1], result(2.0), result(8.0, features="inception", n=200))
    tables = generation_tables(runs)
    features = [table.caption.split(", ")[1] for table in tables]
    assert features == ["features pixels", "features inception", "features inception"]
    assert [row.cells[0] for table in tables for row in table.rows] == ["1.5 ± 0.71", "9", "8"]
    assert [row.seeds for table in tables for row in table.rows] == [2, 1, 1]


def test_memorization_and_collapse_are_flagged(runs):
    leave(runs[0], result(1.0, flagged=True))
    leave(runs[1], result(1.0, collapsed=True))
    (table,) = generation_tables(runs)
    assert any("memorizes: 3 of 100 samples are copies" in flag for flag in table.flags)
    assert any("again and again of 9" in flag for flag in table.flags)
    assert len(table.flags) == 2


def test_stands_on_both_pages_where_there_is_something(runs, runs_folder, tmp_path):
    empty = [write_report(runs_folder).read_text(), write_markdown(runs_folder, tmp_path / "a.md").read_text()]
    assert not any("features pixels" in page for page in empty)
    leave(runs[0], result(1.25, flagged=True))
    for page in (write_report(runs_folder).read_text(), write_markdown(runs_folder, tmp_path / "a.md").read_text()):
        assert "100 real and 100 generated samples of all classes, features pixels, k = 5" in page
        assert "1.25" in page
        assert "memorizes" in page
