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
	mkdocs build --strict
