"""``generate``: new samples of a class of a finished run."""

import argparse
from typing import Any

from latentover.cli.options import TABLE, add_command, add_place, add_run, share, table_options
from latentover.cli.terminal import as_json, say, words


def add(commands: Any) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "generate",
        _generate,
        "Write new samples of one class of a finished run.",
        [
            'latentover generate rae-fashion-mnist --class "Ankle boot" --n 64 -o boots.png',
            "latentover generate runs/photos/rae/seed-0 --class cat --n 64 -o made/",
            "latentover generate runs/fraud/rae/seed-0 --class yes --n 1000 -o new.csv --real fraud.csv --target fraud "
            "--report quality.html",
        ],
    )
    add_run(command, "a run folder whose method generates (runs/digits/rae/seed-0)")
    command.add_argument(
        "--label", "--class", required=True, metavar="NAME", help="class to sample, by its name or label"
    )
    share(command, "n", default=64, help="how many (default: 64)")
    share(
        command,
        "out",
        required=True,
        help=".png for a grid of images, .npz for arrays, .csv for a table; a folder (it is there, or ends in a slash) "
        "for single images in it, <class>/0001.png",
    )
    share(command, "seed", default=0, help="the same seed gives the same file (default: 0)")
    add_place(command, "--real", "files", metavar="TABLE", help="the table that the run was trained on, for --report")
    text = "rows like those of --real that the run has not seen"
    add_place(command, "--holdout", "files", metavar="TABLE", help=text)
    share(command, "target", "trust-modules", *TABLE, "report", "json")


def _generate(options: argparse.Namespace) -> int:
    from latentover.experiments.generate import generate

    how = {"seed": options.seed, "trust_modules": options.trust_modules}
    if not (options.report or (options.json and options.real)):
        if options.real or options.holdout or options.target:
            raise ValueError(
                "Expected --report or --json beside --real, and --real beside --target and --holdout; say where to "
                "write, and what to compare with."
            )
        out = generate(options.run, options.label, options.n, options.out, **how)
        say(options, str(out), {"out": str(out), "class": options.label, "n": options.n, "seed": options.seed})
        return 0
    from latentover.experiments.quality import QualityFiles, generated_quality, read_real

    files = QualityFiles(options.report, options.json)
    files.check(options.out)
    real = read_real(options.real, options.target, options.holdout, table_options(options), identifiers=options.id)
    words(options, str(generate(options.run, options.label, options.n, options.out, **how)))
    quality = generated_quality(options.run, options.label, options.n, real, **how)
    files.write(quality, f"New rows of {options.label}", [str(options.run)])
    print(as_json(quality.to_dict()) if options.json == "-" else f"\n{quality}")
    return 0
