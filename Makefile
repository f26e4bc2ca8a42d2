# `make` prints what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
WITH_PYTHONPATH_UNSET := env -u PYTHONPATH -u PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help manuals setup run test test-cluster test-mesos contract fuzz simulate simulate-log soak schemathesis chaos chaos-cluster lint bench bundles binaries packages test-packages reproducible clean

help:
	@echo "make setup  install into .venv: aurorad, aurora, aurora_admin, thermos"
	@echo "make run    start a cluster on this machine and run a first job on it (ONCE=1: end by itself)"
	@echo "make test   run the tests"
	@echo "make test-cluster  run those of three schedulers and ZooKeepers in network namespaces (root)"
	@echo "make contract  replay what Apache Aurora answered; URL=http://host:8081: try every row of the contract on any scheduler"
	@echo "make fuzz   send broken requests to a scheduler, and look whether it minds (BODIES=1000000 SEED=1)"
	@echo "make test-mesos  run what needs a Mesos cluster on a real one: the end-to-end tests once more, and faults (MESOS_RIG=mesos-rig)"
	@echo "make simulate  run the whole scheduler through faults in simulated time (SEEDS=1000 SEED=0 TRACE=file)"
	@echo "make simulate-log  run the replicated log alone through faults of disks, network and clocks (SEEDS=1000 SEED=0 TRACE=file)"
	@echo "make soak   storms of users and of kill -9 over a whole cluster (ROUNDS=20 SECONDS=60 SEED=1)"
	@echo "make schemathesis  ask the JSON API of a real daemon whatever its document allows, and what it does not (EXAMPLES=100)"
	@echo "make chaos  kill -9 executors, coordinators, launcher and processes of tasks at any moment (RUNS=500 SEED=1)"
	@echo "make chaos-cluster  cut, kill and stop three schedulers and ZooKeepers in network namespaces (ROUNDS=200 SEED=1; root)"
	@echo "make lint   check types, style and the floors of the architecture"
	@echo "make bench  measure, and print the figures next to their goals"
	@echo "make binaries  bundle the programs into dist/aurorad and dist/aurora, which need no Python, and try them"
	@echo "make packages  make .deb and .rpm of scheduler, executor and tools, in dist/packages (VERSION=0.1.0)"
	@echo "make test-packages  install, upgrade, remove and use them in a fresh Debian, and in an rpm root (root)"
	@echo "make reproducible  build everything twice, and compare"
	@echo "make manuals  write the manual pages of all programs into dist/man, completions into dist/completions"
	@echo "make clean  remove what the other targets made"

setup: $(INSTALLED)

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is missing: Python 3.11 or newer is needed" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $$($(PYTHON) --version) is too old: Python 3.11 or newer is needed" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: the venv module of $(PYTHON) is missing: apt-get install python3-venv" >&2; exit 1; }
	@$(WITH_PYTHONPATH_UNSET) $(PYTHON) -m venv $(VENV)

$(INSTALLED): $(BIN)/python requirements.lock pyproject.toml
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check --use-pep517 --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

$(INSTALLED_DEV): $(INSTALLED) requirements-dev.lock
	@command -v krb5-config >/dev/null && command -v cc >/dev/null || { \
		echo "make: what builds gssapi is missing: apt-get install gcc python3-dev libkrb5-dev" >&2; exit 1; }
	@echo "installing what tests and checks need ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

run: $(INSTALLED)
	@$(BIN)/python examples/run.py $(if $(ONCE),--once) $(if $(HTTP_PORT),--http-port $(HTTP_PORT)) \
		$(if $(OBSERVER_PORT),--observer-port $(OBSERVER_PORT))

test: $(INSTALLED_DEV)
	@for tool in chromium chromedriver curl fish groff ip openssl prometheus promtool sqlite3 thrift zsh; do command -v $$tool >/dev/null || { \
		echo "make: $$tool is missing: apt-get install chromium chromium-driver curl fish groff-base iproute2 openssl prometheus sqlite3 thrift-compiler zsh" >&2; exit 1; }; done
	@command -v java >/dev/null && test -e /usr/share/java/zookeeper.jar || { \
		echo "make: ZooKeeper is missing: apt-get install libzookeeper-java default-jre-headless" >&2; exit 1; }
	@command -v monit >/dev/null && command -v supervisord >/dev/null || { \
		echo "make: supervisors are missing: apt-get install monit supervisor" >&2; exit 1; }
	@test -x /usr/sbin/sshd && command -v scp >/dev/null || { \
		echo "make: ssh is missing: apt-get install openssh-client openssh-server" >&2; exit 1; }
	@PATH="$$PATH:/usr/sbin" && command -v krb5kdc >/dev/null && command -v kadmin.local >/dev/null && command -v kinit >/dev/null || { \
		echo "make: Kerberos is missing: apt-get install krb5-kdc krb5-admin-server krb5-user" >&2; exit 1; }
	@command -v systemd-analyze >/dev/null || { echo "make: systemd-analyze is missing: apt-get install systemd" >&2; exit 1; }
	$(BIN)/python -m pytest -n 4 --dist loadfile --ignore=tests/cluster $(ARGS)

