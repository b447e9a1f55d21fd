"""The page on the store: its queries run, and its table has the columns of the schema, no more and no fewer."""

import re
from pathlib import Path

import pytest
from made_up_runs import metrics_of, write_run

from latentover.runs.store import FORMAT, SCHEMA

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "guide" / "results_store.md").read_text(encoding="utf-8")
TYPES = {"string": "text", "int64": "int64", "double": "double", "timestamp[ms]": "timestamp"}


def test_the_queries_run(tmp_path, monkeypatch, capsys):
    for module in ("polars", "duckdb"):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    for recipe, acsa in (("rae", 0.8), ("none", 0.7)):
        for seed in range(2):
            write_run(Path("runs") / "digits", metrics_of(recipe, seed, acsa))
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    for code in reversed(blocks):  # the last one fills the store
        exec(compile(code, "results_store.md", "exec"), {"__name__": "__docs__"})
    shown = capsys.readouterr().out
    assert re.search(r"RAE +0\.8 +0\.0 +2", shown)  # pandas
    assert re.search(r"│ RAE +│ +0 │ +0\.8 │", shown)  # DuckDB


def test_the_columns_are_those_of_the_schema():
    section = PAGE.split("## Columns")[1]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| `")]
    told = {}
    for names, types in rows:
        columns, kinds = re.findall(r"`(\w+)`", names), [kind.strip() for kind in types.split(",")]
        told |= dict(zip(columns, kinds * (len(columns) if len(kinds) == 1 else 1), strict=True))
    assert told == {field.name: TYPES[str(field.type)] for field in SCHEMA}
    assert f"its number, {FORMAT}, is" in section
