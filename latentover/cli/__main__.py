"""``python -m latentover.cli`` is ``latentover``."""

from latentover.cli.app import run

run()
