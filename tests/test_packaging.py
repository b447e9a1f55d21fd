"""What pyproject.toml promises: bounds that CI runs, dependencies that are used, an sdist that can test itself."""

import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import latentover

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
SITE = {
    "sphinx",
    "numpydoc",
    "pydata-sphinx-theme",
    "sphinx-gallery",
    "myst-parser",
    "sphinx-design",
    "sphinx-copybutton",
}
RUN_BY_NAME = {"pytest-xdist", "ruff", "mypy", "pre-commit", "latentover", *SITE}
"""Tools that no module imports."""


def requirements(*groups):
    """Return the lowest version of each requirement by its name."""
    lines = [line for group in groups for line in group]
    return {re.split(r"[\[>]", line)[0]: line.partition(">=")[2] for line in lines}


def imports(*folders):
    text = "\n".join(path.read_text(encoding="utf-8") for name in folders for path in (ROOT / name).rglob("*.py"))
    return set(re.findall(r"^\s*(?:import|from) (\w+)|(?:find_spec|importorskip|files)\(\"(\w+)", text, re.MULTILINE))


def test_ci_runs_the_lowest_versions():
    wanted = requirements(PROJECT["project"]["dependencies"], EXTRAS["test"])
    lines = (ROOT / ".ci" / "lower-bounds.txt").read_text(encoding="utf-8").splitlines()
    assert lines == [f"{name}=={lowest}.*" for name, lowest in sorted(wanted.items(), key=lambda item: item[0].lower())]


def test_a_package_has_one_lowest_version():
    everything = [PROJECT["project"]["dependencies"], *EXTRAS.values()]
    wanted = requirements(*everything)
    assert [
        line
        for group in everything
        for line in group
        if ">=" in line and not line.endswith(wanted[re.split(r"[\[>]", line)[0]])
    ] == []


@pytest.mark.parametrize(
    "requirement", sorted(requirements(*(EXTRAS[name] for name in EXTRAS.keys() - {"docs", "test", "dev"})))
)
def test_what_an_extra_brings_can_be_imported(requirement):
    pytest.importorskip({"universal-pathlib": "upath"}.get(requirement, requirement.replace("-", "_")))


@pytest.mark.parametrize(
    ("requirement", "folders"),
    [
        *((name, ("latentover",)) for name in requirements(PROJECT["project"]["dependencies"])),
        *((name, ("latentover", "tests", "benchmarks")) for name in requirements(*EXTRAS.values())),
    ],
)
def test_dependencies_are_used(requirement, folders):
    if requirement in RUN_BY_NAME or requirement.endswith("-stubs") or requirement.startswith("types-"):
        return
    plain = requirement.lower().replace("-", "_")
    names = {plain} | {
        module
        for module, distributions in packages_distributions().items()
        if plain in {name.lower().replace("-", "_") for name in distributions}
    }
    assert names & {module for pair in imports(*folders) for module in pair}


def test_the_sdist_has_what_its_tests_read():
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    read = set(re.findall(r"\bROOT / \"([^\"]+)\"", text)) - {"data", "pyproject.toml"}  # the latter is always there
    assert {"CONTRIBUTING.md", ".ci"} <= read
    assert read <= set(PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])


def test_type_checkers_read_the_annotations():
    assert (Path(latentover.__file__).parent / "py.typed").is_file()
