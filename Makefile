.PHONY: format check test docs

format:
	ruff check --fix .
	ruff format .

check:
	ruff check .
	ruff format --check .
	mypy
	pytest

test:
	pytest

docs:
	sphinx-build -W --keep-going -q docs site
	pytest -q tests/test_site.py -k built
