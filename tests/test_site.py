"""The site holds everything: each public name, each example, each method in the same order, code that fits a page."""

import importlib
import inspect
import pkgutil
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import latentover

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
BUILT = DOCS.parent.joinpath("site")
EXAMPLES = sorted((DOCS / "gallery").glob("plot_*.py"))
PAGES_OUTSIDE = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md"]
METHODS = [p for p in sorted((DOCS / "methods").glob("*.md")) if p.stem not in ("index", "controls", "theory")]
INSIDE = {
    "latentover.methods",  # all of it is at the front door
    "latentover.runs",  # its two public modules are rooms
    "latentover.cli",
    "latentover.experiments",  # behind the commands
}
SECTIONS = [
    "What it is",
    "Equations",
    "In a picture",
    "Paper and code",
    "Cost",
    "When to use it, and when not",
    "Results",
    "Example",
]


@pytest.fixture
def rooms(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "_ext")
    return importlib.import_module("rooms")


def packages():
    found = [latentover.__name__, "latentover.callbacks"]
    found += [f"latentover.{module.name}" for module in pkgutil.iter_modules(latentover.__path__) if module.ispkg]
    return sorted(set(found) - INSIDE)


def public_things():
    """Every class and function that a package exports, with the methods that it defines itself."""
    for room in packages():
        for name in importlib.import_module(room).__all__:
            value = getattr(importlib.import_module(room), name)
            if inspect.isfunction(value) or inspect.isclass(value):
                yield f"{room}.{name}", value
            for key, part in vars(value).items() if inspect.isclass(value) else ():
                if not key.startswith("_") and (inspect.isfunction(part) or isinstance(part, property | classmethod)):
                    yield f"{room}.{name}.{key}", getattr(value, key)


def test_every_public_name_has_its_place_in_the_reference(rooms):
    pages = rooms.pages()
    assert set(packages()) <= set(rooms.ROOMS)
    index = (DOCS / "api" / "index.md").read_text(encoding="utf-8")
    for room in rooms.ROOMS:
        assert f"rooms/{room}\n" in index
        assert f"<rooms/{room}>`" in rooms.overview()
        words = set(re.findall(r"[\w.]+", pages[f"{room}.rst"]))
        for name in importlib.import_module(room).__all__:
            elsewhere = any(f"{other}.{name}" in words for other in rooms.ROOMS)
            assert name in words or elsewhere or f"{room}.{name}" in rooms.ROOMS, name


def test_a_name_without_text_is_an_error(rooms, monkeypatch):
    monkeypatch.setattr(latentover.losses, "BARE", 3, raising=False)
    with pytest.raises(ValueError, match=r"latentover\.losses\.BARE has no text below it"):
        rooms.documented_value("latentover.losses", "BARE")


def test_every_public_name_has_a_docstring():
    things = dict(public_things())
    assert len(things) > 300
    assert [name for name, value in things.items() if not (inspect.getdoc(value) or "").strip()] == []


@pytest.mark.parametrize("page", METHODS, ids=lambda page: page.stem)
def test_methods_have_one_order(page):
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert found[: len(SECTIONS)] == SECTIONS
    assert found[len(SECTIONS) :] in ([], ["More"])
    bodies = re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]
    assert all(body.strip() for body in bodies)
    assert "![" in bodies[SECTIONS.index("In a picture")]
    assert "```python" in bodies[SECTIONS.index("Example")]
    assert "```math" in bodies[SECTIONS.index("Equations")]


