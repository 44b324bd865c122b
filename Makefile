# Two commands do all the set-up: `make demo` and `make test`. Needs Python 3.10 to 3.13 and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3.10)
ifeq ($(PYTHON),)
$(error Needs Python 3.10 to 3.13 on the path, or PYTHON=/path/to/python)
endif
VENV := .venv
BIN := $(VENV)/bin
LANE := .venv-label-studio
ACTIVEML := .venv-activeml
SANDBOX := data/sandbox
# strategies of the report: on all tasks, and on one beside them
ALL = random entropy learning_loss coreset
ALSO_cls = random_stratified maxherding uherding probcover clasp
ALSO_det = random_foreground maxherding clasp ppal divproto
ALSO_pose = random_foreground random_matched maxherding dcom mpe
SWEEP = OMP_NUM_THREADS=1 $(BIN)/python tools/al_sweep.py --jobs 2 --wandb disabled

.PHONY: setup demo controls matrix agreement torture proof report test quick lint types unit
.PHONY: test-label-studio docs clean

setup: $(VENV)/.done

$(VENV)/.done: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --only-binary :all: --constraint constraints.txt --editable '.[dev,board,ray]'
	touch $@

demo: setup  ## a positive control: learning loss beside random, and both curves in one picture; minutes
	$(BIN)/python tools/make_sandbox.py det --control positive --root $(SANDBOX)
	$(SWEEP) configs/det_positive.py --strategies learning_loss random --seeds 0 1 2 --in-process
	$(BIN)/python tools/al_compare.py work_dirs/det_positive --out work_dirs/demo
	$(BIN)/python tools/plain.py work_dirs/demo

controls: setup  ## five seeds of six strategies on the positive and negative control of each task: an hour
	for task in cls det pose; do for control in positive negative; do \
	  $(BIN)/python tools/make_sandbox.py $$task --control $$control --root $(SANDBOX) && \
	  $(SWEEP) configs/$${task}_$$control.py --in-process --seeds 0 1 2 3 4 \
	    --strategies random placebo oracle_loss entropy coreset learning_loss && \
	  $(BIN)/python tools/al_compare.py work_dirs/$${task}_$$control --out work_dirs/controls/$${task}_$$control || exit 1; \
	done; done

matrix: setup  ## every strategy on every sandbox, two short cycles each: minutes
	for task in cls det pose; do $(BIN)/python tools/make_sandbox.py $$task --root $(SANDBOX); done
	OMP_NUM_THREADS=1 $(BIN)/python tools/matrix.py --root $(SANDBOX)

$(ACTIVEML)/.done: tools/benchmarks/activeml.txt
	$(PYTHON) -m venv $(ACTIVEML)
	$(ACTIVEML)/bin/python -m pip install --quiet --requirement $<
	touch $@

agreement: setup $(ACTIVEML)/.done  ## the picks of each strategy beside scikit-activeml's: a minute
	OMP_NUM_THREADS=1 $(BIN)/python tools/agreement.py --environment $(ACTIVEML)

torture: setup  ## runs of every task killed hundreds of times, and compared with undisturbed ones: half an hour
	for task in cls det pose; do $(BIN)/python tools/make_sandbox.py $$task --root $(SANDBOX); done
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.torture --root $(SANDBOX) --kills 300

proof: setup  ## the paper's networks learn a few real images by heart, and the module their order, from AL_DATA or data/; docs/proof.md has times
	$(BIN)/python tools/proof.py

report: setup  ## strategies x seeds on every sandbox (and CIFAR-10 where data/cifar10 is), and the page that compares them: hours
	$(foreach task,cls det pose,$(BIN)/python tools/make_sandbox.py $(task) --root $(SANDBOX) && \
	  $(SWEEP) configs/$(task)_sandbox.py --strategies $(ALL) $(ALSO_$(task)) --seeds 0 1 2 3 4 && ) true
	$(SWEEP) configs/det_sandbox.py --strategies placebo --seeds 0 1 2 3 4
	$(SWEEP) configs/det_sandbox.py --strategies random --module joint --seeds 0 1 2 3 4
	if [ -d data/cifar10 ]; then $(SWEEP) configs/cls_cifar10_small.py --strategies random learning_loss --seeds 0 1 2; fi
	$(BIN)/python tools/al_compare.py $$(ls -d work_dirs/cls_cifar10_small 2>/dev/null) work_dirs/cls_sandbox \
	  work_dirs/det_sandbox work_dirs/pose_sandbox --out work_dirs/report
	cp work_dirs/report/curves.png docs/report.png

test: setup lint types unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

unit: setup  ## on two processes; tests on real images need AL_DATA, those on odd data sets AL_CASES
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

quick: setup lint  ## between edits: lint, and the tests that are not marked slow; under three minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

$(LANE)/.done: tests/label_studio/requirements.txt
	$(PYTHON) -m venv $(LANE)
	$(LANE)/bin/python -m pip install --quiet --requirement $<
	touch $@

test-label-studio: setup $(LANE)/.done  ## a real Label Studio on the loopback, and datumaro: 1 GB, then minutes
	OMP_NUM_THREADS=1 AL_LABEL_STUDIO=$(LANE) $(BIN)/python -m pytest tests/label_studio

$(VENV)/.docs: $(VENV)/.done
	$(BIN)/python -m pip install --quiet --only-binary :all: --constraint constraints.txt --editable '.[docs]'
	touch $@

docs: $(VENV)/.docs  ## the pages of docs/ and the API as a site in site/; needs Python 3.11 or later
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:  ## everything that can be made again, but no run
	rm -rf $(VENV) $(LANE) $(ACTIVEML) $(SANDBOX) site .mypy_cache .pytest_cache .ruff_cache *.egg-info
