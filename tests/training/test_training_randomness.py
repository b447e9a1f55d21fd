"""Every draw from a generator says where it lands: torch refuses one from a generator of another device."""

import ast
from pathlib import Path

import pytest

import latentover

FACTORIES = {"normal", "rand", "randint", "randn", "randperm"}
"""Draws of torch that make a tensor where `device` says; all others, such as `multinomial`, take a tensor's device."""


def unplaced_draws(code):
    """Return the line numbers of the draws with a generator and without a device.

    A draw is a call of torch's, or of a function that came as an argument, for which one of torch's may stand.
    """
    lines = []

    def visit(node, parameters):
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            parameters = parameters | {a.arg for a in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]}
        if isinstance(node, ast.Call):
            names, function = {keyword.arg for keyword in node.keywords}, node.func
            if isinstance(function, ast.Attribute):
                draws = ast.unparse(function.value) == "torch" and function.attr in FACTORIES
            else:
                draws = isinstance(function, ast.Name) and function.id in parameters
            if draws and "generator" in names and "device" not in names:
                lines.append(node.lineno)
        for child in ast.iter_child_nodes(node):
            visit(child, parameters)

    visit(ast.parse(code), frozenset())
    return lines


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("torch.randint(9, (), generator=g)", [1]),
        ("x = [torch.rand(2, generator=g, device=g.device),\n     torch.randn(2, generator=g)]", [2]),
        ("def f(sample):\n    return lambda n: sample(n, generator=g)", [2]),
        ("def f(sample):\n    return lambda n: sample(n, generator=g, device=d)", []),
        ("torch.multinomial(p, 3, generator=g)\ndraw_weights(1, generator=g)\ntorch.rand(3)", []),
    ],
)
def test_a_draw_without_a_device_is_found(code, lines):
    assert unplaced_draws(code) == lines


def test_every_draw_names_the_device():
    root = Path(latentover.__file__).parent
    found = {
        str(path.relative_to(root)): unplaced_draws(path.read_text(encoding="utf-8")) for path in root.rglob("*.py")
    }
    assert {path: lines for path, lines in found.items() if lines} == {}
