# Each target does its own set-up: a clone, then `make run` or `make test`, is all there is.

SETUP  := @scripts/setup.sh
PY := .venv/bin/python

help:                ## this list
	@sed -n 's/^\([a-z-]*\): .*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

run:                 ## nine agents trade on six loopback venues: judged, signed, sent, recorded
	$(SETUP) run
	@$(PY) examples/run_session.py

test:                ## C tests, Python tests, style
	$(SETUP) test
	@scripts/test.sh

check:               ## test, lint, types, sanitizers, coverage, model, crashes, fuzzers, wheel
	$(SETUP) check
	@scripts/check.sh

build:               ## the core, the extension and the command zcp in .venv
	$(SETUP) run

dev:                 ## everything that work on the tree needs
	$(SETUP) check

lint:                ## ruff, mypy, clang-format, clang-tidy
	$(SETUP) check
	@scripts/lint.sh

format:              ## rewrite the sources as lint wants them
	$(SETUP) check
	@scripts/format.sh

bench:               ## each step and the gate beside the bare libraries
	$(SETUP) bench
	@.venv/bin/zcp bench

fuzz:                ## each fuzzer for FUZZ_SECONDS (60)
	$(SETUP) check
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-60} scripts/fuzz.sh

enclave-test:        ## the enclave's image, built and booted under QEMU (once: a quarter of an hour)
	$(SETUP) enclave
	@scripts/enclave_test.sh

wheel:               ## a wheel in dist/ with the C libraries inside, tested without them
	$(SETUP) check
	@scripts/wheel.sh && scripts/test_wheel.sh

docs:                ## write again what is generated in docs/
	$(SETUP) run
	@$(PY) tests/golden/make_status.py
	@$(PY) scripts/docs.py && $(PY) scripts/cli_docs.py
	@$(PY) scripts/cli_docs.py

clean:               ## remove all that was built, .venv too
	rm -rf build dist .venv python/*.egg-info python/sentinel/_core*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help run test check build dev lint format bench fuzz enclave-test wheel docs clean
