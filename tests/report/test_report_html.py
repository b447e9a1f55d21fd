"""The page: what it says, what it leaves out, and that it needs nothing else."""

import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from latentover.report import collect_runs, write_report
from latentover.report.findings import cautions, key_finding, key_tiles
from latentover.runs.collection import read_folder

VOID = {"meta", "link", "img", "source", "br", "input"}


class Page(HTMLParser):
    """Checks nesting and collects attributes, texts and identifiers."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.tags, self.text, self.scripts = [], [], [], []
        self.feed(text)
        assert not self.stack, f"never closed: {self.stack}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if self.stack and self.stack[-1] == "script":
            self.scripts.append(data)
        elif self.stack and self.stack[-1] != "style":
            self.text.append(data)

    def sections(self):
        return [attrs["id"] for tag, attrs in self.tags if tag == "section"]

    def words(self):
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def page(finished_runs, tmp_path_factory):
    """The page of the unchanged runs, with all pictures."""
    path = write_report(finished_runs, tmp_path_factory.mktemp("page") / "report.html")
    return Page(path.read_text(encoding="utf-8"))


def page_of(folder):
    return Page(write_report(folder).read_text(encoding="utf-8"))


def edit_all(folder, change, pattern="*/*"):
    for path in folder.glob(f"{pattern}/metrics.json"):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        change(metrics, path)
        path.write_text(json.dumps(metrics), encoding="utf-8")


class TestWhole:
    def test_all_sections(self, page):
        expected = "finding comparison classes thresholds calibration samples maps curves confusions certificates"
        assert page.sections() == [*expected.split(), "definitions"]

    def test_nothing_from_outside(self, page):
        for tag, attrs in page.tags:
            assert tag not in ("iframe", "object", "embed", "base")
            for name in ("src", "srcset", "href", "action"):
                if name in attrs:
                    assert re.match(r"data:|#[a-z]", attrs[name]), attrs[name][:60]
            assert not any(name.startswith("on") for name in attrs)

    def test_one_script_which_the_policy_names_by_its_hash(self, page):
        kinds = [attrs.get("type") for tag, attrs in page.tags if tag == "script"]
        assert kinds == ["application/json", None]
        (policy,) = [attrs["content"] for _, attrs in page.tags if "http-equiv" in attrs]
        numbers, script = page.scripts
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}';" in policy
        assert policy.startswith("default-src 'none'; ")
        assert "unsafe" not in policy.split("script-src")[1]
        assert not set("<>&") & set(numbers)
        for word in ("eval(", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "fetch(", "XMLHttp"):
            assert word not in script

    def test_accessible(self, page):
        ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
        assert len(ids) == len(set(ids))
        for tag, attrs in page.tags:
            if tag == "img":
                assert len(attrs["alt"]) > 10
            if tag == "th":
                assert attrs["scope"] in ("col", "row")
            if tag == "a":
                assert attrs["href"].removeprefix("#") in ids

    def test_default_path_and_own_path(self, runs_folder, tmp_path):
        assert write_report(runs_folder) == runs_folder / "report.html"
        assert write_report(str(runs_folder), tmp_path / "new" / "x.html").is_file()
        assert not list(runs_folder.glob(".*"))

    def test_same_runs_same_bytes(self, runs_folder, tmp_path):
        a, b = write_report(runs_folder, tmp_path / "a.html"), write_report(runs_folder, tmp_path / "b.html")
        assert a.read_bytes() == b.read_bytes()

    def test_no_runs(self, tmp_path):
        with pytest.raises(ValueError, match=r"Expected \*folder\* to be a folder with runs"):
            write_report(tmp_path)


class TestContent:
    def test_numbers_with_spread_and_best(self, runs_folder):
        words = page_of(runs_folder).words()
        runs = [run for run in collect_runs(runs_folder) if run.recipe == "rae"]
        mean = 50 * sum(run.metrics["acsa"] for run in runs)
        assert f"{mean:.2f} (best)" in words
        for title in ("Balanced test", "Imbalanced test", "Validation", "Class-balanced batches", "No resampling"):
            assert title in words

    def test_certificates_of_every_seed(self, page):
        words = page.words()
        for text in ("Seed 0", "Seed 1", "5eed0001", "AMD EPYC 9B14, 2 cores", "last epoch", "abc1234", "torch 2.9.0"):
            assert text in words
        assert "latent_dim: 20" in words

    def test_several_processes_are_named_with_the_device(self, runs_folder):
        assert "processes" not in page_of(runs_folder).words()
        edit_all(runs_folder, lambda m, _: m["certificate"].update(device="cuda", processes=2))
        assert "cuda, 2 processes" in page_of(runs_folder).words()

    def test_unknown_fields_are_named_as_such(self, runs_folder):
        edit_all(runs_folder, lambda m, _: m["certificate"].update(commit=None))
        assert "not recorded" in page_of(runs_folder).words()

    def test_everything_is_escaped(self, runs_folder):
        evil = "<script>alert('x')</script>&"

        def change(metrics, path):
            metrics["train_counts"] = {f"{evil}{k}": n for k, n in metrics["train_counts"].items()}
            for scores in (metrics, *metrics["splits"].values()):
                scores["classes"] = [f"{evil}{k}" for k in scores["classes"]]
            metrics["certificate"].update(title=f"{evil} {path.parts[-3]}", group=evil, data=evil, hardware=evil)

        edit_all(runs_folder, change)
        for path in runs_folder.glob("*/*/recipe.yaml"):
            path.write_text(f"</pre>{evil}", encoding="utf-8")
        page = page_of(runs_folder)
        assert [attrs for tag, attrs in page.tags if tag == "script"] == [
            {"type": "application/json", "id": "numbers"},
            {},
        ]
        assert evil[:60] in json.loads(page.scripts[0])[0]["splits"][0]["classes"][0]
        assert f"</pre>{evil}" in page.words()

    def test_unfinished_runs_are_named(self, runs_folder):
        (runs_folder / "gamo" / "seed-3").mkdir(parents=True)
        assert "Left out: gamo/seed-3 (did not finish)." in page_of(runs_folder).words()


class TestPublished:
    def test_a_column_on_the_split_that_has_them(self, runs_folder):
        scores = {"acsa": 84.79, "macro_f1": 84.3, "sd": {"acsa": 0.15}}
        published = {"source": "Mondal et al. 2023, Table 1", "test_balanced": scores}
        edit_all(runs_folder, lambda m, _: m["certificate"].update(published=published), "rae/*")
        page = page_of(runs_folder)
        labels = [attrs["data-label"] for tag, attrs in page.tags if tag == "td" and "data-label" in attrs]
        assert labels.count("Published, %") == 3  # one a method, on one split of three
        words = page.words()
        assert "84.79 ± 0.15 ACSA 84.30 Macro-F1" in words
        assert words.count("Published numbers: Mondal et al. 2023, Table 1.") == 1

    def test_no_column_without_them(self, runs_folder):
        assert "Published" not in page_of(runs_folder).words()


class TestSeveralFolders:
    @pytest.fixture
    def both(self, runs_folder, tmp_path):
        other = shutil.copytree(runs_folder, tmp_path / "mnist")
        edit_all(other, lambda m, _: m["certificate"].update(group="mnist", title=m["certificate"]["title"] + " 2"))
        return runs_folder, other

    def test_a_part_for_each_with_its_own_finding_and_anchors(self, both, tmp_path):
        page = Page(write_report(both, tmp_path / "both.html").read_text(encoding="utf-8"))
        names = ["finding", "comparison", "classes", "thresholds", "calibration", "samples", "maps", "curves"]
        names += ["confusions", "certificates"]
        assert page.sections() == [f"part-{i}-{name}" for i in (1, 2) for name in names] + ["definitions"]
        ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
        assert len(ids) == len(set(ids))
        links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
        assert {"#part-1-top", "#part-2-top", "#part-2-certificate-0"} <= set(links)
        assert all(link.removeprefix("#") in ids for link in links)
        words = page.words()
        assert "Digits, MNIST: comparison of 2 data sets" in words
        assert "RAE has the best mean ACSA" in words
        assert "RAE 2 has the best mean ACSA" in words

    def test_headings_go_down_one_level_at_a_time(self, both, runs_folder, tmp_path):
        for page in (
            page_of(runs_folder),
            Page(write_report(both, tmp_path / "both.html").read_text(encoding="utf-8")),
        ):
            levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
            assert levels[0] == 1
            assert levels.count(1) == 1
            assert all(below - above <= 1 for above, below in pairwise(levels))

    def test_no_path_for_several(self, both):
        with pytest.raises(
            ValueError, match="Expected a path for the page on several runs folders, but got none; name"
        ):
            write_report(both)
        with pytest.raises(ValueError, match="Expected one runs folder or more, but got none"):
            write_report([])


def test_samples_of_several_methods_can_be_shown_side_by_side(runs_folder):
    assert "Side by side" not in page_of(runs_folder).words()
    (source,) = runs_folder.glob("rae/seed-0/samples.npz")
    other = next(path for path in runs_folder.iterdir() if path.is_dir() and path.name != "rae")
    shutil.copy(source, other / "seed-0")
    assert "Side by side" in page_of(runs_folder).words()


class TestMissingData:
    @pytest.mark.parametrize(
        ("files", "section"),
        [
            ("samples.*", "samples"),
            ("tsne.csv", "maps"),
            ("history.csv", "curves"),
            ("curves.json", "thresholds"),
        ],
    )
    def test_panels_without_data_are_left_out(self, runs_folder, files, section):
        for path in runs_folder.glob(f"*/*/{files}"):
            path.unlink()
        assert section not in page_of(runs_folder).sections()

    def test_the_least_a_run_can_have(self, runs_folder):
        for path in runs_folder.glob("*/*/*"):
            if path.name != "metrics.json":
                path.unlink()

        def change(metrics, _):
            kept = {name: metrics[name] for name in ("format", "split", "acsa", "macro_f1", "gm_a")}
            metrics.clear()
            metrics.update(kept, mauprc_ova=None)

        edit_all(runs_folder, change)
        page = page_of(runs_folder)
        assert page.sections() == ["finding", "comparison", "certificates", "definitions"]
        assert "mAUPRC, %" not in page.words()

    def test_one_run(self, runs_folder):
        for recipe in ("none", "class_balanced_batches"):
            shutil.rmtree(runs_folder / recipe)
        shutil.rmtree(runs_folder / "rae" / "seed-1")
        words = page_of(runs_folder).words()
        assert "RAE reaches a mean ACSA of" in words
        assert "over 1 seed " in words
        assert "(best)" not in words

    def test_the_curves_of_a_sampler_stand_beside_those_of_the_classifier(self, runs_folder, numbers_of):
        for seed in (0, 1):
            path = runs_folder / "rae" / f"seed-{seed}" / "history_sampler.csv"
            path.write_text("step,seconds,decoder\n1,0.1,2\n", encoding="utf-8")
        (part,) = numbers_of(write_report(runs_folder).read_text(encoding="utf-8"))
        assert [[panel["title"] for panel in one["panels"]][5:] for one in part["curves"]] == [
            ["Sampler: decoder"],
            [],
            [],
        ]

    def test_empty_tables_and_histories(self, runs_folder):
        for path in runs_folder.glob("*/*/history.csv"):
            path.write_text("step,seconds,critic\n", encoding="utf-8")
        for path in runs_folder.glob("*/*/tsne.csv"):
            path.write_text("x,y,label,kind\n", encoding="utf-8")
        assert not {"maps", "curves"} & set(page_of(runs_folder).sections())

    def test_undefined_recall(self, runs_folder):
        def change(metrics, _):
            for scores in (metrics, *metrics["splits"].values()):
                scores["recall"][9] = scores["confusion"] = None

        edit_all(runs_folder, change)
        assert "rarest" not in key_finding(collect_runs(runs_folder))
        write_report(runs_folder)


class TestFindings:
    def set_acsa(self, folder, **values):
        def change(metrics, path):
            value = values[path.parts[-3]][int(path.parts[-2][-1])]
            metrics["acsa"] = metrics["splits"]["test_balanced"]["acsa"] = value

        edit_all(folder, change)
        return collect_runs(folder)

    def test_lead_over_next_and_over_no_resampling(self, runs_folder):
        runs = self.set_acsa(runs_folder, rae=(0.8, 0.82), class_balanced_batches=(0.79, 0.8), none=(0.5, 0.52))
        text = key_finding(runs)
        assert text.startswith("RAE has the best mean ACSA on the balanced test split: 81.00 ± 1.41% over 2 seeds.")
        assert (
            "It is 1.50 points ahead of Class-balanced batches (95 % interval over 2 shared seeds: -4.85 to 7.85, "
            "p = 0.20, so the order may be chance) and 30.00 points ahead of training without resampling "
            "(30.00 on each of 2 shared seeds)." in text
        )
        assert "RAE finds " in text

    def test_counts_on_both_test_splits(self, runs_folder):
        def change(metrics, path):
            rae = path.parts[-3] == "rae"
            seed = int(path.parts[-2][-1])
            for split, n, found in (("test_balanced", 12, (9 + seed, 6)), ("test_imbalanced", 3, (2, 1 + seed))):
                matrix = (100 * np.eye(10, dtype=int)).tolist()
                matrix[9] = [n - found[not rae], *[0] * 8, found[not rae]]
                matrix[0] = [96, *[0] * 8, 4] if rae else matrix[0]
                metrics["splits"][split]["confusion"] = matrix

        edit_all(runs_folder, change)
        text = key_finding(collect_runs(runs_folder))
        assert (
            "RAE finds 9.5 of the 12 samples of class 9, the rarest with 8 training samples, on the balanced test "
            "split instead of 6 without resampling, at 4.4 more false alarms per 1,000 samples of other classes; on "
            "the imbalanced test split 2 of 3 instead of 1.5, at 4.4 more false alarms per 1,000 (means over 2 seeds)."
        ) in text
        assert "On the imbalanced test split the best mean is that of RAE, " in text

    def test_recall_where_there_are_no_counts(self, runs_folder):
        def change(metrics, _):
            for scores in (metrics, *metrics["splits"].values()):
                del scores["confusion"]

        edit_all(runs_folder, change)
        assert "On the rarest class (9, 8 training samples) its recall is" in key_finding(collect_runs(runs_folder))

    def test_a_lead_that_may_be_chance(self, runs_folder):
        runs = self.set_acsa(runs_folder, rae=(0.8, 0.9), class_balanced_batches=(0.82, 0.86), none=(0.5, 0.52))
        assert "p = 0.80, so the order may be chance)" in key_finding(runs)

    def test_a_lead_that_is_none_by_chance(self, runs_folder):
        runs = self.set_acsa(runs_folder, rae=(0.8, 0.9), class_balanced_batches=(0.7, 0.801), none=(0.5, 0.52))
        text = key_finding(runs)
        assert "(95 % interval over 2 shared seeds: 9.31 to 10.59, p = 0.003) and" in text
        assert "chance" not in text.split(" and ")[0]

    def test_only_seeds_that_both_have_are_compared(self, runs_folder):
        shutil.copytree(runs_folder / "rae" / "seed-1", runs_folder / "rae" / "seed-7")
        values = {"rae": (0.8, 0.82, *[None] * 5, 0.99), "class_balanced_batches": (0.79, 0.8), "none": (0.5, 0.5)}
        text = key_finding(self.set_acsa(runs_folder, **values))
        assert (
            "It is 7.50 points ahead of Class-balanced batches (1.50 over 2 shared seeds, 95 % interval -4.85" in text
        )

    def test_fewer_than_two_shared_seeds(self, runs_folder):
        values = {"rae": (0.8, None), "class_balanced_batches": (0.7, 0.7), "none": (0.6, 0.6)}
        text = key_finding(self.set_acsa(runs_folder, **values))
        assert (
            "It is 10.00 points ahead of Class-balanced batches and 20.00 points ahead of training without resampling. "
            "With a single shared seed, how much of that is chance cannot be said." in text
        )
        values["class_balanced_batches"] = (None, 0.7)
        assert "With no shared seed, how much" in key_finding(self.set_acsa(runs_folder, **values))

    def test_no_resampling_wins(self, runs_folder):
        runs = self.set_acsa(runs_folder, rae=(0.8, 0.8), class_balanced_batches=(0.7, 0.7), none=(0.9, 0.9))
        text = key_finding(runs)
        assert "No resampling has the best" in text
        assert "no method in this comparison improves on leaving the data as it is" in text
        assert "against" not in text

    def test_no_resampling_is_second(self, runs_folder):
        runs = self.set_acsa(runs_folder, rae=(0.8, 0.8), class_balanced_batches=(0.1, 0.1), none=(0.7, 0.7))
        assert "It is 10.00 points ahead of No resampling (10.00 on each of 2 shared seeds). " in key_finding(runs)

    def test_no_scores_at_all(self, runs_folder):
        none = (None, None)
        runs = self.set_acsa(runs_folder, rae=none, class_balanced_batches=none, none=none)
        assert key_finding(runs) == "No run has an ACSA on the balanced test split."
        write_report(runs_folder)

    def test_tiles(self, finished_runs):
        labels = [label for _, label in key_tiles(collect_runs(finished_runs))]
        assert labels[0] == "best mean ACSA: RAE"
        assert key_tiles(collect_runs(finished_runs))[-1] == ("20 : 1", "imbalance ratio of the training data")

    def test_cautions(self, runs_folder):
        assert cautions(read_folder(runs_folder)) == []
        edit_all(runs_folder, lambda m, _: m["certificate"].update(data_hash="x", commit="d", device="cuda"), "rae/*0")
        edit_all(runs_folder, lambda m, _: m.update(split="validation"), "none/*1")
        (runs_folder / "rae" / "seed-1" / "metrics.json").unlink()
        text = " ".join(cautions(read_folder(runs_folder)))
        for part in (
            "Left out: rae/seed-1 (did not finish).",
            "not all run with the same seeds",
            "not all scored on the same split",
            "With seed 0 the recipes did not all see the same data",
            "different hardware",
            "more than one commit",
        ):
            assert part in text
        assert "With seed 1" not in text