test-cluster: $(INSTALLED_DEV)
	$(BIN)/python -m pytest -n 3 --dist loadfile tests/cluster $(ARGS)

test-mesos: $(INSTALLED_DEV)
	@for tool in chromium chromedriver curl ss setpriv; do command -v $$tool >/dev/null || { \
		echo "make: $$tool is missing: apt-get install chromium chromium-driver curl iproute2 util-linux" >&2; exit 1; }; done
	$(BIN)/python -m pytest -n 2 --dist loadfile --engine=mesos $(ARGS) tests/e2e tests/mesos tests/engine/mesos

contract: $(INSTALLED_DEV)
	@$(BIN)/python -m $(if $(URL),tests.contract.rows $(URL),tests.contract)

fuzz: $(INSTALLED_DEV)
	@PYTHONHASHSEED=0 $(BIN)/python -m tests.fuzz --bodies $(or $(BODIES),1000000) --seed $(or $(SEED),1)

simulate: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),1000) --seed $(or $(SEED),0) $(if $(TRACE),--trace $(TRACE))

simulate-log: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.simulation.log --seeds $(or $(SEEDS),1000) --seed $(or $(SEED),0) $(if $(TRACE),--trace $(TRACE))

soak: $(INSTALLED_DEV)
	CHAOS_ROUNDS=$(or $(ROUNDS),20) CHAOS_SECONDS=$(or $(SECONDS),60) CHAOS_SEED=$(or $(SEED),1) \
		$(BIN)/python -m pytest -x tests/soak/storms.py  # by name: `make test` does not look for it

schemathesis: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.web.v1 $(or $(EXAMPLES),100) $(SEED)

chaos: $(INSTALLED_DEV)
	CHAOS_RUNS=$(or $(RUNS),500) CHAOS_SEED=$(or $(SEED),1) \
		$(BIN)/python -m pytest -s tests/soak/test_violence.py

chaos-cluster: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.cluster --rounds $(or $(ROUNDS),200) --seed $(or $(SEED),1)

lint: $(INSTALLED_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(INSTALLED_DEV)
	$(BIN)/python -m tests.bench

binaries: bundles
	$(BIN)/python -m pytest -x tests/packaging/binaries.py  # by name: `make test` does not look for it

# The same tree shall give the same bytes, whenever it is built.
bundles: export SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),0)
bundles: export PYTHONHASHSEED = 0
bundles: export PYTHONPATH = .
bundles: $(INSTALLED_DEV)
	$(BIN)/pyinstaller --noconfirm --log-level WARN --distpath dist --workpath build packaging/aurorad.spec

packages: export SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),0)
packages: bundles manuals
	@for tool in dpkg-deb rpmbuild objdump; do command -v $$tool >/dev/null || { \
		echo "make: $$tool is missing: apt-get install binutils dpkg rpm" >&2; exit 1; }; done
	$(BIN)/python packaging/packages $(if $(VERSION),--version $(VERSION))

test-packages: packages
	@PATH="$$PATH:/usr/sbin" && for tool in debootstrap lintian rpm rpmlint systemd-nspawn; do command -v $$tool >/dev/null || { \
		echo "make: $$tool is missing: apt-get install debootstrap lintian rpm rpmlint systemd-container" >&2; exit 1; }; done
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/packaging/binaries.py tests/packaging/checked.py \
		tests/packaging/installed.py tests/packaging/red_hat.py $(ARGS)  # by name: `make test` does not look for them

# Twice, into folders of the same name, as from a clone elsewhere; then each file is compared.
reproducible: $(INSTALLED_DEV)
	$(MAKE) packages
	rm -rf build/first && mkdir -p build/first && cp -a dist build/first && rm -rf dist build/aurorad
	find aurorad client executor -name __pycache__ -type d -prune -exec rm -rf {} +
	$(MAKE) packages
	diff -rq --no-dereference build/first/dist dist && echo "the same bytes in all files"

manuals: $(INSTALLED)
	$(BIN)/python packaging/manuals.py dist/man
	$(BIN)/python packaging/completions.py dist/completions

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .run
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
