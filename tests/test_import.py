"""The package's face: a light import, documented classes, and two faces of one method that agree."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import latentover

HEAVY = ("torch", "torchvision", "kornia", "matplotlib", "sklearn", "imblearn", "pandas", "scipy", "numpy")


def public_classes():
    values = (getattr(latentover, name) for name in latentover.__all__)
    return sorted((value for value in values if inspect.isclass(value)), key=lambda cls: cls.__name__)


def public_estimators():
    return [cls for cls in public_classes() if hasattr(cls, "get_params")]


def run(code):
    environment = {**os.environ, "PYTHONPATH": str(Path(latentover.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def documented(cls):
    """Return the names in the Parameters section of a class's docstring."""
    section = re.split(r"\n(?=[^\n]+\n-{3,}\n)", inspect.getdoc(cls))
    (parameters,) = [part for part in section if part.startswith("Parameters\n")]
    heads = [line.split(" : ")[0] for line in parameters.splitlines()[2:] if line and not line.startswith(" ")]
    return {name.strip() for head in heads for name in head.split(",") if name.strip()}


def defaults(cls):
    return {name: parameter.default for name, parameter in inspect.signature(cls).parameters.items()}


class TestImport:
    def test_of_the_package_alone_loads_nothing_heavy_and_says_nothing(self):
        code = f"import sys, latentover; print(*[name for name in {HEAVY} if name in sys.modules])"
        assert run(code) == []

    def test_of_estimators_displays_and_the_report_does_without_pictures_and_data_sets(self):
        names = "latentover.RAESampler, latentover.RecallByClassDisplay, latentover.report"
        code = f"import sys, latentover; {names}; print(*{{'torchvision', 'kornia', 'matplotlib'}} & set(sys.modules))"
        assert run(code) == []

    def test_names_are_listed_and_load(self):
        assert set(latentover.__all__) <= set(dir(latentover))
        for name in latentover.__all__:
            assert getattr(latentover, name) is not None

    def test_version(self):
        assert re.fullmatch(r"\d+\.\d+\.\d+\S*", latentover.__version__)

    def test_an_unknown_name(self):
        with pytest.raises(AttributeError, match="NoSuchMethod"):
            latentover.NoSuchMethod  # noqa: B018


class TestConstructors:
    @pytest.mark.parametrize("cls", public_classes(), ids=lambda cls: cls.__name__)
    def test_every_parameter_is_documented(self, cls):
        names = documented(cls)
        if "..." in names:  # the rest is documented where the text points to
            text = inspect.getdoc(cls)
            names |= {
                name for other in public_classes() if f"See `{other.__name__}`" in text for name in documented(other)
            }
        assert set(inspect.signature(cls).parameters) <= names

    @pytest.mark.parametrize("cls", public_classes(), ids=lambda cls: cls.__name__)
    def test_nothing_is_documented_that_does_not_exist(self, cls):
        assert documented(cls) - {"..."} <= set(inspect.signature(cls).parameters)

    @pytest.mark.parametrize("cls", public_estimators(), ids=lambda cls: cls.__name__)
    def test_parameters_are_keywords_with_defaults(self, cls):
        for parameter in inspect.signature(cls).parameters.values():
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
            assert parameter.default is not inspect.Parameter.empty

    def test_documented_defaults_are_the_real_ones(self):
        stated = 0
        for cls in public_classes():
            for names, default in re.findall(r"^(\w[\w, ]*) : .*default=(\S+)$", inspect.getdoc(cls), re.MULTILINE):
                for name in names.split(", "):
                    assert repr(defaults(cls)[name]).replace("'", '"') in (
                        default,
                        repr(eval(default)).replace("'", '"'),
                    )
                    stated += 1
        assert stated > 20

    def test_the_two_faces_of_the_autoencoder_agree(self):
        sampler, classifier = defaults(latentover.RAESampler), defaults(latentover.RAEClassifier)
        assert sampler.pop("sampling_strategy") == "auto"
        assert sampler.pop("keep_index") == "reset"
        assert sampler == classifier
        assert list(sampler) == list(classifier)
