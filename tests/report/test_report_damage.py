"""One damaged file costs what it would show, never the report; and the file is named."""

import csv
import io
import json
import os
import re
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from latentover.report import collect_runs, compare, failed_runs, write_markdown, write_report
from latentover.report.findings import cautions
from latentover.runs.collection import read_folder
from latentover.runs.folder import FAILURE
from latentover.runs.reading import (
    DamageError,
    attempt,
    read_curves,
    read_history,
    read_map,
    read_metrics,
    read_panels,
    read_png,
)

pytestmark = pytest.mark.filterwarnings("ignore:Expected runs that can be compared")


@pytest.fixture
def rae(runs_folder):
    """The folder of a run that has every file."""
    (runs_folder / "rae" / "seed-0" / "generation.json").write_text("{}")
    (runs_folder / "rae" / "seed-0" / "curves.json").write_bytes(curves_file())
    (runs_folder / "rae" / "seed-0" / "history_sampler.csv").write_text("step,seconds,decoder\n1,0.1,2\n")
    return runs_folder / "rae" / "seed-0"


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def bomb(name="Real", megabytes=300):
    """An archive of some kilobytes that unpacks to more megabytes than may be; made where it is used, it takes time."""
    file = io.BytesIO()
    archive = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        for _ in range(megabytes):
            member.write(bytes(2**20))
    return file.getvalue()


def promising(shape):
    """An array of a few bytes whose header promises many more."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": shape})
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("Real.npy", file.getvalue() + bytes(16))
    return archive.getvalue()


def png(width, height):
    """The start of a PNG of any size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def curves_file(**changes):
    one = {"label": "0", "n": 3, "thresholds": [0.4, 0.5], "found": [2, 1], "false": [1, 0]} | changes
    bins = {"n": [9], "confidence": [0.5], "accuracy": [0.4]}
    split = {"n": 9, "reliability": bins, "classes": [one]}
    return json.dumps({"format": 1, "splits": {"test_balanced": split}}).encode()


DEEP = b'{"format": 1, "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
IMAGES = np.zeros((2, 1, 1, 4, 4), np.float16)
DAMAGE = {
    "history.csv": {
        "cut off": b"step,seconds,critic\n0,0.1,1\n5,0.2,0.",
        "ragged": b"step,seconds,critic\n0,0.1,1\n5,0.2\n",
        "no text": bytes(range(256)) + b"\n",
        "empty": b"",
        "beyond float32": b"step,critic\n0,1e300\n",
        "a step of infinity": b"step,critic\ninf,1\n",
        "two columns of one name": b"step,critic,critic\n0,1,2\n",
        "one cell without an end": b'step,critic\n0,"' + b"1" * 1000 + b"\n",
    },
    "tsne.csv": {
        "cut off": b"x,y,label,kind\n1,2,0,real\n1,2",
        "no place": b"x,y,label,kind\nnan,2,0,real\n",
        "no column": b"x,label,kind\n1,0,real\n",
        "another kind": b"x,y,label,kind\n1,2,0,copy\n",
        "far away": b"x,y,label,kind\n1e300,2,0,real\n",
    },
    "samples.png": {
        "empty": b"",
        "no picture": b"<svg onload='alert(1)'/>",
        "huge": png(60_000, 60_000),
    },
    "samples.npz": {
        "empty": b"",
        "no archive": b"PK\x03\x04 and nothing more",
        "a bomb": bomb,
        "promises": promising((10**9, 1, 1, 8, 8)),
        "objects": npz(Real=np.array([{}], dtype=object)),
        "no labels": npz(Real=IMAGES, Synthetic=IMAGES),
        "other shapes": npz(Real=IMAGES, Synthetic=IMAGES[:1], labels=["a", "b"]),
        "infinite": npz(Real=IMAGES + np.inf, Synthetic=IMAGES, labels=["a", "b"]),
    },
    "recipe.yaml": {"no text": b"\xff\xfe\x00", "huge": b"a" * 2**21},
    "curves.json": {
        "cut off": b'{"format": 1, "splits": {"validation"',
        "deep": DEEP,
        "another format": b'{"format": 2, "splits": {}}',
        "another type": b'{"format": 1, "splits": [1]}',
        "thresholds that fall": curves_file(thresholds=[0.5, 0.4]),
        "thresholds beyond one": curves_file(thresholds=[0.5, 1.5]),
        "counts that rise": curves_file(found=[1, 2]),
        "more than there are": curves_file(found=[4, 2]),
        "no threshold": curves_file(thresholds=[], found=[], false=[]),
        "lists of two lengths": curves_file(false=[1]),
        "words": curves_file(found=["2", "1"]),
        "a label that is none": curves_file(label=3),
    },
    "generation.json": {
        "cut off": b'{"pixels": {"features"',
        "deep": DEEP,
        "another type": b'{"pixels": 3}',
        "infinite": b'{"pixels": {"features": "pixels", "n": 3, "k": 2, "pooled": {"fid": 1e999}, "classes": {}}}',
    },
}
CASES = [(file, case, content) for file, cases in DAMAGE.items() for case, content in cases.items()]


