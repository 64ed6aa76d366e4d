# make demo   sets up .venv and trains a spiking LeNet on the embedded digits
# make test   sets up .venv and runs lint, types and tests, in 5 to 9 minutes on 2 cores
# make thorough   those tests and longer ones: combinations, kills, whole runs; CI runs it under the newest Python
# make slow   the tests that take minutes each, by programs optimised as in users' runs
# make mutants   changes the core point by point and says which changes no test notices, hours
# make bench  measures six train steps and says which became slower or larger
# make gpu    measures all that was never measured on a GPU, 25 minutes; again: goes on (ARGS="--data_dir=..." and so on)
# make notebooks   executes the notebooks anew: notebooks/*.py to notebooks/*.ipynb, minutes

PYTHON ?= python3
VENV ?= .venv
PEERS ?= .venv-peers
RUN = $(VENV)/bin/python -m

# glibc only: large pages and no returning of memory between steps make a CPU train step 1.4 times as fast
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=268435456

.PHONY: demo test thorough slow mutants bench gpu notebooks peers clean

demo: $(VENV)/.demo
	$(RUN) experiments.digits

test: $(VENV)/.test
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) pytest

thorough: $(VENV)/.test
	$(RUN) pytest -m 'not slow'

slow: $(VENV)/.test
	XLA_FLAGS= $(RUN) pytest -m slow -n 0

mutants: $(VENV)/.test
	$(RUN) tests.mutants

BENCHED ?= W1:spikebp:5 W1:arctan:5 W2:spikebp:0 W2:arctan:0 W4:arctan:0 W5:arctan:5
bench: $(VENV)/.demo
	for setting in $(BENCHED); do set -- $$(echo $$setting | tr : ' '); \
	  $(RUN) benchmarks.train_step --workload=$$1 --rule=$$2 --time_chunk=$$3 || exit; done
	$(RUN) benchmarks.check --benchmark=train_step

gpu: $(VENV)/.gpu
	$(RUN) benchmarks.gpu $(ARGS)

notebooks: $(VENV)/.notebooks
	$(RUN) jupytext --quiet --update --to ipynb notebooks/*.py
	$(RUN) nbconvert --log-level=WARN --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False notebooks/*.ipynb

# the libraries that benchmarks.peers and benchmarks.neuron compare with, in an environment of their own
peers: $(PEERS)/.installed

$(PEERS)/.installed: benchmarks/peers/requirements.txt benchmarks/peers/requirements-no-deps.txt
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers/requirements.txt
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/peers/requirements-no-deps.txt
	touch $@

$(VENV)/.%: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "jaxsnn needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; give another: make PYTHON=python3.12")'
	@echo 'setting up $(VENV), about a minute'
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
