# Everything happens in the project's own .venv; nothing else on the machine is touched,
# but that `make test` installs Chromium with apt where there is none.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test check fast browsers ray audit bench bench-gpu sheet looks gallery shots clean

run: .venv/app          ## install, then serve the page on http://127.0.0.1:7860
	$(BIN)/python app.py

test: check             ## install, then lint, type-check and run all tests
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	  (apt-get update -q && apt-get install -yq chromium) || \
	  { echo "Chromium is needed for the browser tests: install it with your package manager."; exit 1; }
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "not browser and not browsers and not ray"
	$(BIN)/python -m pytest -n auto --dist loadfile -m browser

check: .venv/dev        ## lint and type-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell
	DENO_NO_UPDATE_CHECK=1 NO_COLOR=1 $(BIN)/deno fmt --quiet --check --config page/assets/deno.json page/assets page/templates
	DENO_NO_UPDATE_CHECK=1 NO_COLOR=1 $(BIN)/deno lint --quiet --config page/assets/deno.json page/assets

fast: .venv/dev         ## the tests within this process, without the real network: a minute
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not real and not browser and not browsers and not ray and not slow"

# Not part of `test`, which a machine with Chromium alone passes.
browsers: .venv/dev     ## the page's main path in Firefox, and in WebKit, which is Safari's engine
	@{ command -v firefox-esr || command -v firefox; } >/dev/null && \
	  command -v WebKitWebDriver >/dev/null && command -v Xvfb >/dev/null || \
	  (apt-get update -q && \
	    apt-get install -yq --no-install-recommends firefox-esr webkit2gtk-driver xvfb) || \
	  { echo "Install Firefox, WebKitWebDriver and Xvfb with your package manager."; exit 1; }
	$(BIN)/python -m pytest tests/browsers -m browsers

# Not part of `test`, which does without the 240 MB of Ray. A process keeps the token of its first
# cluster, so each file has one of its own.
ray: .venv/ray          ## clusters whose actors, nodes and heads are killed: three minutes
	@for file in $$(grep -rlE "mark\.ray\b" tests --include="test_*.py"); do \
	  $(BIN)/python -m pytest $$file -m ray || exit 1; done

# Not part of `test`, which needs no network. Where PyPI cannot be asked pip-audit has an error, or
# passes over every package and is content.
audit: .venv/dev        ## ask PyPI for known vulnerabilities of what is installed
	@case "$$($(BIN)/pip-audit --local --progress-spinner off --format json 2>/dev/null)" in \
	  *'"vulns"'*) $(BIN)/pip-audit --local --progress-spinner off;; \
	  *) echo "PyPI could not be asked for known vulnerabilities; nothing was checked.";; \
	esac

bench: .venv/bench      ## this project beside its peers: hours on a CPU; --help of benchmarks.peers lists less
	$(BIN)/python -m benchmarks.peers

bench-gpu: .venv/app    ## what a picture costs on the GPU of this machine, beside two peers: 8 minutes
	$(BIN)/python -m benchmarks.gpu

sheet: .venv/app        ## draw the README's contact sheet again
	$(BIN)/python examples/contact_sheet.py

looks: .venv/app        ## paint the small pictures of the looks on the page again
	$(BIN)/python -m examples.paint_looks

gallery: .venv/dev      ## paint docs/gallery.md again: a quarter of an hour
	$(BIN)/python examples/gallery.py

shots: .venv/dev        ## take pictures of the page in each state, into artifacts/shots
	$(BIN)/python -m benchmarks.shots

clean:
	rm -rf .venv artifacts

.venv/app: requirements.txt requirements-masks.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -r requirements.txt -r requirements-masks.txt
	touch $@

.venv/dev: requirements-dev.txt requirements-ray.txt .venv/app
	$(BIN)/pip install --quiet -r requirements-dev.txt
	touch $@

.venv/ray: requirements-ray.txt .venv/dev
	$(BIN)/pip install --quiet -r requirements-ray.txt
	touch $@

.venv/bench: requirements-benchmarks.txt .venv/dev
	$(BIN)/pip install --quiet -r requirements-benchmarks.txt
	touch $@