@pytest.mark.parametrize(("file", "case", "content"), CASES, ids=[f"{file}-{case}" for file, case, _ in CASES])
def test_damage_is_found_without_much_memory(rae, file, case, content):
    (rae / file).write_bytes(content() if callable(content) else content)
    run = next(run for run in collect_runs(rae.parent.parent) if run.recipe == "rae")
    tracemalloc.start()
    assert run.content(file) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**27
    assert list(run.damaged) == [file]


@pytest.mark.parametrize("file", DAMAGE)
def test_what_a_damaged_file_would_show_is_left_out_and_the_file_named(rae, tmp_path, file):
    (rae / file).write_bytes(next(iter(DAMAGE[file].values())))
    if file == "samples.png":  # which is shown where its arrays are not there
        for path in rae.parent.glob("*/samples.npz"):
            path.unlink()
    page = write_report(rae.parent.parent).read_text(encoding="utf-8")
    assert f"Damaged, and what it would show is left out: rae/seed-0/{file} " in page
    assert "Comparison" in page
    if file in ("history.csv", "samples.npz", "generation.json"):  # what the other page shows
        assert f"rae/seed-0/{file} " in write_markdown(rae.parent.parent, tmp_path / "page.md").read_text()


@pytest.mark.parametrize("file", ["samples.npz", "samples.png"])
def test_another_seed_stands_in_for_a_damaged_picture(rae, file):
    if file == "samples.png":
        for seed in (0, 1):
            (rae.parent / f"seed-{seed}" / "samples.npz").unlink()
    (rae / file).write_bytes(b"")
    page = write_report(rae.parent.parent).read_text(encoding="utf-8")
    assert "made by RAE with seed 1" in page
    for seed in (0, 1):
        for name in ("samples.npz", "samples.png"):
            (rae.parent / f"seed-{seed}" / name).write_bytes(b"")
    assert 'id="samples"' not in write_report(rae.parent.parent).read_text(encoding="utf-8")


def test_many_classes_and_long_names_in_a_map_take_neither_time_nor_memory(rae):
    rows = "".join(f"{i % 97},{i % 89},{i},real\n" for i in range(20_000))
    (rae / "tsne.csv").write_text(f"x,y,label,kind\n{rows}1,1,{'a' * 10_000},real\n")
    found = read_map(rae / "tsne.csv")
    assert len(found.labels) == 20_001
    assert max(map(len, found.labels)) == 60


def test_a_history_of_many_losses_draws_the_first(rae, numbers_of):
    names = [f"loss_{i}" for i in range(3000)]
    (rae / "history.csv").write_text(",".join(["step", *names]) + "\n" + ",".join(["1"] * 3001) + "\n")
    page = write_report(rae.parent.parent).read_text(encoding="utf-8")
    assert max(len(one["panels"]) for one in numbers_of(page)[0]["curves"]) == 24


def change(update):
    def write(path):
        metrics = json.loads(path.read_text())
        update(metrics)
        path.write_text(json.dumps(metrics))

    return write


def set_to(value, *places):
    def update(metrics):
        for place in places[:-1]:
            metrics = metrics[place]
        metrics[places[-1]] = value

    return change(update)


