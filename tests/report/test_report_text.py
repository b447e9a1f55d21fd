"""Names of others on our pages: whatever they are, they stay words."""

import json
import re
from itertools import groupby

import pytest

from latentover.report import collect_runs, compare, comparison_text, minority_grid, write_markdown, write_report
from latentover.text import guarded, inline_code, line, markdown, short_name, without_guard

EVIL = "# <img src=x onerror=alert(1)> | `a` **b** _c_ [d](e) ![f](g) &lt; ~~h~~ $i$\n## j \x1b[31m\u202ek"


def name_everything(folder, name):
    for path in folder.glob("*/*/metrics.json"):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        metrics["train_counts"] = {f"{name}{k}": n for k, n in metrics["train_counts"].items()}
        for scores in (metrics, *metrics["splits"].values()):
            scores["classes"] = [f"{name}{k}" for k in scores["classes"]]
        published = {"source": name, "test_balanced": {"acsa": 80}}
        names = dict.fromkeys(("group", "data", "hardware", "commit", "weights"), name)
        title = f"{name} {path.parts[-3]}"
        metrics["certificate"].update(names, title=title, versions={name: name}, published=published)
        path.write_text(json.dumps(metrics), encoding="utf-8")
    path = folder / "gamo" / "seed-0" / "failure.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"title": name, "message": name, "traceback": "Traceback"}), encoding="utf-8")


def bare(page):
    """The page without what stands behind a backslash, and is a letter and no mark."""
    return re.sub(r"\\.", "", page)


def test_markdown_shows_names_as_they_are(runs_folder, tmp_path):
    plain = write_markdown(runs_folder, tmp_path / "plain.md").read_text(encoding="utf-8")
    name_everything(runs_folder, EVIL)
    page = write_markdown(runs_folder, tmp_path / "evil.md").read_text(encoding="utf-8")
    assert page.count("onerror") > 40
    words = re.sub("</?details>|<summary>[A-Za-z ]+</summary>", "", bare(page).replace("**", ""))
    assert not re.search(r"[<`\[\]~$]|(?<![^\W_])_|_(?![^\W_])|&(?!lt;|amp;|#\d+;)", words)
    assert page.count("<details>") == page.count("</details>") == plain.count("<details>")
    heads = [[line.split()[0] for line in text.splitlines() if line.startswith("#")] for text in (plain, page)]
    assert heads[0] == heads[1]
    tables = [list(lines) for is_row, lines in groupby(bare(page).splitlines(), lambda row: row[:1] == "|") if is_row]
    assert len(tables) >= 7
    for rows in tables:
        assert len({row.count("|") for row in rows}) == 1, rows[0]
    assert "\x1b" not in page
    assert "\u202e" not in page


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# a", r"\# a"),
        ("- a", r"\- a"),
        ("+ a", r"\+ a"),
        ("1. a", r"1\. a"),
        ("2) a", r"2\) a"),
        ("2.5 a", "2.5 a"),
        ("> a", r"\> a"),
        ("---", r"\---"),
        ("===", r"\==="),
        ("a | b", r"a \| b"),
        ("_a_ __b__ learning_rate", r"\_a\_ \_\_b\_\_ learning_rate"),
        ("<b>a</b>", "&lt;b>a&lt;/b>"),
        ("&lt;", "&amp;lt;"),
        ("a\n\n# b", r"a \# b"),
        (r"a\[b", r"a\\\[b"),
        ("a-b, c. d: 5%", "a-b, c. d: 5%"),
    ],
)
def test_markdown_of_words(text, expected):
    assert markdown(text) == expected


def test_code_holds_backticks():
    assert inline_code("rae") == "`rae`"
    assert inline_code("a``b`") == "``` a``b` ```"


def test_a_name_of_ten_thousand_letters_is_cut_in_its_middle():
    assert short_name("a" * 5000 + "b" * 5000) == "a" * 30 + "…" + "b" * 29
    assert len({short_name(f"{'x' * 10_000}{i}") for i in range(10)}) == 10
    assert short_name("Class-balanced batches") == "Class-balanced batches"
    assert len(line("a b " * 10**6)) <= 300


def test_long_names_stretch_no_page(runs_folder, tmp_path):
    before = len(write_report(runs_folder).read_bytes())
    name_everything(runs_folder, "n" * 10_000)
    page = write_report(runs_folder).read_text(encoding="utf-8")
    assert not re.search("n{200}", page)
    assert len(page.encode()) < before + 60_000
    assert not re.search("n{200}", write_markdown(runs_folder, tmp_path / "a.md").read_text(encoding="utf-8"))
    assert max(map(len, comparison_text(compare(collect_runs(runs_folder))).splitlines())) < 200


def test_long_labels_make_no_tall_picture():
    import numpy as np

    panels = {"Real": np.zeros((1, 2, 1, 8, 8), np.uint8)}
    short, long = (minority_grid(panels, [label]) for label in ("a" * 60, "a" * 10_000))
    assert long.height <= short.height + 20
    assert long.width <= short.width + 20


@pytest.mark.parametrize("cell", ["=1+1", "@SUM(A1)", "\t=1", "+cmd|' /C calc'!A0", "-2+3+cmd|'a'!B1", "\uff1d1"])
def test_formulas_are_guarded(cell):
    assert guarded(cell) == f"'{cell}"
    assert without_guard(guarded(cell)) == cell


@pytest.mark.parametrize("cell", ["-1.5", "+3", "+", "-", "a=b", "'quoted'", "", "user@host", "-none-"])
def test_what_is_no_formula_stays(cell):
    assert guarded(cell) == without_guard(cell) == cell
