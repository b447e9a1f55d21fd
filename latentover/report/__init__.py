"""From a folder of runs to tables, pictures and one page to read.

`collect_runs` and `compare` read and average, `failed_runs` and `unfinished_runs` say what is missing;
`comparison_text` and `comparison_markdown` print; `write_report` makes the page and `write_markdown` a page for
documents; `image_grid`, `minority_grid` and `save_minority_grid` show samples. `write_table_quality` makes the page on
new rows of a table.
"""

from latentover.report.grid import image_grid, minority_grid
from latentover.report.html import write_report
from latentover.report.markdown import write_markdown
from latentover.report.samples import save_minority_grid
from latentover.report.table_quality import write_table_quality
from latentover.report.tables import comparison_markdown, comparison_text
from latentover.runs.collection import FailedRun, Run, collect_runs, failed_runs, unfinished_runs
from latentover.runs.comparison import Cell, Row, compare

__all__ = [
    "Cell",
    "FailedRun",
    "Row",
    "Run",
    "collect_runs",
    "compare",
    "comparison_markdown",
    "comparison_text",
    "failed_runs",
    "image_grid",
    "minority_grid",
    "save_minority_grid",
    "unfinished_runs",
    "write_markdown",
    "write_report",
    "write_table_quality",
]
