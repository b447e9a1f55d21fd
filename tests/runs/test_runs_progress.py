"""How far a run has got, as others read it beside its folder."""

from latentover.runs import folder as folder_module
from latentover.runs.folder import RunFolder
from latentover.training.progress import tell


def test_the_score_that_matters_is_said_beside_the_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_module, "PROGRESS_SECONDS", 0)
    run = RunFolder(tmp_path / "rae" / "seed-0")
    run.path.parent.mkdir()
    with run.telling_progress():
        tell("RAEClassifier", 3, 9, "validation ACSA 81.0%")
        found = run.progress()
        assert (found.phase, found.step, found.n_steps) == ("RAEClassifier", 3, 9)
        assert found.score == "validation ACSA 81.0%"
    assert run.progress() is None
