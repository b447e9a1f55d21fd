"""What a parameter may be is read from the annotation of its field, and from nowhere else."""

import inspect
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction as Ratio
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from plain_sampler import NormalSampler, PlainSampler
from sklearn.base import BaseEstimator, clone
from torch import nn
from typing_extensions import TypeAliasType

import latentover
from latentover import BAGANSampler, DeepClassifier, GAMOSampler, LatentOversampler, MultiClassCCR, RAEClassifier
from latentover.estimators import (
    BaseDataEstimator,
    BaseSampler,
    BatchSize,
    Expected,
    Fraction,
    Interval,
    Network,
    NonNegative,
    NonNegativeInt,
    Positive,
    PositiveInt,
    ProperFraction,
)
from latentover.estimators.parameters import parameter_kinds, read_kind
from latentover.estimators.validation import check_parameters
from latentover.experiments.recipe import load_sampler
from latentover.methods import amdo, classical, deep_classifier
from latentover.training.step_decay import StepDecay

ESTIMATORS = [
    getattr(latentover, name)
    for name in sorted(latentover.__all__)
    if inspect.isclass(getattr(latentover, name)) and issubclass(getattr(latentover, name), BaseDataEstimator)
]
EACH = pytest.mark.parametrize("cls", ESTIMATORS, ids=lambda cls: cls.__name__)
CHECKED_BY_THEIR_USE = {
    "autoencoder",  # LatentOversampler's `_check_settings`, for the four
    "encoder",
    "decoder",
    "sampler",
    "categorical_features",  # learn_format
    "identifiers",
    "clip",
    "options",  # ClassicalSampler's `_check_settings`, for it depends on the method
    "random_state",  # scikit-learn
    "sampling_strategy",  # imbalanced-learn
}
"""Parameters of which the annotation says nothing, and who looks at them."""


def leaves(annotation, marks=()):
    """Yield the types that an annotation is made of, each with all marks around it."""
    if get_origin(annotation) is Annotated:
        inner, *own = get_args(annotation)
        yield from leaves(inner, (*marks, *own))
    elif get_origin(annotation) is Literal or not get_args(annotation):
        yield annotation, marks
    else:
        for argument in get_args(annotation):
            yield from leaves(argument, marks)


def parameters(cls):
    annotations = get_type_hints(cls, include_extras=True)
    return {name: annotations[name] for name in inspect.signature(cls).parameters}


class TestInterval:
    @pytest.mark.parametrize(
        ("interval", "words", "inside", "outside"),
        [
            (Interval(1), "at least 1", [1, 1.5, 10**400], [0, 0.999, math.inf, math.nan]),
            (Interval(0, closed="neither"), "above 0", [1e-300, 5], [0, -1, math.inf]),
            (Interval(high=3), "at most 3", [3, -1e300], [3.1, -math.inf]),
            (Interval(high=3, closed="left"), "below 3", [2.9], [3]),
            (Interval(0, 1), "at least 0 and at most 1", [0, 0.5, 1], [-0.1, 1.1]),
            (Interval(0, 1, closed="left"), "at least 0 and below 1", [0, 0.5], [1]),
            (Interval(0, 1, closed="right"), "above 0 and at most 1", [0.5, 1], [0]),
            (Interval(-1.5, 2, closed="neither"), "above -1.5 and below 2", [-1.4, 0], [-1.5, 2]),
            (Interval(), "", [-5, 0, 5], [math.inf, -math.inf, math.nan]),
        ],
        ids=str,
    )
    def test_bounds(self, interval, words, inside, outside):
        assert interval.words == words
        assert [value in interval for value in inside] == [True] * len(inside)
        assert [value in interval for value in outside] == [False] * len(outside)

    def test_of_one_number(self):
        assert 2 in Interval(2, 2)
        with pytest.raises(ValueError, match="Expected an interval with numbers in it, but got "):
            Interval(2, 2, closed="left")

    def test_refuses_bounds_the_wrong_way_round(self):
        with pytest.raises(ValueError, match=r"Expected an interval .* but got Interval\(low=1, high=0.*lower bound"):
            Interval(1, 0)

    def test_refuses_other_words_for_closed(self):
        with pytest.raises(ValueError, match=r"Expected closed to be one of .*, but got 'low'"):
            Interval(0, 1, closed="low")


SIZE = TypeAliasType("SIZE", PositiveInt | None)


