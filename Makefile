# On a fresh machine: `make track VIDEO=street.mp4`, `make demo`, `make test`.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# Two test processes of one thread each, of which one that is done takes tests of the other;
# waiting threads sleep instead of spinning.
PYTEST := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(RUN) -m pytest -n 2 --dist worksteal

.PHONY: install track demo test test-all lint format clean

install: $(VENV)/.runs

$(VENV)/.runs: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet -r requirements.txt
	# OpenCV without a display: where the usual build lacks libGL, the headless one takes its place.
	$(RUN) -c 'import cv2' 2>/dev/null || { \
	  version=$$($(RUN) -m pip show opencv-python | sed -n 's/^Version: //p'); \
	  $(RUN) -m pip uninstall --quiet --yes opencv-python; \
	  $(RUN) -m pip install --quiet --no-deps opencv-python-headless==$$version; }
	touch $@

$(VENV)/.develops: $(VENV)/.runs requirements-dev.txt
	$(RUN) -m pip install --quiet -r requirements-dev.txt
	touch $@

# Follow the people in a video of one's own.
track: install
	@test -n "$(VIDEO)" || { echo 'say which: make track VIDEO=street.mp4' >&2; exit 2; }
	$(RUN) track.py "$(VIDEO)" --video --out "runs/$(basename $(notdir $(VIDEO)))"

# Train for two minutes from random weights, then score the shipped synthetic net on scenes that
# neither has seen: score table, overlay video, report.
demo: install
	rm -rf demo/train demo/eval
	$(RUN) train.py --config recipes/demo.yaml --cache demo/cache --out demo/train
	$(RUN) eval.py --seq synthetic --scenes 4 --data demo --video --out demo/eval
	@echo 'curves: demo/train/curves.png   report: demo/eval/report.html   videos: demo/eval/*.mp4'

test: $(VENV)/.develops
	$(PYTEST) -m 'not slow and not real'

test-all: $(VENV)/.develops
	$(PYTEST)

lint: $(VENV)/.develops
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.develops
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean:
	rm -rf demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
