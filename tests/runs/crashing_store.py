"""A process that appends runs without end, until it is killed."""

import itertools
import sys

from made_up_runs import metrics_of

from latentover.runs.store import append

for seed in itertools.count():
    append(sys.argv[1], metrics_of(seed=seed))
    sys.stdout.write(f"{seed}\n")
    sys.stdout.flush()