class Shape(Protocol):
    def area(self): ...


class TestKinds:
    @pytest.mark.parametrize(
        ("annotation", "words", "good", "bad"),
        [
            (int, "a whole number", [-3, 0, 10**400, np.int8(4)], [True, np.True_, 1.0, "1", None, math.inf]),
            (float, "a number", [-3, 0.5, np.float32(2), Ratio(1, 3)], [False, "1", None, math.nan, -math.inf, 1j]),
            (PositiveInt, "a whole number at least 1", [1, np.int64(7)], [0, -1, 1.0, True, None]),
            (NonNegativeInt, "a whole number at least 0", [0, 1], [-1, 0.0, None]),
            (BatchSize, "a whole number at least 2", [2], [1]),
            (Positive, "a number above 0", [1e-9, 1, np.float64(3)], [0, -1, "1", None, math.nan]),
            (NonNegative, "a number at least 0", [0, 2.5], [-1e-9, None]),
            (Fraction, "a number at least 0 and at most 1", [0, 1, 0.5], [1.01, -0.01]),
            (ProperFraction, "a number at least 0 and below 1", [0, 0.99], [1, -0.01]),
            (PositiveInt | None, "a whole number at least 1", [None, 3], [0, True]),
            (Annotated[int | None, Interval(2, 4)], "a whole number at least 2 and at most 4", [None, 2, 4], [1, 5]),
            (Annotated[float, "seconds", Interval(0)], "a number at least 0", [0], [-1]),
            (bool, "one of (True, False)", [True, False, np.True_], [None, "yes", 2]),
            (bool | None, "one of (None, True, False)", [None, True], ["yes", 2]),
            (Literal["a", "b"], "one of ('a', 'b')", ["a", np.str_("b")], ["c", None, 0, ["a"], np.array(["a", "a"])]),
            (Literal["a", None, 3], "one of ('a', None, 3)", ["a", None, 3], ["b", 4]),
            (Literal["a"] | None, "one of (None, 'a')", ["a", None], ["b"]),
            (Literal["a"], "'a'", ["a"], ["b", None]),
            (Literal["a"] | Literal["b"], "one of ('a', 'b')", ["a", "b"], ["c"]),
            (Literal["auto"] | PositiveInt, "'auto' or a whole number at least 1", ["auto", 1], ["a", 0, None]),
            (str, "text", ["", "a"], [1, None, b"a"]),
            (dict, "a dict", [{}], [[], None]),
            (StepDecay, "a StepDecay", [StepDecay()], [StepDecay, "constant", None]),
            (Literal["a", "b"] | StepDecay, "one of ('a', 'b') or a StepDecay", ["a", StepDecay()], ["c", None]),
            (Network | Literal["a", "b"], "one of ('a', 'b') or an nn.Module", ["b", nn.ReLU()], ["c", nn.ReLU, None]),
            (Callable[[int], int], "a Callable", [abs], [3]),
            (list[PositiveInt], "a list, each item a whole number at least 1", [[], [1], (2, 3)], [[0], [1, "2"], 1]),
            (Sequence[Literal["a"]], "a list, each item 'a'", [["a", "a"]], [["b"], "a"]),
            (tuple[Fraction, ...], "a list, each item a number at least 0 and at most 1", [(0, 1, 1)], [(0, 2)]),
            (tuple[int, str], "(a whole number, text)", [(1, "a"), [1, "a"]], [(1,), ("a", 1), (1, "a", 2), None]),
            (list, "a list", [[], ["a"]], [(), "a"]),
            (None, "None", [None], [0, ""]),
            (Any, "anything", [None, 3, "a", np.ones(2)], []),
            (Annotated[str | Network, Expected("a name")], "a name", ["a", nn.ReLU()], [1]),
            (Annotated[Positive, Expected("some")], "some", [1], [0]),
            (Annotated[int, Expected("an even number", lambda n: n % 2 == 0)], "an even number", [2], [3, "2", None]),
            (Annotated[Any, Expected("even", lambda n: n % 2 == 0)] | None, "even", [2, None], [3]),
            (TypeAliasType("Size", Annotated[int, Interval(3)]), "a whole number at least 3", [3], [2]),
            (SIZE | Literal["a"], "one of (None, 'a') or a whole number at least 1", [None, "a", 1], [0, "b"]),
        ],
        ids=lambda value: re.sub(r" at 0x\w+", "", str(value)),
    )  # fmt: skip
    def test_words_and_values(self, annotation, words, good, bad):
        kind = read_kind(annotation)
        assert kind.words == words
        assert [kind.allows(value) for value in good] == [True] * len(good)
        assert [kind.allows(value) for value in bad] == [False] * len(bad)


