"""The skeletons of CONTRIBUTING.md do, as they are written, what our own rules, losses and metrics do."""

from pathlib import Path

import numpy as np
import pytest
import torch
from test_docs import BLOCK

import latentover
from latentover.experiments.recipe import load_recipe
from latentover.mixing import Mixed

PAGE = Path(__file__).parent.parent / "CONTRIBUTING.md"
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="CONTRIBUTING.md is not beside these tests")
X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
Y = np.repeat([0, 1, 2], [30, 20, 10])


def skeletons():
    """Return the code of the method, the mixing rule, the loss and the metric."""
    return [code for fragment, language, code in BLOCK.findall(TEXT) if language == "python" and not fragment]


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of somebody's own that holds the skeletons one after the other, as the page does."""
    code = skeletons()
    assert len(code) == 4
    (tmp_path / "written_by_the_page.py").write_text("\n".join(code), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import written_by_the_page

    yield written_by_the_page
    import sys

    del sys.modules["written_by_the_page"]


def test_the_mixing_rule(module):
    inputs, labels = torch.rand(5, 3), torch.tensor([0, 1, 2, 0, 1])
    rule, generator = module.Reversed(weight=0.25), torch.Generator().manual_seed(0)
    mixed = rule(inputs, labels, torch.tensor([9, 5, 1]), generator)
    torch.testing.assert_close(mixed.inputs, 0.25 * inputs + 0.75 * inputs.flip(0))
    expected = 0.25 * torch.eye(3)[labels] + 0.75 * torch.eye(3)[labels.flip(0)]
    torch.testing.assert_close(mixed.soft_labels(3), expected)
    assert module.Reversed() == module.Reversed(weight=0.7), "a frozen dataclass, which recipes can compare"


def test_the_test_of_the_mixing_rule_can_pass_and_fail(module, monkeypatch):
    """The page's test, with the rule where the page puts it."""
    (code,) = (code for fragment, _, code in BLOCK.findall(TEXT) if fragment)
    monkeypatch.setattr(latentover.mixing, "Reversed", module.Reversed, raising=False)
    written: dict = {}
    exec(compile(code, PAGE.name, "exec"), written)
    written["test_equals_its_formula"]()
    monkeypatch.setattr(written["Reversed"], "__call__", latentover.mixing.Mixup().__call__)
    with pytest.raises(AssertionError):
        written["test_equals_its_formula"]()


@pytest.mark.parametrize("name", ["mixing", "method"])
def test_a_recipe_and_a_bundle_hold_them(module, name, tmp_path):
    path = "written_by_the_page"
    of = {
        "mixing": f"""class_path: latentover.DeepClassifier
  init_args:
    max_epochs: 2
    mixing: {{class_path: {path}.Reversed, init_args: {{weight: 0.4}}}}""",
        "method": f"class_path: {path}.Plain\n  init_args: {{max_steps: 2}}",
    }
    (tmp_path / "mine.yaml").write_text(f"data: {{source: digits}}\nmethod:\n  {of[name]}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="--trust-modules"):
        load_recipe(tmp_path / "mine.yaml")
    recipe = load_recipe(tmp_path / "mine.yaml", trust_modules=[path])
    model = recipe.estimator(0, device="cpu").fit(X, Y)
    latentover.save(model, tmp_path / "saved")
    again = latentover.load(tmp_path / "saved", trust_modules=[path])
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    if name == "mixing":
        assert again.mixing == module.Reversed(weight=0.4)


def test_the_loss(module):
    logits, labels, epsilon = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2]), 0.2
    log_p = logits.log_softmax(dim=1)
    soft = torch.eye(3)[labels]
    by_hand = -(((1 - epsilon) * soft + epsilon / 3) * log_p).sum(dim=1)
    torch.testing.assert_close(module.smoothed_loss(logits, labels, epsilon, reduction="none"), by_hand)
    torch.testing.assert_close(module.smoothed_loss(logits.numpy(), soft.tolist(), epsilon), by_hand.mean())
    mixed = Mixed(logits, labels, labels.flip(0), torch.full((6,), 0.3), torch.arange(6).flip(0))
    other = -(((1 - epsilon) * soft.flip(0) + epsilon / 3) * log_p).sum(dim=1)
    loss = module.smoothed_loss(logits, mixed, epsilon, reduction="none")
    torch.testing.assert_close(loss, 0.3 * by_hand + 0.7 * other)
    weight = torch.tensor([1.0, 2.0, 4.0])
    weighted = module.smoothed_loss(logits, labels, epsilon, weight, "sum")
    torch.testing.assert_close(weighted, (weight[labels] * by_hand).sum())
    with pytest.raises(ValueError, match=r"Expected labels to be class numbers from 0 to 2, .* but got 3"):
        module.smoothed_loss(logits, [3] * 6)


def test_the_metric(module):
    assert module.worst_recall([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 2]) == 0.5
    assert module.worst_recall(["a", "b"], ["a", "b"]) == 1
    assert module.worst_recall([0, 1], [1, 1]) == 0
