"""The plain port of the autoencoder's training makes the updates that the package makes."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from latentover import RAEClassifier
from latentover.mixing import Mixup
from latentover.networks.layers import Dropout

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "rae_speed.py"


@pytest.fixture(scope="module")
def rae_speed():
    spec = importlib.util.spec_from_file_location("rae_speed_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    n_threads = torch.get_num_threads()
    yield module
    torch.set_num_threads(n_threads)  # the script sets its own
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, size=(90, 1, 12, 12), dtype=np.uint8), np.repeat([0, 1, 2], [50, 30, 10])


RECIPE = {
    "schedule": "one_cycle",
    "augment": "flip_shift_cutout",
    "classifier_optimizer": "shared",
    "loss": "logit_adjusted",
    "sampling_power": 0.5,
    "alpha": "uniform",
    "decoder_reconstruction": True,
    "conditional_critic": True,
    "reconstruct_every": 2,
    "adversarial_every": 3,
}
SETTINGS = {
    "paper": {},
    "authors' code": "REFERENCE",
    "recipe": RECIPE,
    "residual": {
        **RECIPE,
        "encoder": "resnet",
        "optimizer": "sgd",
        "mixing": Mixup(alpha=0.4),
        "learning_rate": 1e-2,
        "adversarial_learning_rate": 1e-3,
    },
}


def weights(networks):
    return torch.cat([parameter.detach().flatten() for parameter in networks.parameters()])


@pytest.mark.parametrize("name", SETTINGS)
def test_the_port_makes_our_updates(rae_speed, images, name):
    """From equal weights, with equal draws, in float32 and without dropout, losses and moves of a step are equal."""
    switches = rae_speed.REFERENCE if name == "authors' code" else SETTINGS[name]
    settings = RAEClassifier(**{**switches, **rae_speed.QUICK, "dropout": 0.0, "precision": "float32", "max_steps": 6})
    both = rae_speed.make_both(settings, *images)
    port, ours = both["port"], both["ours"]
    port_losses, make_step = [], port.step
    port.step = lambda step: port_losses.extend(make_step(step))
    for step in range(6):
        before = weights(ours.networks)
        ours.engine.rates.set(step)
        phases = [phase for phase in ours.engine.program.phases if phase.runs_in(step)]
        our_losses = [ours.engine.update(phase) for phase in phases for _ in range(phase.repeat)]
        port_losses.clear()
        port.run(step, 1, 6)
        for one, other in zip(port_losses, our_losses, strict=True):
            assert all(k == "predicted_classes" or k.endswith("_gradient") for k in set(other) - set(one))
            assert one == pytest.approx({k: other[k].item() for k in one}, rel=2e-3, abs=1e-5)
        # Not to the bit: where a gradient is nothing but rounding, Adam's first steps have its sign.
        apart, moved = ((weights(ours.networks) - other).abs().sum() for other in (weights(port.networks), before))
        assert apart < 0.02 * moved
        averaged = (weights(trained) for trained in (ours.trained, port.trained))
        assert torch.sub(*averaged).abs().sum() < 0.02 * moved
        port.networks.load_state_dict(ours.networks.state_dict())  # rounding errors do not add up


def test_the_port_has_the_dropout_of_torch(rae_speed, images):
    settings = RAEClassifier(**rae_speed.QUICK)
    networks = rae_speed.with_plain_dropout(rae_speed.prepare(settings, *images))
    layers = list(networks.modules())
    assert not any(isinstance(layer, Dropout) for layer in layers)
    assert sum(isinstance(layer, nn.Dropout) and layer.p == 0.4 for layer in layers) == 3 + 4  # encoder and mixer


def test_png_files_keep_every_pixel(rae_speed, images):
    X, y = images
    colour = np.random.default_rng(0).integers(0, 256, size=(2, 3, 9, 8), dtype=np.uint8)
    for pixels in (X[:5], colour):
        stored = rae_speed.PngImages(pixels, torch.from_numpy(y[: len(pixels)]))
        for i, image in enumerate(pixels):
            assert torch.equal(stored[i][0], torch.from_numpy(image) / 255)


def test_validation_images_are_not_trained_on(rae_speed):
    X = np.arange(60, dtype=np.uint8).reshape(30, 1, 1, 2)
    y = np.arange(30) % 3
    X_validation, y_validation = rae_speed.validation_images(X, y, X[:12])
    assert {image.tobytes() for image in X_validation} == {image.tobytes() for image in X[12:]}
    assert np.bincount(y_validation).tolist() == [6, 6, 6]


class Counted:
    """A training whose score is the number of its steps."""

    def __init__(self):
        self.steps = []

    def run(self, first, n_steps, total):
        assert total == 80
        self.steps += range(first, first + n_steps)


@pytest.mark.parametrize(("target", "limit", "n_steps"), [(10, 99, 10), (100, 99, 80), (100, 0, 2)])
def test_training_ends_at_the_target_the_last_step_or_the_limit(rae_speed, monkeypatch, target, limit, n_steps):
    monkeypatch.setattr(rae_speed, "validation_acsa", lambda trainer, settings: float(len(trainer.steps)))
    trainer = Counted()
    reached, spent, best = rae_speed.seconds_to_reach(target, trainer, RAEClassifier(max_steps=80), limit, ())
    assert trainer.steps == list(range(n_steps))
    assert best == n_steps
    assert reached == (spent if target == 10 else None)


def test_the_script_prints_a_table(rae_speed, capsys):
    threads = torch.get_num_threads()
    rae_speed.main(["--quick", "--cycles", "1", "--repeats", "2", "--threads", str(threads)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.count("|") for line in lines[-3:]] == [6, 6, 6]
    assert lines[-1].endswith("| at least 2 |")
