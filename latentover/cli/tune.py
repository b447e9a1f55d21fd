"""``tune``: better settings of recipes, found on validation data."""

import argparse
from typing import Any

from latentover.cli.options import DATA, add_command, add_place, machine, share
from latentover.cli.terminal import say, say_wrong
from latentover.cli.train import OVERRIDES, add_backend, backend, begin_server


def add(commands: Any) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "tune",
        _tune,
        "Search recipes for better settings on validation data, each recipe for itself with the same budget.",
        [
            "latentover tune configs/digits/rae.yaml --space 'method.init_args.latent_dim=int(4,64)' --trials 20",
            "latentover tune configs/digits --space spaces.yaml --jobs 2 -o runs/tuned",
        ],
        epilog=OVERRIDES,
    )
    add_place(
        command,
        "recipes",
        "recipes",
        nargs="+",
        metavar="RECIPE",
        help="recipes or folders of them, yours or shipped (configs/digits)",
    )
    command.add_argument(
        "--space",
        action="append",
        required=True,
        metavar="KEY=VALUES",
        help="what to search: method.init_args.learning_rate=log(1e-4,1e-2), float(0,1), int(4,64) or "
        "choice(a,b,null); or a .yaml file from such keys to such values; may be repeated",
    )
    command.add_argument("--trials", type=int, default=50, metavar="N", help="of each recipe (default: 50)")
    command.add_argument(
        "--metric",
        metavar="NAME",
        default="acsa",
        help="acsa, macro_f1, gm_a, gm_b, gm_c, top1, mauprc_ova, ece or brier (default: acsa)",
    )
    share(command, "seeds", help="of each trial's trainings (default: the recipe's first)")
    share(command, "seed", default=0, help="of the search (default: 0)")
    command.add_argument("--no-pruning", action="store_true", help="end no training early")
    share(command, "out", help="folder of the best recipes (default: runs/tune/<folder of the recipes>)")
    add_backend(command)
    share(command, *DATA, "trust-modules", "device", "precision", "json")
    command.set_defaults(
        takes_overrides=True,
        at_once=1,
        checkpoint_every=None,
        stopped="trials that ended are kept, the same command goes on from there",
    )


def _tune(options: argparse.Namespace) -> int:
    begin_server(options)
    from latentover.experiments.recipe import find_recipes
    from latentover.experiments.space import read_space
    from latentover.experiments.tune import tune

    tuned = tune(
        find_recipes(options.recipes),
        read_space(options.space),
        machine(options),
        trials=options.trials,
        metric=options.metric,
        seeds=options.seeds,
        seed=options.seed,
        pruning=not options.no_pruning,
        out=options.out,
        overrides=options.overrides,
        trust_modules=options.trust_modules,
        backend=backend(options),
    )
    best = {search.name: str(search.best) for search in tuned.searches if search.best is not None}
    lines = [tuned.table, "", f"report: {tuned.page}", *(f"best recipe: {path}" for path in best.values())]
    say(options, "\n".join(lines), {"report": str(tuned.page), "best": best})
    without = [search.name for search in tuned.searches if search.best is None]
    if without:
        say_wrong(f"no trial ran to its end: {', '.join(without)} (see the report)")
    return 1 if without else 0
