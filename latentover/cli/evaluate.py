"""``evaluate``: scores of a finished run, or of generated samples."""

import argparse
import os
from typing import Any

from latentover.cli.options import DATA, add_command, add_place, add_run, share
from latentover.cli.terminal import say, with_heading

_SHOWN = ("acsa", "macro_f1", "gm_a", "gm_b", "gm_c", "mauprc_ova", "ece", "brier")


def add(commands: Any) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "evaluate",
        _evaluate,
        "Score a finished run anew on every split of its data; or, with --features or --real and --fake, generated "
        "samples against real ones.",
        [
            "latentover evaluate runs/digits/rae/seed-0",
            "latentover evaluate runs/digits/rae/seed-0 --features classifier:digits --n 40",
            "latentover evaluate --real images/real --fake images/made --features pixels --json scores.json",
        ],
    )
    add_run(command, "a run folder (runs/digits/rae/seed-0)", nargs="?")
    share(command, "out", help="also write the scores to this JSON file")
    command.add_argument(
        "--features",
        metavar="NAME",
        help="score generated samples: pixels, inception, or classifier:<bundle> (classifier:digits); of tables rows",
    )
    share(command, "n", help="real and generated samples, of each class where there are classes")
    add_place(command, "--real", "files", metavar="PATH", help="folder, .npy or .npz of real images, instead of a run")
    add_place(command, "--fake", "files", metavar="PATH", help="folder, .npy or .npz of generated images")
    command.add_argument(
        "--image-size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="resize the images of folders"
    )
    share(command, "trust-modules", *DATA, "json")


def _evaluate(options: argparse.Namespace) -> int:
    if (options.run is None) == (options.real is None) or (options.real is None) != (options.fake is None):
        raise ValueError("Expected a run, or --real and --fake together; give one of the two.")
    from latentover.files import check_free_file, write_json

    if options.out:
        check_free_file(options.out)
    text, scores = (_of_samples if options.features or options.real else _of_run)(options)
    say(options, text, scores)
    if options.out:
        write_json(options.out, scores)
    return 0


def _of_run(options: argparse.Namespace) -> tuple[str, Any]:
    """Return the scores of a classifier, as a table too."""
    from latentover.experiments.evaluate import evaluate_run, reads_of_test_data

    scores = evaluate_run(
        options.run, root=options.data_root, download=options.download, trust_modules=options.trust_modules
    )
    lines = [f"{'split':<16}" + "".join(f"{name:>12}" for name in _SHOWN)]
    for split, values in scores.items():
        cells = (f"{values[name]:12.4f}" if values[name] is not None else f"{'':>12}" for name in _SHOWN)
        lines.append(f"{split:<16}" + "".join(cells))
    reads = reads_of_test_data(options.run)
    return with_heading("\n".join(lines)) + f"\n\nreads of the test data: {reads}", scores


def _of_samples(options: argparse.Namespace) -> tuple[str, Any]:
    """Return the scores of generated samples, as text too."""
    from latentover.experiments.generation import (
        evaluate_folders,
        evaluate_generation,
        generation_text,
        record_generation,
    )

    features = options.features or "pixels"
    if options.real:
        result = evaluate_folders(
            options.real, options.fake, features, n=options.n, image_size=options.image_size, download=options.download
        )
    else:
        result = evaluate_generation(
            options.run,
            features,
            n=options.n,
            root=options.data_root,
            download=options.download,
            trust_modules=options.trust_modules,
        )
        if os.access(options.run, os.W_OK):
            record_generation(options.run, result)
    return generation_text([result]), result
