"""Runs on a real Ray cluster of two nodes on this machine, of which one is killed in the middle."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import latentover
from latentover.experiments.benchmark import benchmark
from latentover.experiments.run import Machine
from latentover.report import collect_runs
from latentover.runs.store import read

os.environ["RAY_AUTH_MODE"] = "disabled"  # otherwise a token that somebody has made once is asked for, and not shown
ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'latentover[ray]'")

from latentover.experiments.backends.ray import RayBackend  # noqa: E402

N_SEEDS = 20
MACHINE = Machine(device="cpu", precision="float32", verbose=0, checkpoint_every=5)
QUICK = {"evaluation.tsne_points": 0, "evaluation.grid_samples": 0}
MADE_AT = ["date", "scored", "fit_seconds", "hardware", "store", "file"]  # and on how many cores
SECONDS = 300.0
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(latentover.__file__).parent.parent),
    "OMP_NUM_THREADS": "1",
    "RAY_ENABLE_AUTO_CONNECT": "0",
}


def node(folder, *options):
    """Start a node of one core, which lives as long as its process."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1", "--disable-usage-stats"]
    return subprocess.Popen(
        [*command, "--node-ip-address=127.0.0.1", "--object-store-memory=80000000", *options],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill(process):
    """End a node and all its processes, as if its machine had been switched off."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two nodes, and the address of the first."""
    folder = tmp_path_factory.mktemp("ray")
    port = 20_000 + os.getpid() % 10_000
    head = node(folder, "--head", f"--port={port}", "--include-dashboard=false")
    address = f"127.0.0.1:{port}"
    other = node(folder, f"--address={address}")
    yield address, other
    if ray.is_initialized():
        ray.shutdown()
    kill(other)
    kill(head)


def wait_for_nodes(address, n):
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        with suppress(Exception):
            if not ray.is_initialized():
                ray.init(address, log_to_driver=False, logging_level="error")
            if sum(one["Alive"] for one in ray.nodes()) == n:
                return
        time.sleep(0.5)
    raise AssertionError("waited in vain for the nodes")


def grid(write_recipe, n):
    seeds = {**QUICK, "seeds": list(range(n))}
    return [
        write_recipe({**seeds, "method.init_args.max_steps": 30}, name="rae"),
        write_recipe({**seeds, "method.init_args.max_epochs": 6}, name="control", kind="control"),
    ]


def scores(out):
    frame = read(out).drop(columns=MADE_AT)
    return frame.sort_values(["recipe", "seed", "split", "label", "metric"]).reset_index(drop=True)


class KillsAfter:
    """The backend, with a node that is killed after some tasks."""

    def __init__(self, backend, n, node):
        self.backend, self.left, self.node = backend, n, node

    def __call__(self, tasks, machine, *, wait):
        for task, outcome in self.backend(tasks, machine, wait=wait):
            self.left -= 1
            if self.left == 0:
                kill(self.node)
            yield task, outcome


@pytest.mark.filterwarnings("ignore:.*What is generated")
def test_a_node_that_is_killed_costs_no_run(cluster, write_recipe, tmp_path):
    address, other = cluster
    wait_for_nodes(address, 2)
    recipes = grid(write_recipe, N_SEEDS)
    calm, torn = tmp_path / "calm", tmp_path / "torn"
    assert benchmark(recipes, MACHINE, out=calm, jobs=2).finished == 2 * N_SEEDS
    backend = KillsAfter(RayBackend(address), 5, other)
    outcome = benchmark(recipes, MACHINE, out=torn, backend=backend)
    assert (outcome.finished, outcome.failures) == (2 * N_SEEDS, {})
    assert len(list((torn / "results").glob("*.parquet"))) == 2 * N_SEEDS == len(collect_runs(torn))
    assert scores(torn).equals(scores(calm))
    left = {path.name for folder in ("rae", "control") for path in (torn / folder).iterdir()}
    assert left == {f"seed-{seed}" for seed in range(N_SEEDS)}


def test_failures_and_warnings_come_back_from_a_node(cluster, write_recipe, tmp_path):
    address, _ = cluster
    rows = "\n".join(f"{i % 7},{i % 5},{'abc'[i % 2]}" for i in range(60))
    (tmp_path / "table.csv").write_text(f"x,y,label\n{rows}\n1,1,c\n")
    data = {"source": str(tmp_path / "table.csv"), "target": "label"}
    rare = write_recipe({**QUICK, "data": data, "method.init_args.channels": ...}, name="rare", kind="control")
    missing = write_recipe({**QUICK, "data": {"source": str(tmp_path / "none.csv"), "target": "label"}}, name="missing")
    with pytest.warns(UserWarning, match=r"^out/rare, seed 0: The test data has no samples of \['c'\]"):
        outcome = benchmark([rare, missing], MACHINE, out=tmp_path / "out", backend=RayBackend(address))
    assert outcome.finished == 1
    assert "There is nothing at" in outcome.failures["out/missing, seed 0"].message


def test_more_than_the_cluster_has_is_refused(cluster, write_recipe, tmp_path):
    address, _ = cluster
    with pytest.raises(ValueError, match=r"Expected a cluster that has 1 cores and 1 GPUs for a run, but it has"):
        benchmark([write_recipe(QUICK)], MACHINE, out=tmp_path / "out", backend=RayBackend(address, gpus=1))


def test_where_there_is_no_cluster_it_says_what_to_do(write_recipe, tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise ConnectionError("Failed to connect to Ray cluster at 10.0.0.1:6379.")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    recipes, backend = [write_recipe(QUICK)], RayBackend("10.0.0.1:6379")
    told = r"^Expected a Ray cluster at 10.0.0.1:6379, but got: Failed .*:6379; start .*set RAY_AUTH_MODE=token"
    with pytest.raises(ConnectionError, match=told):
        benchmark(recipes, MACHINE, out=tmp_path / "out", backend=backend)
    with pytest.raises(ConnectionError, match=r"^Failed to connect"):
        benchmark(recipes, MACHINE, out=tmp_path / "out", backend=RayBackend())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cpus": -1}, "Expected cpus to be at least 0, but got -1"),
        ({"gpus": 1.5}, "Expected gpus to be a part of one GPU or a whole number, but got 1.5"),
        ({"at_most": 0}, "Expected at_most to be at least 1, but got 0"),
    ],
)
def test_wrong_numbers(options, message):
    with pytest.raises(ValueError, match=message):
        RayBackend(**options)
