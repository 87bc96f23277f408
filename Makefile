# Commands of the project; `make help` lists them. The first one sets up .venv.
#
# Every variable on make's command line except ARGS goes to the job as it is:
#   make distill teacher=r152 student=vargnet data.root=/data/faces trainer.optimizer.lr=0.01
# ARGS holds everything else: ARGS="-m student=vargnet,mobilefacenet", ARGS="~data.augment.blur".
# Another interpreter for .venv: PYTHON=python3.12 make ...

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
DISTILL = $(BIN)/python -m distill
QUIETLY := OMP_NUM_THREADS=1

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Each variable of the command line as one word of the shell, whatever it contains.
GIVEN := $(sort $(foreach v,$(filter-out PYTHON,$(.VARIABLES)),$(if $(filter command,$(firstword $(origin $v))),$v)))
QUOTE = '$(subst ','\'',$1)'
OPTIONS = $(foreach v,$(filter-out ARGS,$(GIVEN)),$(call QUOTE,$v=$(value $v))) $(value ARGS)

##@ Jobs
.PHONY: distill teacher signals export check verify ijb embed evaluate curves judge nightly nights registry rollback score faces dashboard

distill: $(READY) ## distil a teacher into a student, export and check it: teacher= student= data= objective= protocol= trainer= tracking=
	@$(DISTILL) distill $(OPTIONS)

teacher: $(READY) ## train a teacher, export and check it: teacher=r152 data.root=DIR
	@$(DISTILL) teach $(OPTIONS)

signals: $(READY) ## run a teacher once over a set and store its outputs: teacher= data= [views=4] [maps=[stage3]]
	@$(DISTILL) signals $(OPTIONS)

export: $(READY) ## write the ONNX file of a run again: run=runs/latest
	@$(DISTILL) export $(OPTIONS)

verify: $(READY) ## score a network on pairs: model=FILE.onnx|RUN pairs=FILE.bin|[A.bin,B.bin]|DIR [folds=10] [out=DIR]
	@$(DISTILL) verify $(OPTIONS)

embed: $(READY) ## write the feature file of a list: model=FILE.onnx|RUN list=FILE.txt [root=DIR] out=FILE.bin [kind=video]
	@$(DISTILL) embed $(OPTIONS)

score: $(READY) ## exact TPR at FPR over all pairs: features=FILE.bin labels=FILE.txt [probes= probe_labels=] [work=DIR] [out=FILE]
	@$(DISTILL) score $(OPTIONS)

evaluate: $(READY) ## features, TPR at FPR and limits by a challenge protocol: model=FILE.onnx|RUN protocol=deepglint_light data.root=DIR [out=DIR]
	@$(DISTILL) evaluate $(OPTIONS)

ijb: $(READY) ## score a network on IJB-B or IJB-C: model=FILE.onnx|RUN data.root=IJBC [task=identify] [out=DIR]
	@$(DISTILL) ijb $(OPTIONS)

curves: $(READY) ## compare models on one page: models=[A.onnx,runs/B] pairs=FILE.bin | evaluations=[DIR,..] [out=curves.html]
	@$(DISTILL) curves $(OPTIONS)

judge: $(READY) ## compare challenger with champion, non-inferior or not, with reasons: champion=FILE.onnx|RUN challenger=FILE.onnx|RUN pairs=FILE.bin|DIR [out=DIR]
	@$(DISTILL) judge $(OPTIONS)

nightly: $(READY) ## retrain on new data; promote the result if it passes and is non-inferior: drops=DIR [benchmarks=DIR] [root=nightly]
	@$(DISTILL) nightly $(OPTIONS)

nights: $(READY) ## history of nightly runs, in the terminal and as one page: [root=nightly] [out=nights.html]
	@$(DISTILL) nights $(OPTIONS)

registry: $(READY) ## list and verify the model versions of a service: [root=nightly] [prune=true] [newest=10] [champions=5]
	@$(DISTILL) registry $(OPTIONS)

rollback: $(READY) ## roll back to the previous version (idempotent): [root=nightly] [to=v0007] [why='...']
	@$(DISTILL) rollback $(OPTIONS)

faces: $(READY) ## draw a sheet of synthetic faces: [people=8] [pictures=10] [seed=1] [out=faces.png]
	@$(DISTILL) contact_sheet $(OPTIONS)

check: $(READY) ## check an ONNX file against the limits of a protocol: model=FILE.onnx [protocol=deepglint_light]; without options: check the code
ifeq ($(strip $(GIVEN)),)
	@$(MAKE) lint
else
	@$(DISTILL) check $(OPTIONS)
endif

dashboard: $(READY) ## list the tracked runs, view them offline, sync them to W&B
	@$(DISTILL) dashboard $(OPTIONS)

##@ Code
.PHONY: test test-fast test-gpu golden lint audit fmt wheel setup clean help

test: $(READY) ## all tests that need neither a GPU nor a network
	@$(QUIETLY) $(BIN)/pytest -n 2 --dist worksteal $(ARGS)

test-fast: $(READY) ## the same without the slow ones
	@$(QUIETLY) $(BIN)/pytest -n 2 --dist worksteal -m "not slow and not gpu and not network" $(ARGS)

test-gpu: $(READY) ## the tests that need a GPU
	@$(BIN)/pytest -m gpu $(ARGS)

golden: $(READY) ## write the golden files of tests/golden again: surface, files of runs, losses
	@$(QUIETLY) PYTHONPATH=.:tests $(BIN)/python -m golden

lint: $(READY) ## ruff, formatting, pyright and the import contracts
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/pyright
	@$(BIN)/lint-imports --no-logo

audit: $(READY) ## look for known vulnerabilities of the pinned packages
	@$(BIN)/python .ci/audit.py

fmt: $(READY) ## format the code and fix what ruff can fix
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

wheel: $(READY) ## build the wheel into dist/
	@$(BIN)/python -m build --wheel --no-isolation

setup: $(READY) ## set up .venv only
	@echo ".venv is ready"

clean: ## remove caches and builds; runs, weights and .venv stay
	@rm -rf build dist .pytest_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

help: ## list all commands
	@test -t 1 && bold=$$(printf '\033[1m') plain=$$(printf '\033[0m') || bold= plain=; \
	awk -v bold="$$bold" -v plain="$$plain" 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s%s%s\n", bold, substr($$0, 5), plain } \
	  /^[a-z-]+:.*## / { printf "  %s%-10s%s %s\n", bold, $$1, plain, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\n%s\n' 'Options go to the job as they are (group=choice, a.b=c); sweeps and flags: ARGS="-m seed=1,2".'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: PYTHON=python3.12 make ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo 'installing into .venv (the first time takes some minutes)'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,dashboard]'
	@touch $@
