"""A generator of tables by others, in an environment of its own: ``python benchmarks/table_peers.py CTGAN FOLDER``.

`FOLDER` is what ``table_generators.py --export`` wrote: ``train.csv`` with the column ``"class"``, and ``columns.json``
that says which columns hold levels and which whole numbers. New rows of the class ``"rare"`` go to ``GENERATOR.csv``
there, and seconds, settings and versions to ``GENERATOR.json``. It needs numpy, pandas and the generator's own package,
not latentover. All settings are the packages' defaults.
"""

import os

if __name__ == "__main__":
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
import importlib
import json
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Rows = pd.DataFrame
AT_MOST = 200
"""How often CTGAN is asked for more rows before what it gave has to do."""


def ctgan(train: Rows, levels: list[str], whole: list[str], n: int, seed: int) -> Rows:
    """Return rows of CTGAN trained on the whole table, asked for the rare class by its condition."""
    import torch
    from ctgan import CTGAN

    torch.set_num_threads(1)
    model = CTGAN(enable_gpu=False)
    model.set_random_state(seed)
    model.fit(train, [*levels, "class"])
    found: list[Rows] = []
    for _ in range(AT_MOST):  # a condition makes the class likely, and not sure
        new = model.sample(n, condition_column="class", condition_value="rare")
        found.append(new[new["class"] == "rare"])
        if sum(map(len, found)) >= n:
            break
    return pd.concat(found).iloc[:n]


def tvae(train: Rows, levels: list[str], whole: list[str], n: int, seed: int) -> Rows:
    """Return rows of the rare class among those of TVAE trained on the whole table: it has no condition."""
    import torch
    from ctgan import TVAE

    torch.set_num_threads(1)
    model = TVAE(enable_gpu=False)
    model.set_random_state(seed)
    model.fit(train, [*levels, "class"])
    found: list[Rows] = []
    for _ in range(AT_MOST):
        new = model.sample(n)
        found.append(new[new["class"] == "rare"])
        if sum(map(len, found)) >= n:
            break
    return pd.concat(found).iloc[:n]


def forest_flow(train: Rows, levels: list[str], whole: list[str], n: int, seed: int) -> Rows:
    """Return rows of ForestDiffusion with flow matching, trained on the rows of the rare class."""
    from ForestDiffusion import ForestDiffusionModel

    rare = train[train["class"] == "rare"].drop(columns="class")
    numbers, known = rare.copy(), {}
    for name in levels:
        codes, known[name] = pd.factorize(rare[name], sort=True)
        numbers[name] = codes
    constant = [name for name in numbers if numbers[name].nunique() == 1]
    kept = numbers.drop(columns=constant)
    places = {name: i for i, name in enumerate(kept)}
    several = [name for name in levels if name in places and len(known[name]) > 2]
    model = ForestDiffusionModel(
        kept.to_numpy(dtype=float),
        bin_indexes=[places[name] for name in levels if name in places and len(known[name]) == 2],
        cat_indexes=[places[name] for name in several],
        int_indexes=[places[name] for name in whole if name in places],
        n_jobs=1,
        seed=seed,
        **SETTINGS,
    )
    made = pd.DataFrame(model.generate(batch_size=n), columns=kept.columns)
    for name in constant:
        made[name] = numbers[name].iloc[0]
    for name in levels:
        codes = made[name].round().clip(0, len(known[name]) - 1).astype(int)
        made[name] = np.asarray(known[name])[codes]
    return made


def arf(train: Rows, levels: list[str], whole: list[str], n: int, seed: int) -> Rows:
    """Return rows of adversarial random forests, trained on the rows of the rare class."""
    from arfpy.arf import arf as forest

    np.random.seed(seed)  # noqa: NPY002 - what the package draws from
    rare = train[train["class"] == "rare"].drop(columns="class").reset_index(drop=True)
    numbers = [name for name in rare if name not in levels]
    rare[numbers] = rare[numbers].astype(float)
    rare[levels] = rare[levels].astype("category")
    constant = [name for name in rare if rare[name].nunique() == 1]
    model = forest(rare.drop(columns=constant), verbose=False, random_state=seed, n_jobs=1)
    model.forde()
    made = model.forge(n=n)
    for name in constant:
        made[name] = rare[name].iloc[0]
    return made


SETTINGS: dict[str, Any] = {}
"""What is not ForestDiffusion's default."""

PEERS: dict[str, tuple[str, Callable[..., Rows]]] = {
    "CTGAN": ("ctgan", ctgan),
    "TVAE": ("ctgan", tvae),
    "ForestFlow": ("ForestDiffusion", forest_flow),
    "ARF": ("arfpy", arf),
}
"""From a name to the package and what makes rows with it."""


def main() -> None:
    """Make the rows, unless they are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("generator", choices=PEERS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--duplicate-k", type=int, help="ForestDiffusion's duplicate_K, where its default takes too long"
    )
    options = parser.parse_args()
    if options.duplicate_k:
        SETTINGS["duplicate_K"] = options.duplicate_k
    out = options.folder / f"{options.generator}.csv"
    if out.is_file():
        return
    columns = json.loads((options.folder / "columns.json").read_text(encoding="utf-8"))
    # "None" and "NA" are levels like others.
    kinds = dict.fromkeys([*columns["levels"], "class"], str)
    train = pd.read_csv(options.folder / "train.csv", dtype=kinds, keep_default_na=False)
    package, generate = PEERS[options.generator]
    importlib.import_module(package)
    start, wall = time.process_time(), time.perf_counter()
    new = generate(train, columns["levels"], columns["whole"], options.n, options.seed)
    record = {
        "generator": options.generator,
        "seconds": round(time.process_time() - start, 2),
        "wall_seconds": round(time.perf_counter() - wall, 2),
        "rows": len(new),
        "seed": options.seed,
        "version": f"{package} {version(package)}",
        "settings": SETTINGS if options.generator == "ForestFlow" else {},
    }
    new[[name for name in train if name != "class"]].to_csv(out, index=False)
    out.with_suffix(".json").write_text(json.dumps(record), encoding="utf-8")
    print(options.folder.name, record, flush=True)


if __name__ == "__main__":
    main()