METRICS = {
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:700]), "is no JSON"),
    "deep": (lambda path: path.write_bytes(DEEP), "is nested"),
    "a little less deep": (
        lambda path: path.write_text('{"format": 1, "a": ' + "[" * 5000 + "]" * 5000 + "}"),
        "nested",
    ),
    "wide": (lambda path: path.write_text('{"format": 1, "a": [' + "[]," * 1_000_001 + "[]]}"), "nested beyond reason"),
    "a list": (lambda path: path.write_text("[1]"), "is a list"),
    "NaN": (set_to(float("nan"), "acsa"), "holds the number NaN"),
    "infinite": (
        lambda path: path.write_text(path.read_text().replace('"acsa": 0', '"acsa": 1e999, "b": 0', 1)),
        "holds the number 1e999",
    ),
    "no number": (set_to("0.5", "acsa"), "acsa is not from 0 to 1"),
    "true": (change(lambda metrics: metrics.update(acsa=True)), "acsa is not from 0 to 1"),
    "too high": (set_to(1e30, "splits", "validation", "gm_a"), "validation.gm_a is not from 0 to 1"),
    "too few recalls": (set_to([0.5], "recall"), "recall has not one value a class"),
    "classes twice": (set_to(["0"] * 10, "classes"), "classes are no different texts"),
    "confusion of words": (set_to([["a"] * 10] * 10, "confusion"), "confusion is no table"),
    "names of classes that are none": (set_to({"0": 3}, "class_names"), "class_names"),
    "counts of words": (set_to({"0": "many"}, "train_counts"), "train_counts"),
    "a huge count": (set_to({"0": 10**400}, "train_counts"), "train_counts"),
    "splits of another type": (set_to([1], "splits"), "splits is no mapping"),
    "a certificate of another type": (set_to("me", "certificate"), "certificate is no mapping"),
    "a title of another type": (set_to({"a": 1}, "certificate", "title"), "certificate.title"),
    "published words": (set_to({"source": "P", "validation": {"acsa": "x"}}, "certificate", "published"), "published"),
    "no scores": (change(lambda metrics: metrics.pop("acsa")), "it has no acsa"),
    "another format": (set_to(2, "format"), "is of format 2 and not 1; read it with the version"),
}


@pytest.mark.parametrize("case", METRICS)
def test_a_run_with_damaged_scores_is_left_out_and_named(rae, case):
    damage, reason = METRICS[case]
    damage(rae / "metrics.json")
    with pytest.warns(UserWarning, match=re.escape("left out rae/seed-0 (its metrics.json ")):
        runs = collect_runs(rae.parent.parent)
    assert [run.seed for run in runs if run.recipe == "rae"] == [1]
    (text,) = [text for text in cautions(read_folder(rae.parent.parent)) if "rae/seed-0" in text]
    assert text.startswith("Left out: rae/seed-0 (its metrics.json ")
    assert reason in text


