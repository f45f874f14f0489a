# Every command that people and CI run. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help engine build release test lint fmt demo demo-build clean

ITEMS ?= 10000
SECONDS ?= 20
SEED ?= 1
PROFILE ?= demo

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

engine: ## bring the embedded ClickHouse library from npm
	@sh engine/install.sh

build: ## build for development
	cargo build --workspace

release: ## build `tb` and the simulator, optimised
	cargo build --release --locked -p cli -p aws-sim

demo-build:
	cargo build --profile $(PROFILE) --locked -p cli -p aws-sim

test: engine ## run every test
	cargo test --workspace --locked

lint: ## rustfmt, clippy with warnings as errors, cargo deny if it is there
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny check; else echo "cargo-deny is not installed: skipped"; fi

fmt: ## format the code
	cargo fmt --all

demo: engine demo-build ## a table appears in ClickHouse and is followed (ITEMS=n, SECONDS=n, SEED=n, KEEP=1, PROFILE=release)
	@python3 demo/demo.py --bin target/$(PROFILE) --items $(ITEMS) --seconds $(SECONDS) --seed $(SEED) $(if $(KEEP),--keep)

clean: ## remove what was built, and what the demo left
	cargo clean
	rm -rf engine/node_modules demo/run
