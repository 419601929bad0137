# rectal-node. `make` alone prints this help.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := setup/constraints.txt
export TCP_NODELAY := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Nothing outside the checkout, and all on the one disk whose space is checked. What pip has downloaded is kept until
# its step has ended, so that an interrupted one goes on. matplotlib keeps its font cache here too.
export PIP_CACHE_DIR := $(CURDIR)/$(VENV)/cache
export MPLCONFIGDIR := $(CURDIR)/$(VENV)/matplotlib
# The tests are many processes, of which each would compile every source anew.
unexport PYTHONDONTWRITEBYTECODE
PIP := TMPDIR="$(CURDIR)/$(VENV)/tmp" $(BIN)/pip install --quiet --constraint $(CONSTRAINTS)

# cpu or cuda: as asked, else as installed, else cuda only where there is an NVIDIA GPU.
GPU = $(or $(wildcard /proc/driver/nvidia/gpus/*),$(shell nvidia-smi -L 2>/dev/null))
TORCH := $(or $(TORCH),$(patsubst $(VENV)/.torch-%,%,$(firstword $(wildcard $(VENV)/.torch-*))),$(if $(GPU),cuda,cpu))
# In MB: what a first installation occupies at its fullest, its downloads included, and what the demo leaves. That for cpu
# was measured (2504 and 676); that for cuda is reckoned from the wheels, which are 3.3 GB before they are unpacked.
MEGABYTES_cpu := 3500
MEGABYTES_cuda := 14000

ifeq ($(filter cpu cuda,$(TORCH)),)
$(error TORCH is cpu or cuda, not $(TORCH))
endif

.DEFAULT_GOAL := help
.PHONY: help demo test receiving lint unit end-to-end interop faults fuzz damage ohif serve serving train train-segmentation train-super-resolution train-prediction measure-own-masks bench audit sbom wheelhouse upgrade clean

help: ## Show this help
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-23s %s\n", $$1, $$2}'

# An environment whose Python has gone, as happens when the system's is replaced, is made anew.
ifeq ($(realpath $(BIN)/python),)
.PHONY: $(VENV)/.made
endif

# The stamps: each step leaves one when it has ended, and the next `make` begins with the first that is missing.
$(VENV)/.made:
	@mkdir -p $(VENV)
	@sh setup/check.sh machine $(PYTHON) $(VENV) $(MEGABYTES_$(TORCH))
	@# One whose making was interrupted is made anew; one that was whole is kept.
	[ -e $(VENV)/.installed ] && $(BIN)/pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@sh setup/check.sh index $(BIN)/pip
	@touch $@

$(VENV)/.torch-$(TORCH): $(VENV)/.made $(CONSTRAINTS)
	@rm -rf $(VENV)/tmp $(VENV)/.torch-* && mkdir $(VENV)/tmp
	TMPDIR="$(CURDIR)/$(VENV)/tmp" sh setup/torch.sh $(BIN)/pip $(TORCH) $(MEGABYTES_cuda)
	@touch $@

# pyradiomics comes as source: what builds it stands in the environment, in tested versions, where pip alone would take
# the newest. Of the two distributions of pyradiomics only one can be there, their files have the same names. pyjpegls
# has no wheel for Python 3.14 and brings what builds it itself.
$(VENV)/.installed: $(VENV)/.torch-$(TORCH) pyproject.toml $(CONSTRAINTS)
	@rm -rf $(VENV)/tmp && mkdir $(VENV)/tmp
	@! $(BIN)/pip show --quiet pyradiomics 2>/dev/null || $(BIN)/pip uninstall --quiet --yes pyradiomics pyradiomics-bhklab
	$(PIP) setuptools versioneer numpy pyjpegls
	$(PIP) --no-build-isolation --editable .
	@rm -rf $(VENV)/tmp $(VENV)/cache && touch $@

# The laboratory (models/research) beside the node.
$(VENV)/.installed-research: $(VENV)/.installed
	@rm -rf $(VENV)/tmp && mkdir $(VENV)/tmp
	$(PIP) --no-build-isolation --editable ".[research]"
	@rm -rf $(VENV)/tmp $(VENV)/cache && touch $@

$(VENV)/.installed-test: $(VENV)/.installed-research
	@rm -rf $(VENV)/tmp && mkdir $(VENV)/tmp
	$(PIP) --no-build-isolation --editable ".[test]"
	@rm -rf $(VENV)/tmp $(VENV)/cache && touch $@

demo: $(VENV)/.installed-research ## Install, then run the node on simulated studies of four vendors; SERVE=1 goes on serving its page
	$(BIN)/rectal-node demo demo $(if $(SERVE),--serve)

test: $(VENV)/.installed-test tools lint ## Install what is missing, then every check and test
	$(PYTEST)

lint: $(VENV)/.installed-test ## ruff, mypy --strict, import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Tests of one file share what they have started, so a file stays with one worker. The longest come first (tests/conftest.py),
# those of the whole node wait much: a third worker uses the time.
PYTEST := $(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

unit: $(VENV)/.installed-test ## Tests of the rooms
	$(PYTEST) --ignore tests/end_to_end

end-to-end: $(VENV)/.installed-test tools ## The node against Orthanc and DCMTK
	$(PYTEST) tests/end_to_end

# The suite has a short form of it, one row or two a service.
interop: $(VENV)/.installed-test tools ## Every service in both roles with every real part; destinations that go wrong; random queries; results in every reader (20 min)
	$(PYTEST) -m "" tests/interop tests/parts tests/node/results tests/end_to_end/test_demo.py

DCMJS := tests/parts/dcmjs
$(DCMJS)/node_modules/.package-lock.json: $(DCMJS)/package-lock.json
	npm ci --prefix $(DCMJS) --ignore-scripts --no-audit --no-fund --silent --fetch-retries 1 --fetch-timeout 30000

.PHONY: tools
tools: # what the tests talk to: Debian packages, a receiver from npm; nothing to do where they are installed
	@missing=""; \
	for pair in Orthanc:orthanc /usr/share/orthanc/plugins/libOrthancDicomWeb.so:orthanc-dicomweb storescu:dcmtk \
		dciodvfy:dicom3tools /usr/lib/postgresql/15/bin/postgres:postgresql chromium:chromium \
		/usr/share/java/pixelmed.jar:pixelmed-apps strace:strace eatmydata:eatmydata systemd-analyze:systemd; do \
		[ -e "$${pair%%:*}" ] || command -v "$${pair%%:*}" >/dev/null 2>&1 || missing="$$missing $${pair##*:}"; \
	done; \
	[ -z "$$missing" ] || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing; }
	@$(MAKE) --no-print-directory $(DCMJS)/node_modules/.package-lock.json || echo "no npm, or no registry: tests with dcmjs-dimse will be skipped"

# Pinned by what npm says of the package; of 213 MB the fifth that maps sources is left out.
OHIF := runs/ohif
OHIF_VERSION := 3.13.2
OHIF_SHA512 := 5997719a9986eeba85816f5924b71b82bdd70ad2e2d4a0cd3e831a798e4f3deea3e06e1f8c48e393271933a0ba664d85f3b04ac457e9abe8dde715d907d13c10
$(OHIF)/.unpacked-$(OHIF_VERSION):
	rm -rf $(OHIF) && mkdir -p $(OHIF)
	cd $(OHIF) && npm pack --silent @ohif/app@$(OHIF_VERSION)
	echo "$(OHIF_SHA512)  $(OHIF)/ohif-app-$(OHIF_VERSION).tgz" | sha512sum --check --quiet
	tar -xzf $(OHIF)/ohif-app-$(OHIF_VERSION).tgz -C $(OHIF) --strip-components 2 --exclude '*.map' package/dist
	rm $(OHIF)/ohif-app-$(OHIF_VERSION).tgz && touch $@

ohif: $(VENV)/.installed-test tools $(OHIF)/.unpacked-$(OHIF_VERSION) ## The viewer OHIF in Chromium on the node: lists the study of a demo, opens the T2WI, shows the segmentation
	$(BIN)/pytest -m ohif tests/end_to_end/test_ohif.py

# PART: kills, boundaries, power_cut, outages or day (docs/reliability.md); without it, all.
faults: $(VENV)/.installed-test tools ## Kills, power cuts, databases and destinations that go, a hospital's day (hours; goes on); docs/reliability.md
	$(BIN)/pytest -m faults tests/faults$(PART:%=/test_%.py); result=$$?; $(BIN)/python -m tests.faults.page; exit $$result

fuzz: $(VENV)/.installed-test ## 130,000 files with changed bytes for all that reads files (20 min); `make receiving` has the associations
	RECTAL_NODE_LONG=1 $(BIN)/pytest tests/node/results/test_mutated_files.py

damage: $(VENV)/.installed-test ## Studies with damaged headers: 500 seeds, and 10 through the shipped bundles; varied ones: 300 patients (half an hour)
	DAMAGE_SEEDS=500 DAMAGE_SHIPPED=10 RECTAL_NODE_LONG=1 $(BIN)/pytest tests/node/damage \
		tests/node/recognition/test_many_patients.py

# Its own environment holds what `pip install .` brings, no more; the study is made by the ordinary one.
SERVING := runs/serving
serving: $(VENV)/.installed-research ## Install without the extra `research` in runs/serving, analyse a study there
	rm -rf $(SERVING)/study $(SERVING)/node* $(SERVING)/archive*
	$(BIN)/rectal-node simulate $(SERVING)/study --scanner Skyra --seed 104
	$(MAKE) --no-print-directory VENV=$(SERVING)/venv TORCH=$(TORCH) $(SERVING)/venv/.installed
	sh setup/serving.sh $(SERVING)/venv/bin $(SERVING)

# Its own environment: what looks at the packages is none of them.
AUDIT := runs/audit/venv
$(AUDIT)/.installed:
	$(PYTHON) -m venv --clear $(AUDIT)
	$(AUDIT)/bin/pip install --quiet pip-audit==2.10.1 cyclonedx-bom==7.5.0
	@touch $@

audit: $(VENV)/.installed $(AUDIT)/.installed ## Known vulnerabilities of the installed packages; says so where no source of advisories is reachable
	$(AUDIT)/bin/python setup/audit.py $$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")

SBOM := runs/sbom/rectal-node.cdx.json
sbom: $(VENV)/.installed $(AUDIT)/.installed ## Bill of materials (CycloneDX 1.6) of what is installed and of the models: runs/sbom/rectal-node.cdx.json
	@mkdir -p $(dir $(SBOM))
	$(AUDIT)/bin/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-reproducible --spec-version 1.6 -o $(SBOM)
	$(BIN)/python setup/sbom.py $(SBOM) models/weights

wheelhouse: $(VENV)/.installed ## All that an installation without internet needs, checked by SHA-256, and the way back: runs/wheelhouse
	sh setup/wheelhouse.sh $(BIN) runs/wheelhouse

serve: $(VENV)/.installed ## Run the node with ./config.toml
	$(BIN)/rectal-node serve

train: $(VENV)/.installed-research ## Train by the full recipes (days on a CPU)
	$(BIN)/python -m models.research.training.segmentation
	$(BIN)/python -m models.research.training.super_resolution
	$(BIN)/python -m models.research.training.prediction

# The shipped segmentation was trained on a GPU, in minutes; on a CPU this takes half a day.
train-segmentation: $(VENV)/.installed-research ## Repeat the shipped segmentation
	$(BIN)/python -m models.research.training.segmentation --optimizer adamw --epochs 10 --batches 420 \
		--batch-size 8 --window 24,64,64 --features 32,32,64,96,128,32 --cases 170 --test-cases 6 --precision bf16-mixed \
		--threads 1 --workers $(shell nproc) --version 0.4.0 --folder runs/segmentation-0.4.0

# ComBat is an extra that the environment of the tests holds.
train-prediction: $(VENV)/.installed-test ## Repeat the shipped prediction and its report
	$(BIN)/python -m models.research.training.prediction --cases 780 --test-cases 60 --version 0.5.1 \
		--classifiers all --combat --report docs/models/prediction.md

# The first two commands print the names of the folders.
measure-own-masks: $(VENV)/.installed-research ## Shipped prediction under the node's own masks: MEASURED=, OWN_MASKS= folders
	$(BIN)/python -m models.research.training.prediction.measure_cases --cases 780 --own-masks 40
	$(BIN)/python -m models.research.training.prediction.measure_cases --cases 780 --last 40
	$(BIN)/python -m models.research.training.prediction.own_masks --measured $(MEASURED) --own-masks $(OWN_MASKS) \
		--report docs/models/prediction-own-masks.md

# The shipped super-resolution goes on from 0.2.0, whose weights are in the history; after 16 epochs its rate was made to
# fall sooner. REAL: the volumes that
# models/research/training/super_resolution/real_volumes.csv names. The result is the same, bit for bit, only on the
# same kind of processor.
REAL ?= runs/real-volumes
SUPER_RESOLUTION_0_2_0 := df7ba65

SUPER_RESOLUTION := $(BIN)/python -m models.research.training.super_resolution --version 0.3.0 \
	--start-from runs/super-resolution-0.2.0 --cases 12 --test-cases 1 --real $(REAL) --real-share 0.7 \
	--as-measured 0.7 --patch 16 24 48 --batches 50 --learning-rate 0.0008 --threads 1

runs/super-resolution-0.2.0:
	mkdir -p $@
	git archive $(SUPER_RESOLUTION_0_2_0) models/weights/super-resolution | tar -x -C $@ --strip-components 3

train-super-resolution: $(VENV)/.installed-research runs/super-resolution-0.2.0 ## Repeat the shipped super-resolution
	$(SUPER_RESOLUTION) --epochs 32 --adversarial-from 0.9375 --stop-after 16
	$(SUPER_RESOLUTION) --epochs 21 --adversarial-from 0.9524

receiving: $(VENV)/.installed-test ## Long forms of the tests of the receiving loop: 20,000 mutated associations
	RECTAL_NODE_LONG=1 $(BIN)/pytest tests/node/services/test_mutated_streams.py

bench: $(VENV)/.installed-test tools ## Measure the node beside others, write docs/performance.md; goes on where it was interrupted
	$(BIN)/python -m benchmarks

upgrade: $(VENV)/.installed-test ## Newest releases into setup/constraints.txt, then every test; torch by TORCH_VERSION=
	sh setup/upgrade.sh $(BIN) $(TORCH) $(TORCH_VERSION)
	$(MAKE) test

clean: ## Remove the environment and everything that runs have left
	rm -rf $(VENV) demo var runs build *.egg-info