@dataclass(kw_only=True, eq=False, repr=False)
class Sized(PlainSampler):
    """A method of its own kind: nothing but the annotations of its fields says what they may be."""

    pace: Annotated[float, Interval(0, 2, closed="right")] = 1.0
    way: Literal["up", "down"] | None = "up"
    widths: list[PositiveInt] | None = None


class Written(BaseSampler):
    """An estimator whose constructor is written out."""

    def __init__(self, *, pace: Fraction = 0.5, sampling_strategy: Any = "auto", unsaid=3):
        super().__init__(sampling_strategy=sampling_strategy)
        self.pace, self.unsaid = pace, unsaid


class TestANewMethod:
    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("pace", 0, "a number above 0 and at most 2, but got 0"),
            ("pace", None, "a number above 0 and at most 2, but got None"),
            ("way", "left", r"one of \(None, 'up', 'down'\), but got 'left'"),
            ("widths", [4, 0], r"a list, each item a whole number at least 1, but got \[4, 0\]"),
            ("n_parents", 0, "a whole number at least 1, but got 0"),  # of the class that it stands on
            ("keep_index", "drop", r"one of \('reset', 'original'\), but got 'drop'"),
        ],
    )
    def test_is_checked_by_its_annotations(self, name, value, message):
        X, y = np.random.default_rng(0).random((9, 2)), np.repeat([0, 1], [6, 3])
        with pytest.raises(ValueError, match=rf"^Expected {name} to be {message}\.$"):
            Sized(**{name: value}).fit_resample(X, y)

    @pytest.mark.parametrize("values", [{"way": None, "widths": None}, {"pace": 2, "widths": (3, 1)}])
    def test_takes_what_they_allow(self, values):
        check_parameters(Sized(**values))

    def test_all_problems_stand_in_the_order_of_the_constructor(self):
        with pytest.raises(ValueError, match="Expected") as raised:
            check_parameters(Sized(widths=3, pace=-1, verbose=-1, missing="drop", n_parents=0))
        named = re.findall(r"(\w+) to be", str(raised.value))
        assert named == ["missing", "verbose", "n_parents", "pace", "widths"]
        assert named == [name for name in inspect.signature(Sized).parameters if name in named]

    def test_a_subclass_may_narrow_a_parameter(self):
        assert list(inspect.signature(NormalSampler).parameters) == list(inspect.signature(BaseSampler).parameters)
        check_parameters(PlainSampler(base_selection="even"))
        with pytest.raises(ValueError, match="base_selection to be 'random', for new samples are not made from chosen"):
            check_parameters(NormalSampler(base_selection="even"))

    def test_with_a_constructor_that_is_written_out(self):
        check_parameters(Written())
        check_parameters(Written(unsaid="anything"))
        with pytest.raises(ValueError, match="Expected pace to be a number at least 0 and at most 1, but got 2"):
            check_parameters(Written(pace=2))


class TestAnAnnotationThatCannotBeRead:
    @pytest.mark.parametrize(
        ("annotation", "got"),
        [
            (Interval(0, 1), "Interval(low=0, high=1, closed='both')"),
            (Annotated[str, Interval(0)], "typing.Annotated[str, Interval(low=0"),
            (Annotated[list[int], Interval(0)], "typing.Annotated[list[int], Interval(low=0"),
            (Annotated[Positive, Interval(1)], "typing.Annotated[float, Interval(low=0"),
            (dict[str, PositiveInt], "dict[str, typing.Annotated[int"),
            (list[Annotated[str, Interval(0)]], "typing.Annotated[str, Interval(low=0"),
            (TypeVar("T"), "~T"),
            (Shape, "Shape"),
        ],
        ids=str,
    )
    def test_is_an_error_that_names_it(self, annotation, got):
        cls = dataclass(kw_only=True, eq=False, repr=False)(
            type("Odd", (BaseSampler,), {"__annotations__": {"pace": annotation}, "pace": 1})
        )
        with pytest.raises(TypeError, match=rf"^Expected the annotation of Odd\.pace to be .*{re.escape(got)}"):
            check_parameters(cls())

    def test_nor_one_that_names_nothing(self):
        cls = dataclass(kw_only=True, eq=False, repr=False)(
            type("Odd", (BaseSampler,), {"__annotations__": {"pace": "Unheard"}, "pace": 1})
        )
        with pytest.raises(TypeError, match=r"Expected the annotations of Odd to name types, .*'Unheard'.*; import or"):
            check_parameters(cls())


