.PHONY: format check test test-all docs

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

test-all:
	pytest -m ""

docs:
	sphinx-build -W --keep-going -q docs site
	pytest -q -m "" tests/test_site.py -k built
