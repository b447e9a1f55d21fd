import pytest
from made_up_runs import metrics_of, write_run


@pytest.fixture
def made_up_runs(tmp_path):
    """Two recipes with three seeds; only their folders, no store."""
    folder = tmp_path / "pets"
    for recipe, acsa in (("rae", 0.8), ("none", 0.7)):
        for seed in range(3):
            write_run(folder, metrics_of(recipe, seed, acsa + 0.01 * seed))
    return folder