class TestEveryEstimator:
    @EACH
    def test_every_number_has_a_range_and_every_name_is_one_of_a_few(self, cls):
        unsaid = {
            name
            for name, annotation in parameters(cls).items()
            for leaf, marks in leaves(annotation)
            if (leaf in (int, float) and not any(isinstance(mark, Interval) for mark in marks))
            or (leaf is str and not any(isinstance(mark, Expected) for mark in marks))
            or (leaf is Any and not any(isinstance(mark, Expected) and mark.test for mark in marks))
        }
        assert unsaid <= CHECKED_BY_THEIR_USE

    @EACH
    def test_no_table_stands_beside_the_annotations(self, cls):
        assert not [name for name in ("_choices", "_numbers", "_has_bases") if hasattr(cls, name)]

    @EACH
    def test_the_defaults_are_allowed(self, cls):
        check_parameters(cls())

    @EACH
    def test_nothing_else_is_taken(self, cls):
        for name, annotation in parameters(cls).items():
            if annotation is not Any:
                with pytest.raises(ValueError, match=rf"^Expected {name} to be .*, but got <object object at \w+>\.$"):
                    check_parameters(clone(cls()).set_params(**{name: object()}))

    @EACH
    def test_numbers_beyond_their_bounds_are_refused(self, cls):
        for name, annotation in parameters(cls).items():
            for leaf, marks in leaves(annotation):
                step = 1 if leaf is int else 1e-6
                for interval in (mark for mark in marks if isinstance(mark, Interval)):
                    lowest = interval.low - step if interval.closed in ("both", "left") else interval.low
                    highest = interval.high + step if interval.closed in ("both", "right") else interval.high
                    for wrong in (lowest, highest):
                        with pytest.raises(ValueError, match=rf"^Expected {name} to be .*, but got "):
                            check_parameters(clone(cls()).set_params(**{name: wrong}))

    @pytest.mark.parametrize(
        "cls",
        {base: None for cls in ESTIMATORS for base in cls.__mro__ if issubclass(base, BaseDataEstimator)},
        ids=lambda cls: cls.__name__,
    )
    def test_choices_are_those_of_the_documentation(self, cls):
        text = inspect.getdoc(cls)
        for names, others, choices in re.findall(r"^(\w[\w, ]*) : (.*?)(\{[^{}]*\})", text, re.MULTILINE):
            if "..." in choices or not choices.startswith(('{"', "{None")):
                continue
            for name in names.split(", "):
                allowed = [value for leaf, _ in leaves(parameters(cls)[name]) for value in choices_of(leaf)]
                if allowed:
                    flags = {True, False} if others == "bool or " else set()
                    assert set(eval(choices)) | flags == set(allowed), name

    def test_there_are_as_many_functions_as_choices(self):
        for cls, name, known in (
            (latentover.AMDO, "synthesis", amdo.SYNTHESES),
            (latentover.ClassicalSampler, "method", classical.SAMPLERS),
            (DeepClassifier, "batches", deep_classifier.SAMPLING_POWERS),
        ):
            assert set(get_args(parameters(cls)[name])) == set(known)

    def test_the_crawl_finds_them(self):
        assert {RAEClassifier, DeepClassifier, MultiClassCCR, LatentOversampler} <= set(ESTIMATORS)
        others = {
            value
            for value in (getattr(latentover, name) for name in latentover.__all__)
            if inspect.isclass(value) and issubclass(value, BaseEstimator) and value not in ESTIMATORS
        }
        names = {"PriorAdjustedClassifier", "PriorCorrectedClassifier", "TunedDecisionClassifier"}
        assert {cls.__name__ for cls in others} == names  # whose tests have their parameters
        for cls in others:
            assert parameter_kinds(cls)["estimator"].words == "anything"  # which is checked by its use


def choices_of(leaf):
    if get_origin(leaf) is Literal:
        return get_args(leaf)
    return {bool: (True, False), type(None): (None,)}.get(leaf, ())


