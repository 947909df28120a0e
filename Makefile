# `make demo` and `make test` set everything up themselves; they need only Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
MINERL_PIP := .venv-minerl/bin/python -m pip --quiet --disable-pip-version-check

.PHONY: demo demo-weights test drills test-torchrun test-minerl check clean

# Draw both worlds, then generate a small data set of plaza-v1, and score and show the bundled models and three references on it.
MODELS := millivid framepack full-resolution
REFERENCES := copy-last other-video autoencoded
RUNS := $(addprefix demo/,$(MODELS) $(REFERENCES))
# LPIPS is used if its network can be downloaded from its publisher or the Python package index.
METRICS = psnr,ssim$(if $(shell test -f weights/alexnet/alexnet.safetensors && echo there),$(comma)lpips --weights weights)
comma := ,
demo-weights: $(READY)
	@$(BIN)/python -m benchmark.weights fetch --only alexnet --to weights \
	  || echo "no package index answers: the demo continues without LPIPS"

demo: $(READY) demo-weights
	$(BIN)/python -m loopcraft.generate --out demo/world --split val --num-episodes 2 --num-frames 256
	$(BIN)/python -m loopcraft.masks demo/world
	$(BIN)/python -m loopcraft.view demo/world --out demo/views
	$(BIN)/python -m loopcraft.generate --world plaza-v1 --out demo/data --split val --num-episodes 8 --num-frames 256 \
	  --resolution 64
	$(BIN)/python -m loopcraft.masks demo/data
	@echo "$(METRICS)" | cmp -s - demo/metrics || { rm -rf $(RUNS); echo "$(METRICS)" > demo/metrics; }
	for model in $(MODELS) $(REFERENCES); do \
	  $(BIN)/python -m benchmark.run --model $$model --data demo/data --protocol loopcraft-mini \
	    --metrics $(METRICS) --batch-size 4 --out demo/$$model || exit 1; done
	$(BIN)/python -m leaderboard.compare $(RUNS)
	$(BIN)/python -m benchmark.recall $(RUNS) --data demo/data
	$(BIN)/python -m benchmark.report $(RUNS) --data demo/data --out demo/report
	$(BIN)/python -m leaderboard.build $(RUNS) --data demo/data --out demo/site
	@echo
	@echo "pictures  demo/views    an episode at 256 x 256: its frames, what the context showed of them, map and preview video"
	@echo "data set  demo/data     eight episodes of plaza-v1, 256 frames of 64 x 64, which the bundled models accept"
	@echo "report    demo/report   open report.html in a browser: the models beside the ground truth"
	@echo "site      demo/site     the leaderboard with these runs: file://$(CURDIR)/demo/site/index.html"

# Tests start many processes, so bytecode is cached: otherwise each would compile every source again. Tests wait
# for these processes, so three workers keep two cores busy.
# Tests on published weights download them once from the package index (220 MB), and are skipped if it does not answer.
test: $(READY)
	@$(BIN)/python -m benchmark.weights fetch --only alexnet,vgg16,i3d,aliked --to weights \
	  || echo "no package index answers: tests on the published weights are skipped"
	@command -v chromium > /dev/null || echo "Chromium is missing: tests that open the site are skipped (apt-get install chromium)"
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist worksteal

# The long version, taking hours, of the drills in `make test`. docs/reliability.md reports its counts.
ROUNDS = 25
TIMES = 40
INPUTS = 10000
drills: $(READY)
	$(BIN)/python -m tests.drills.models
	$(BIN)/python -m tests.drills.fuzz --inputs $(INPUTS)
	$(BIN)/python -m tests.drills.guided --inputs $(INPUTS)
	$(BIN)/python -m tests.drills.damage --times $(TIMES)
	$(BIN)/python -m tests.drills.faults
	$(BIN)/python -m tests.drills.kills --rounds $(ROUNDS)

# Test our Minecraft mission against minerl's own classes and schema; downloads its sources (70 MB), needs Python 3.11 but no game.
test-minerl: .venv-minerl/.ready
	PYTHONPATH=.:.venv-minerl/minerl-0.4.4 .venv-minerl/bin/python -m pytest tests/loopcraft/worlds/minerl/contract.py

# Training in two processes: a separate target, because its processes once died on exit on a loaded machine.
test-torchrun: $(READY)
	$(BIN)/python -m pytest -m torchrun

check: $(READY)
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

.venv-minerl/.ready: constraints.txt
	$(PYTHON) -m venv --clear .venv-minerl
	$(MINERL_PIP) install pip==21.3.1 setuptools==65.5.0 wheel==0.38.4
	$(MINERL_PIP) install --no-build-isolation gym==0.19.0
	$(MINERL_PIP) download minerl==0.4.4 --no-deps --no-binary :all: --no-build-isolation -d .venv-minerl
	tar -xzf .venv-minerl/minerl-0.4.4.tar.gz -C .venv-minerl
	$(MINERL_PIP) install -c constraints.txt -r .venv-minerl/minerl-0.4.4/requirements.txt jaxtyping numba numpy pytest tyro
	touch $@

clean:
	rm -rf .venv .venv-minerl demo
