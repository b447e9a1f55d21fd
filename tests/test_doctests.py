"""Every example in a docstring of the package runs and gives what it says."""

import doctest
import importlib
import pkgutil

import pytest

import latentover


def modules():
    found = pkgutil.walk_packages(latentover.__path__, prefix="latentover.")
    return ["latentover", *(module.name for module in found if not module.name.endswith("__main__"))]


@pytest.mark.parametrize("name", modules())
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # an example that writes a file writes it there
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=flags)
    assert failed == 0


def test_the_crawl_finds_modules_and_examples():
    found = modules()
    assert {"latentover.methods.rae", "latentover.mixing.convex"} <= set(found)
    tests = doctest.DocTestFinder().find(importlib.import_module("latentover.methods.rae"))
    assert any(test.examples for test in tests)