def test_every_cut_of_every_file_leaves_a_report(rae):
    """Files that end early, at twelve places each; the readers alone, for the page is drawn above."""
    readers = {"metrics.json": read_metrics, "history.csv": read_history, "tsne.csv": read_map}
    readers |= {"samples.png": read_png, "samples.npz": read_panels, "curves.json": read_curves}
    for file, read in readers.items():
        content = (rae / file).read_bytes()
        assert attempt(read, rae / file)[1] == ""
        for part in range(12):
            cut = content[: len(content) * part // 12]
            (rae / file).write_bytes(cut)
            found, reason = attempt(read, rae / file)
            whole = file.endswith(".csv") and cut.endswith(b"\n")
            assert (found is None) == (reason != "") == (not whole), (file, part)


def test_every_flipped_byte_of_a_picture_is_found_or_harmless(rae):
    """Twenty flips each; checksums of the formats find them."""
    for file, read in {"samples.png": read_png, "samples.npz": read_panels}.items():
        content, (whole, _) = bytearray((rae / file).read_bytes()), attempt(read, rae / file)
        for place in range(40, len(content) - 120, len(content) // 20):
            content[place] ^= 0x55
            (rae / file).write_bytes(content)
            found, reason = attempt(read, rae / file)
            assert reason or str(found) == str(whole), (file, place)
            content[place] ^= 0x55


def test_a_pipe_in_place_of_a_file_does_not_wait(rae):
    (rae / "history.csv").unlink()
    os.mkfifo(rae / "history.csv")
    assert "rae/seed-0/history.csv is no file" in write_report(rae.parent.parent).read_text(encoding="utf-8")


def test_only_damage_speaks_for_itself():
    def broken(_):
        raise KeyError("real")

    def damaged(_):
        raise DamageError("is odd")

    assert attempt(broken, None) == (None, "cannot be read: 'real'")
    assert attempt(damaged, None) == (None, "is odd")


# ---- Old and new results ---------------------------------------------------------------------------------------------


def redo(path, **certificate):
    change(lambda metrics: metrics["certificate"].update({"date": "2026-02-04T10:00:00+00:00", **certificate}))(
        path / "metrics.json"
    )


@pytest.mark.parametrize(("key", "word"), [("recipe_sha256", "another recipe"), ("data_hash", "other data")])
def test_results_of_another_recipe_or_of_other_data_are_not_averaged_with_the_newest(rae, tmp_path, key, word):
    new = rae.parent / "seed-1"
    redo(new, **{key: "f" * 64})
    with pytest.warns(UserWarning, match=rf"left out rae/seed-0 \(made with {word} than the newest run beside it\)"):
        runs = collect_runs(rae.parent.parent)
    row = next(row for row in compare(runs) if row.recipe == "rae")
    assert row.n_seeds == 1
    assert row.cells["acsa"].mean == json.loads((new / "metrics.json").read_text())["acsa"]
    text = f"Stale, and in no mean: rae/seed-0 (made with {word} than the newest run beside it)."
    page = write_report(rae.parent.parent).read_text(encoding="utf-8")
    assert text in page
    assert f'<span class="failed">stale: made with {word} than the newest run beside it</span>' in page
    document = write_markdown(rae.parent.parent, tmp_path / "a.md").read_text(encoding="utf-8")
    assert text in document
    assert "| RAE (stale) |" in document
    stale = compare(runs, stale=read_folder(rae.parent.parent).stale)[-1]
    assert (stale.recipe, stale.n_seeds, stale.stale) == ("rae", 1, f"made with {word} than the newest run beside it")
    assert stale.cells["acsa"].mean == json.loads((rae / "metrics.json").read_text())["acsa"]


def test_runs_of_other_code_are_stale_whatever_their_recipe(rae):
    for run in rae.parent.parent.glob("*/seed-*"):
        redo(run, code="0.1.0+old")
    redo(rae, code="0.2.0+new", **{"date": "2026-03-04T10:00:00+00:00"})
    found = read_folder(rae.parent.parent)
    assert [(run.recipe, run.seed) for run in found.runs] == [("rae", 0)]
    assert len(found.stale) == 5
    assert {run.stale for run in found.stale} == {"made with another version of the code than the newest run"}


def test_runs_without_a_date_are_the_oldest(rae):
    change(lambda metrics: metrics.pop("certificate"))(rae / "metrics.json")
    with pytest.warns(UserWarning, match="left out rae/seed-0"):
        assert [run.seed for run in collect_runs(rae.parent.parent) if run.recipe == "rae"] == [1]


def test_python_users_cannot_average_them_either(rae):
    old = collect_runs(rae.parent.parent)
    redo(rae, recipe_sha256="f" * 64)
    redo(rae.parent / "seed-1", recipe_sha256="f" * 64)
    new = collect_runs(rae.parent.parent)
    with pytest.raises(ValueError, match="Expected runs of 'rae' that were made with the same recipe and data"):
        compare([*old, *new])


# ---- Failures --------------------------------------------------------------------------------------------------------


def fail(folder, seed, message="RuntimeError: the loss became nan", **more):
    path = folder / f"seed-{seed}"
    path.mkdir(parents=True, exist_ok=True)
    account = {"format": 1, "title": "GAMO", "seed": seed, "message": message, "traceback": "Traceback: in gamo.py"}
    (path / FAILURE).write_text(json.dumps(account | more))


def test_a_method_that_failed_on_every_seed_is_a_row_with_its_reason(runs_folder, tmp_path):
    for seed in (0, 1):
        fail(runs_folder / "gamo", seed)
    runs, failed = collect_runs(runs_folder), failed_runs(runs_folder)
    row = compare(runs, failed=failed)[-1]
    assert (row.title, row.n_seeds, len(row.failed)) == ("GAMO", 0, 2)
    assert [cell.mean for cell in row.cells.values()] == [None] * 4
    page = write_report(runs_folder).read_text(encoding="utf-8")
    reason = "Failed: GAMO, seeds 0, 1 (RuntimeError: the loss became nan)"
    assert page.count(reason) == 1
    assert page.count("Failed with seeds 0, 1 (RuntimeError: the loss became nan)") == 3  # a row on each split
    assert "2 failed runs" in page
    assert "Traceback: in gamo.py" in page
    assert len(re.findall(r'<th scope="row">GAMO</th>', page)) == 3
    words = write_markdown(runs_folder, tmp_path / "a.md").read_text(encoding="utf-8")
    assert words.count("| GAMO | n/a | n/a | n/a | n/a | 0 (2 failed) | n/a |") == 3
    assert f"> {reason}." in words


def test_a_method_that_failed_on_one_seed_says_so_beside_the_others(runs_folder):
    from latentover.report import comparison_text

    fail(runs_folder / "rae", 2, title="RAE", recipe_sha256=f"{3:064x}", date="2026-02-03T10:00:00+00:00")
    text = comparison_text(compare(collect_runs(runs_folder), failed=failed_runs(runs_folder)))
    assert re.search(r"^RAE .* 2 \(1 failed\) ", text, re.MULTILINE)
    assert text.endswith("\nFailed: RAE, seed 2 (RuntimeError: the loss became nan)")
    assert "1 failed</span>" in write_report(runs_folder).read_text(encoding="utf-8")


def test_old_scores_beside_a_new_failure_do_not_count(runs_folder):
    """The folder of a run that was made again with another recipe, and failed."""
    fail(runs_folder / "rae", 0, title="RAE", recipe_sha256="f" * 64, date="2026-02-04T10:00:00+00:00")
    with pytest.warns(UserWarning, match=r"left out rae/seed-1 \(made with another recipe"):
        rows = compare(collect_runs(runs_folder), failed=failed_runs(runs_folder))
    assert [(row.n_seeds, len(row.failed)) for row in rows if row.recipe == "rae"] == [(0, 1)]


def test_an_old_failure_beside_new_scores_does_not_count_either(runs_folder):
    fail(runs_folder / "rae", 7, title="RAE", recipe_sha256="f" * 64, date="2026-02-02T10:00:00+00:00")
    with pytest.warns(UserWarning, match="left out rae/seed-7"):
        assert failed_runs(runs_folder) == []


def test_a_folder_of_failures_says_why(tmp_path):
    fail(tmp_path / "gamo", 0)
    with pytest.raises(ValueError, match=r"no finished run \(gamo/seed-0 failed: RuntimeError: the loss became nan\)"):
        write_report(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[1]", DEEP, b'{"title": ["a"], "message": {"b": 1}, "recipe_sha256": []}'])
def test_a_damaged_record_of_a_failure_is_still_a_failure(runs_folder, content):
    fail(runs_folder / "gamo", 0)
    (runs_folder / "gamo" / "seed-0" / FAILURE).write_bytes(content)
    (failed,) = failed_runs(runs_folder)
    assert failed.recipe == "gamo"
    assert "gamo" in write_report(runs_folder).read_text(encoding="utf-8")


def test_a_failure_of_a_million_letters_is_cut(runs_folder):
    fail(runs_folder / "gamo", 0, message="ValueError: " + "long " * 200_000, title="G" * 10**6, traceback="t" * 10**6)
    assert len(write_report(runs_folder).read_bytes()) < len(csv.__doc__) + 900_000
