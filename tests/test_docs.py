"""The documentation is true: its code runs, its recipes load, its links lead somewhere, its commands exist."""

import re
from pathlib import Path

import pytest
import sklearn
from matplotlib.mathtext import MathTextParser
from typed_commands import check_parses

from latentover import cli
from latentover.cli.completion import _subparsers
from latentover.experiments.recipe import load_recipes

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("docs/**/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
BLOCK = re.compile(r"(<!-- fragment -->\s*)?^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAMES = {"index": "GALLERY_HEADER.rst"}
INLINE = re.compile(r"\$`([^`\n]+)`\$")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def source_of(target):
    """Return what the page of an example is built from; the gallery's own pages are there after a build alone."""
    return re.sub(r"auto_gallery/(\w+)\.rst$", lambda m: f"gallery/{NAMES.get(m[1], m[1] + '.py')}", target)


def blocks(page, language):
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [code for fragment, name, code in found if name == language and not fragment]


def name(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name)
def test_python_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__docs__"}
    for code in blocks(page, "python"):
        exec(compile(code, name(page), "exec"), namespace)


def test_weights_are_dropped_and_arrive_where_the_page_says(capsys):
    """Every printed line of this page stands behind its `print`."""
    code = "\n".join(blocks(ROOT / "docs" / "guide" / "sample_weights.md", "python"))
    promised = re.findall(r"^ *print\([^#]*# (.*)$", code, re.MULTILINE)
    exec(compile(code, "sample_weights", "exec"), {"__name__": "__docs__"})
    assert len(promised) == code.count("print(") == 8
    assert capsys.readouterr().out.splitlines() == promised
    assert not sklearn.get_config()["enable_metadata_routing"]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "yaml")], ids=name)
def test_recipes_load(page, tmp_path):
    for number, text in enumerate(blocks(page, "yaml")):
        recipe = tmp_path / f"{number}.yaml"
        recipe.write_text(text, encoding="utf-8")
        load_recipes(recipe)


def equations(page):
    """Return the lines of the blocks, and what stands within sentences as code hosts write it."""
    lines = [line.strip() for tex in blocks(page, "math") for line in tex.splitlines() if line.strip()]
    return lines + INLINE.findall(BLOCK.sub("", page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", [page for page in PAGES if equations(page)], ids=name)
def test_equations_can_be_drawn(page):
    """The site draws them by matplotlib, which knows a part of TeX."""
    for line in equations(page):
        MathTextParser("path").parse(f"${line}$")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    missing = [
        target
        for target in LINK.findall(text)
        if not target.startswith(("http://", "https://", "mailto:")) and not (page.parent / source_of(target)).exists()
    ]
    assert not missing


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "bash")], ids=name)
def test_commands_exist(page):
    for block in blocks(page, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            for command in filter(re.compile(r"(\w+=\S+ )*latentover ").match, line.split(" && ")):
                check_parses(command)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_in_sentences_exist(page):
    for command in re.findall(r"`latentover ([a-z][^`]*)`", BLOCK.sub("", page.read_text(encoding="utf-8"))):
        words = command.split()
        known = cli.make_parser()
        while (commands := _subparsers(known)) is not None and words:
            assert words[0] in commands.choices, command
            known = commands.choices[words.pop(0)]
        for word in words:
            option = word.partition("=")[0].rstrip(",.]")
            assert not option.startswith("--") or option in known._option_string_actions or "." in option, command


def test_the_two_commands_stand_in_the_readme():
    commands = blocks(ROOT / "README.md", "bash")
    assert "pip install . && latentover benchmark configs/digits\n" in commands
    assert 'pip install ".[test]" && pytest\n' in commands