def test_code_on_pages_is_80_columns_wide():
    wide = [
        f"{page.relative_to(ROOT)}: {line}"
        for page in [*DOCS.glob("[!a]*/**/*.md"), DOCS / "index.md", *PAGES_OUTSIDE]
        for code in re.findall(r"^```(?:python|bash|yaml)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
        for line in code.splitlines()
        if len(line) > 80
    ]
    assert wide == []


@pytest.mark.parametrize("page", sorted((DOCS / "results").glob("*.md")), ids=lambda page: page.stem)
def test_results_begin_with_a_picture_and_a_sentence(page):
    """A heading, a picture that is there, a paragraph; certificates are folded away."""
    text = page.read_text(encoding="utf-8")
    heading, picture, sentence = text.split("\n\n")[:3]
    assert heading.startswith("# ")
    assert (page.parent / re.fullmatch(r"!\[[^]]+\]\(([^)]+)\)", picture)[1]).is_file()
    assert re.match(r"[*\w]", sentence)
    assert "." in sentence
    open_text = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
    assert not re.search(r"\b[0-9a-f]{40,}\b", open_text)


def test_pictures_are_of_a_size_that_a_phone_shows():
    """Drawn for 6.4 inches, at 350 pixels their writing is read; wider ones shrink it."""
    style = runpy.run_path(str(DOCS / "style.py"))["STYLE"]
    widths = {
        example.stem: [float(w) for w in re.findall(r"figsize=\(([\d.]+),", example.read_text(encoding="utf-8"))]
        for example in EXAMPLES
    }
    assert style["figure.figsize"][0] <= 6.4
    assert {name: width for name, width in widths.items() if max(width, default=0) > 6.4} == {}


def test_the_gallery_is_large_and_every_example_shows_something():
    assert len(EXAMPLES) >= 18
    for example in EXAMPLES:
        text = example.read_text(encoding="utf-8")
        title, rule = text.splitlines()[1:3]
        assert set(rule) == {"="}
        assert len(rule) == len(title)
        assert "# %%" in text
        assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("example", ["leakage", "calibration", "theory", "resamplers_in_the_plane", "minority_grid"])
def test_quick_examples_run(example, tmp_path, monkeypatch):
    """The build of the site runs all of them; these few are quick enough to be run everywhere."""
    monkeypatch.chdir(tmp_path)
    plt.close("all")
    runpy.run_path(str(DOCS / "gallery" / f"plot_{example}.py"), run_name="__main__")
    assert plt.get_fignums()
    plt.close("all")
    assert list(tmp_path.iterdir()) == []  # nothing is left where it runs


def test_pictures_that_pages_show_are_drawn_by_a_script():
    drawn = (DOCS / "draw.py").read_text(encoding="utf-8")
    displays = (DOCS / "display_figures.py").read_text(encoding="utf-8")
    drawn += "".join(f'"display_{name}"' for name in re.findall(r"def draw_(\w+)", displays))
    for path in (DOCS / "images").glob("*.png"):
        assert f'"{path.stem}"' in drawn or path.stem in ("report", "table_quality"), path


@pytest.mark.skipif(not (BUILT / "objects.inv").is_file(), reason="needs the built site: make docs")
def test_the_built_site_has_every_name_and_every_example(rooms):
    inventory = pytest.importorskip("sphinx.util.inventory").InventoryFile
    with (BUILT / "objects.inv").open("rb") as file:
        entries = inventory.loads(file.read(), uri="").data
    names = {name for kind, found in entries.items() if kind.startswith("py:") for name in found}
    for room, elsewhere in rooms.homes().items():
        for name in rooms.public_names(room):
            if name not in elsewhere and not inspect.ismodule(getattr(importlib.import_module(room), name)):
                assert f"{room}.{name}" in names
    for example in EXAMPLES:
        assert (BUILT / "auto_gallery" / f"{example.stem}.html").is_file()
    assert (BUILT / "searchindex.js").is_file()
    bare = [page.name for page in BUILT.glob("*/*.html") if "$<code" in page.read_text(encoding="utf-8")]
    assert bare == []  # equations within sentences are drawn


CUT_OFF = """
const scrolls = element => ['auto', 'scroll'].includes(getComputedStyle(element).overflowX);
const within = element => element && !element.matches('.bd-article')
    && (scrolls(element) || within(element.parentElement));
const found = [...document.querySelectorAll('.bd-article *')].filter(
    element => element.getBoundingClientRect().right > innerWidth + 1 && !within(element));
if (document.documentElement.scrollWidth > innerWidth) found.push(document.documentElement);
return found.slice(0, 3).map(element => `${element.tagName} ${element.textContent.slice(0, 40)}`);
"""
"""What is beyond the right edge, and in nothing that scrolls by itself."""


@pytest.fixture(scope="module")
def phone(tmp_path_factory):
    """A browser 390 pixels wide."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("chromium and chromedriver are not both on the path")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for switch in ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path_factory.mktemp('b')}"):
        options.add_argument(switch)
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    metrics = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    opened.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    yield opened
    opened.quit()


@pytest.mark.slow
@pytest.mark.skipif(not (BUILT / "objects.inv").is_file(), reason="needs the built site: make docs")
def test_no_built_page_is_scrolled_sideways_or_cut_on_a_phone(phone):
    """Of what is generated from docstrings a part; tables and code scroll within themselves."""
    pages = [page for page in BUILT.rglob("*.html") if not {"_modules", "generated", "_static"} & set(page.parts)]
    pages += sorted((BUILT / "api" / "rooms" / "generated").glob("*.html"))[::20]
    assert len(pages) > 80
    wide = []
    for page in pages:
        phone.get(page.as_uri())
        wide += [f"{page.relative_to(BUILT)}: {what}" for what in phone.execute_script(CUT_OFF)]
    assert wide == []


BROKEN = """
const lines = element => {
    const range = document.createRange();
    range.selectNodeContents(element);
    return new Set([...range.getClientRects()].map(box => box.top)).size;
};
const names = [...document.querySelectorAll('dl.field-list dt > strong')];
return names.filter(name => !name.innerText.includes(' ') && lines(name) > 1).map(name => name.innerText);
"""
"""Names of parameters on more than one line."""


@pytest.mark.slow
@pytest.mark.skipif(not (BUILT / "objects.inv").is_file(), reason="needs the built site: make docs")
@pytest.mark.parametrize("name", ["RAESampler", "DeepClassifier", "DGCClassifier"])
def test_no_built_page_breaks_the_name_of_a_parameter_on_a_phone(phone, name):
    phone.get((BUILT / "api" / "rooms" / "generated" / f"latentover.{name}.html").as_uri())
    assert phone.execute_script("return document.querySelectorAll('dl.field-list dt > strong').length") > 5
    assert phone.execute_script(BROKEN) == []


def test_the_reference_is_written_without_the_package_of_the_site():
    """The page writer needs no Sphinx, so that the tests above run everywhere."""
    begin = "import sys; sys.path.insert(0, 'docs/_ext'); from rooms import pages; "
    code = begin + "pages(); assert 'sphinx' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