class TestParametersOfOneKind:
    """What one method took because the name means something else in another."""

    @pytest.mark.parametrize(
        ("estimator", "message"),
        [
            (RAEClassifier(schedule=StepDecay()), "schedule to be one of .*'one_cycle'\\), but got StepDecay"),
            (RAEClassifier(alpha=[]), r"alpha to be a list of n_components = 2 concentrations, but got \[\]"),
            (RAEClassifier(image_shape=(True, 8, 8)), r"image_shape to be \(channels, height, width\) or None"),
            (RAEClassifier(mixer_betas=(0.5, 0.9, 0.9)), r"mixer_betas to be two numbers in \[0, 1\), but got \(0.5"),
            (GAMOSampler(hidden_units=None), "hidden_units to be a whole number at least 1, but got None"),
            (latentover.DGCClassifier(latent_dim=None), "latent_dim to be a whole number at least 1, but got None"),
            (GAMOSampler(extractor="vgg", noise_dim=0), "extractor to be .* or an nn.Module, but got 'vgg'; and noise"),
            (latentover.DGCClassifier(resampling_rate=-1), "resampling_rate to be a number from 0 to 1, but got -1"),
            (latentover.AMDO(balance=1.5, k_neighbors=0), "k_neighbors to be .*; and balance to be a number above 0"),
            (BAGANSampler(device=0.5), "device to be 'auto', 'cpu' or a device of this machine such as 'cuda:0', but"),
        ],
        ids=str,
    )
    def test_are_refused(self, estimator, message):
        with pytest.raises(ValueError, match=f"^Expected {message}"):
            check_parameters(estimator)

    @pytest.mark.parametrize(
        "estimator",
        [
            DeepClassifier(schedule=StepDecay(), checkpoint=Path("there"), device=torch.device("cpu")),
            DeepClassifier(backbone=nn.Flatten(), verbose=True),
            RAEClassifier(alpha=(1, 2.5), mixer_betas=[0, 0.9], image_shape=[1, 8, 8], encoder=nn.Flatten()),
            PlainSampler(base_selection=np.array([0, 3])),
        ],
        ids=str,
    )
    def test_are_taken(self, estimator):
        check_parameters(estimator)


class TestRecipes:
    """They are read against the annotations before an estimator is made, and checked by them afterwards."""

    @pytest.mark.parametrize(
        ("sampler", "override", "message"),
        [
            ("MultiClassCCR", "cleaning=remov", "'ignore' or 'translate' or 'remove', but got 'remov'; did you mean"),
            ("ClassicalSampler", "method=smot", "'smote' or .*, but got 'smot'; did you mean 'smote'"),
            ("BAGANSampler", "base_selection=even", "'random', but got 'even'"),
            ("RAESampler", "n_components=many", "a whole number, but got 'many'"),
            ("RAESampler", "latent_dim=many", "a whole number or null, but got 'many'"),
            ("RAESampler", "loss=c", "'ce' or 'logit_adjusted' or null, but got 'c'"),
        ],
    )  # fmt: skip
    def test_refuse_another_type(self, sampler, override, message):
        with pytest.raises(ValueError, match=rf"Expected sampler\.init_args\.\w+ to be (?:{message})"):
            load_sampler(f"latentover.{sampler}", [f"--sampler.init_args.{override}"])

    @pytest.mark.parametrize(
        ("sampler", "override", "message"),
        [
            ("MultiClassCCR", "norm=0.5", "norm to be a number at least 1, but got 0.5"),
            ("RAESampler", "alpha=[1,0]", r"alpha to be 'mixer', 'uniform' or a list of positive numbers, but got \[1"),
            ("RAESampler", "mixer_betas=[0.5,1.0]", r"mixer_betas to be two numbers in \[0, 1\), but got"),
        ],
    )
    def test_refuse_what_is_out_of_range(self, sampler, override, message):
        with pytest.raises(ValueError, match=f"Expected {message}"):
            load_sampler(f"latentover.{sampler}", [f"--sampler.init_args.{override}"])

    def test_take_a_module_where_a_name_may_stand(self):
        module = "--sampler.init_args.encoder=torch.nn.Flatten"
        made = load_sampler("latentover.RAESampler", [module, "--sampler.init_args.image_shape=[1, 8, 8]"])
        assert isinstance(made.encoder, nn.Flatten)
        assert made.image_shape == (1, 8, 8)
