"""The model card: what a run folder holds, for somebody who finds it."""

from typing import Any

from latentover.experiments.recipe import Recipe
from latentover.report.tables import published_texts
from latentover.runs.comparison import published_cells, split_title
from latentover.text import inline_code, markdown, short_name

_SCORES = ("acsa", "macro_f1", "gm_a", "mauprc_ova", "ece", "brier")

_MODEL = """\
A model of latentover. `latentover.load(folder)` gives the fitted estimator back; the folder holds no code and no
pickle, and the model no row of the training data."""
_SCORED = "A run of latentover, whose weights were not kept; its scores are what is left."
_PICTURE = """
`samples.png` and `samples.npz` do show a few training images; delete them before you share a model of images that are
not public."""


def model_card(recipe: Recipe, metrics: dict[str, Any], *, has_picture: bool = False, has_weights: bool = True) -> str:
    """Return the card of a run as Markdown: use, data, scores, limits and the certificate.

    Parameters
    ----------
    recipe : Recipe
    metrics : dict
        The content of ``metrics.json``.
    has_picture : bool
        Whether there is a ``samples.png``, which shows real images.
    has_weights : bool
        Whether the fitted estimator is there.
    """
    certificate = metrics["certificate"]
    names = metrics.get("class_names", {})
    counts = ", ".join(
        f"{markdown(short_name(names.get(label, label)))}: {n}" for label, n in metrics["train_counts"].items()
    )
    data = markdown(short_name(certificate["data"]))
    rows = "\n".join(
        f"| {markdown(split)} | " + " | ".join(_percent(scores.get(name)) for name in _SCORES) + " |"
        for split, scores in metrics["splits"].items()
    )
    versions = ", ".join(f"{markdown(name)} {markdown(version)}" for name, version in certificate["versions"].items())
    return f"""# {markdown(short_name(recipe.title))} on {data}, seed {certificate["seed"]}

{_MODEL if has_weights else _SCORED}{_PICTURE if has_picture else ""}

- **Method**: {type(recipe.method).__name__}{f" after {type(recipe.sampler).__name__}" if recipe.sampler else ""}
- **Data**: {data} (hash {certificate["data_hash"]}), {certificate["n_train"]} training samples
- **Training samples of each class**: {counts}
- **Intended use**: research on, and baselines for, imbalanced data like this one.
- **Limits**: the scores hold for data like the test split. Probabilities follow the training's class balance, not
  that of any deployment; correct them for the prior before they decide anything.{_memorization(metrics)}

| split | {" | ".join(_SCORES)} |
|---|{"---|" * len(_SCORES)}
{rows}

Scores in percent, weights of the last epoch; ece is the expected calibration error, and brier the squared error of the
probabilities, at most 200. Lower is better for both.{_published(recipe)} Trained in
{certificate["fit_seconds"]} s on {markdown(certificate["hardware"])} ({certificate["device"]}), {certificate["date"]},
commit {certificate["commit"] or "unknown"}, {versions}. Recipe {inline_code(certificate["recipe"])}
(SHA-256 {certificate["recipe_sha256"][:12]}) beside this file.
"""


def _memorization(metrics: dict[str, Any]) -> str:
    """Return a line on how near generated samples lie to the training rows; nothing for what does not generate."""
    report = metrics.get("memorization")
    if not report:
        return ""
    classes = report["classes"].values()
    copies = sum(found["copies"] * found["n"] for found in classes)
    ratios = [found["distance_ratio"] for found in classes if found["distance_ratio"] is not None]
    sentences = [
        f"of {report['n_samples']} new samples of each of {len(classes)} classes, {copies:.0f} in all equal a training "
        "row."
    ]
    if ratios:
        sentences.append(
            "Their median distance to the nearest one is, by class, "
            f"{min(ratios):.2f} to {max(ratios):.2f} of that between training rows."
        )
    if report["flagged"]:
        flagged = ", ".join(markdown(short_name(label)) for label in report["flagged"])
        sentences.append(f"Training rows are repeated of: {flagged}.")
    if report.get("flagged_columns"):
        names = ", ".join(markdown(short_name(name)) for name in report["flagged_columns"])
        sentences.append(f"New values are those of single training rows in the columns: {names}.")
    return f"\n- **Memorization**: {' '.join([*sentences, report['note']])}"


def _published(recipe: Recipe) -> str:
    """Return a sentence on what the paper reports, for each split that it does."""
    published = recipe.published or {}
    quoted = [
        f"{', '.join(published_texts(cells))} ({split_title(split)}, {markdown(published['source'])})"
        for split in published
        if split != "source" and (cells := published_cells(published, split))
    ]
    return f" Published: {'; '.join(quoted)}." if quoted else ""


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"
