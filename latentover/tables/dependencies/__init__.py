"""Exact dependencies between the columns of a table: found on training rows, kept on all new rows."""

from latentover.tables.dependencies.found import Dependencies, find_dependencies

__all__ = ["Dependencies", "find_dependencies"]
