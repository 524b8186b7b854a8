# `make help` lists what this file can do. Every target sets the environment up first where it is missing.
.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python
OUT ?= demo-output

.PHONY: help setup test matrix check format-check lint types demo constraints blueprints-sync reference clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## Make .venv with the exact versions in constraints.txt

# uv where it is installed, pip otherwise; the same constraints for both.
$(VENV)/.ready: pyproject.toml constraints.txt
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python '>=3.11' $(VENV) && \
	  uv pip install --quiet --compile-bytecode --python $(PY) --constraint constraints.txt --editable '.[dev]'; \
	else \
	  for p in python3 python3.13 python3.12 python3.11; do \
	    if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$p; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then echo "Python 3.11 or newer is needed; none of python3, python3.11-3.13 is." >&2; exit 1; fi; \
	  $$found -m venv $(VENV) && \
	  $(PY) -m pip install --quiet --constraint constraints.txt --editable '.[dev]'; \
	fi
	@touch $@

test: $(VENV)/.ready ## Run every test, two at a time
	$(PY) -m pytest -n 2 --dist worksteal

# The extras lie beside the environment: with SHAP inside it, every test that trains would compute its values.
matrix: $(VENV)/.ready ## Run what `make test` leaves out: every sabotage, every generated repository, Ray and SHAP
	$(PY) -m pytest -n 2 --dist worksteal -m matrix
	$(VENV)/bin/uv pip install --quiet --python $(PY) --target $(VENV)/extras --constraint constraints.txt ray shap
	PYTHONPATH=$(VENV)/extras $(PY) -m pytest -m extras

check: format-check lint types test ## The one gate: format, lint, strict types, tests with warnings as errors

format-check: $(VENV)/.ready
	$(PY) -m ruff format --check .

lint: $(VENV)/.ready
	$(PY) -m ruff check .

types: $(VENV)/.ready
	$(PY) -m mypy

demo: $(VENV)/.ready ## From a real data file to a served, monitored model: everything lands in OUT=demo-output
	$(PY) demo/demo.py --out $(OUT)

constraints: $(VENV)/.ready ## Resolve constraints.txt afresh, for the factory and for generated repositories
	$(PY) tools/renew_constraints.py

blueprints-sync: $(VENV)/.ready ## Write each blueprint's cookiecutter.json from its manifest
	$(VENV)/bin/ai-factory blueprints sync

reference: $(VENV)/.ready ## Write the component library's reference page, its schema and the stacks' inventories
	$(PY) tools/renew_reference.py

clean: ## Remove the environment and the demo's output
	rm -rf $(VENV) $(OUT)
