"""Tables: what kind each column is, how it becomes parts of an encoded row, and how rows come back."""

from latentover.tables.columns import Column, Part
from latentover.tables.format import PlacedPart, TableFormat
from latentover.tables.identifiers import Identifier
from latentover.tables.levels import Levels
from latentover.tables.numbers import Number
from latentover.tables.times import Time

__all__ = ["Column", "Identifier", "Levels", "Number", "Part", "PlacedPart", "TableFormat", "Time"]
