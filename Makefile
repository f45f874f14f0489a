# Every command that people and CI run. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: bench bench-quick bench-check bench-record bench-pictures bench-programs help engine ministack build release test sim sim-week mutants chaos lint fmt demo demo-build clients verify-big fuzz fuzz-build fuzz-corpus clean

ITEMS ?= 10000
ROWS ?= 1000000
SECONDS ?= 20
SEED ?= 1
SEEDS ?= 2000
FROM ?= 1
WEEK_SEEDS ?= 3
WEEK_HOURS ?= 168
ONLY ?=
KILLS ?= 50
PROFILE ?= demo
TARGET ?= line

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

# Another simulator of AWS, to check ours and the mirror against. MINISTACK=off does without it.
MINISTACK_VERSION = 1.5.33
MINISTACK_VENV = target/ministack-venv

ministack: ## install ministack, an independent simulator of AWS that one test uses
ifneq ($(MINISTACK),off)
	@test -x $(MINISTACK_VENV)/$(MINISTACK_VERSION) || { rm -rf $(MINISTACK_VENV) && python3 -m venv $(MINISTACK_VENV) \
		&& $(MINISTACK_VENV)/bin/pip install --quiet --disable-pip-version-check ministack==$(MINISTACK_VERSION) \
		&& mkdir $(MINISTACK_VENV)/$(MINISTACK_VERSION); }
endif

test: engine ministack ## run every test (MINISTACK=off: without the one that needs Python)
	cargo test --workspace --locked

sim: ## simulate SEEDS=n lives of a mirror from FROM=n on; SEED=n tells the story of one
	@cargo run --quiet --profile sim --locked -p testkit --example sim -- --from $(FROM) --seeds $(SEEDS) \
		$(if $(filter file,$(origin SEED)),,--seed $(SEED))

sim-week: ## simulate a week of a mirror from SEED=n on, and its lag, headroom and calls (WEEK_SEEDS=n, WEEK_HOURS=n)
	@cargo run --quiet --profile sim --locked -p testkit --example sim -- --from $(SEED) --seeds $(WEEK_SEEDS) \
		--week-hours $(WEEK_HOURS)

mutants: ## break the code on purpose and see that the simulation notices (SEEDS=n each, ONLY=name,name)
	@python3 -u mutants/run.py $(if $(filter file,$(origin SEEDS)),,--seeds $(SEEDS)) --only '$(ONLY)'

chaos: engine ## kill server and engine at random moments under load (KILLS=n, CHAOS_SEED=n)
	@mkdir -p target && rm -f target/chaos.txt
	@KILLS=$(KILLS) CHAOS_REPORT=$(CURDIR)/target/chaos.txt cargo test --locked -p cli --test main \
		-- --exact e2e::chaos::whatever_is_killed_whenever_nothing_is_lost_or_doubled_or_different --nocapture; \
		status=$$?; cat target/chaos.txt; exit $$status

lint: ## rustfmt, clippy with warnings as errors, cargo deny if it is there
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny check; else echo "cargo-deny is not installed: skipped"; fi

fmt: ## format the code
	cargo fmt --all

demo: engine demo-build ## a table appears in ClickHouse and is followed (ITEMS=n, SECONDS=n, SEED=n, KEEP=1, PROFILE=release)
	@python3 demo/demo.py --bin target/$(PROFILE) --items $(ITEMS) --seconds $(SECONDS) --seed $(SEED) $(if $(KEEP),--keep)

clients: engine demo-build ## the official command line and SDKs, as published, live a connection's life here (ONLY=cli|typescript|python)
	@sh clients/install.sh target/clients
	@python3 clients/run.py --bin target/$(PROFILE) --clients target/clients $(if $(ONLY),--only '$(ONLY)')

verify-big: engine release ## one wrong row among ROWS=n is found and mended while writes go on (SEED=n)
	@python3 demo/verify_big.py --bin target/release --rows $(ROWS) --seed $(SEED)

# What cargo-fuzz passes too, less the sanitizer that only nightly has.
FUZZ_FLAGS = -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares -Clink-dead-code --cfg fuzzing
FUZZ_HOST = $(shell rustc -vV | sed -n 's/^host: //p')
FUZZ_FOLDER ?= fuzz/target
FUZZ_BINARY = $(FUZZ_FOLDER)/$(FUZZ_HOST)/release/$(TARGET)

# With --target, build scripts and macros are built without the instruments.
fuzz-build:
	RUSTFLAGS="$(FUZZ_FLAGS)" cargo build --manifest-path fuzz/Cargo.toml --release --locked --target $(FUZZ_HOST) \
		--target-dir $(FUZZ_FOLDER) --bin $(TARGET) $(if $(filter manifest_%,$(TARGET)),--features manifests)

fuzz: fuzz-build ## libFuzzer on one target (TARGET=line, SECONDS=n, INPUT=file for one input), see docs/fuzzing.md
	@mkdir -p fuzz/work/$(TARGET)
	$(FUZZ_BINARY) $(if $(INPUT),$(INPUT),fuzz/work/$(TARGET) fuzz/corpus/$(TARGET) -max_total_time=$(SECONDS)) \
		-timeout=10 -dict=fuzz/dictionaries/$(TARGET).dict -artifact_prefix=fuzz/work/$(TARGET)- -print_final_stats=1

fuzz-corpus: fuzz-build ## save the fewest inputs of fuzz/work that reach what the corpus does not (TARGET=line)
	$(FUZZ_BINARY) -set_cover_merge=1 -use_counters=0 fuzz/corpus/$(TARGET) fuzz/work/$(TARGET)

# What the benchmark runs; see docs/performance.md. ONLY=name,name selects; REPEATS, ROWS and SECONDS change the amounts.
BENCH_VENV = target/bench/venv
BENCH_PYTHON = $(BENCH_VENV)/bin/python3
BENCH = target/release/bench run --python $(BENCH_PYTHON) --transcode target/release/examples/transcode_rate \
	$(if $(ONLY),--only '$(ONLY)') $(if $(REPEATS),--repeats $(REPEATS)) $(if $(filter file,$(origin ROWS)),,--rows $(ROWS)) \
	$(if $(filter file,$(origin SECONDS)),,--seconds $(SECONDS))

bench-programs: engine
	cargo build --release --locked -p cli -p aws-sim -p bench
	cargo build --release --locked -p mirror --example transcode_rate
	@cmp -s bench/python/requirements.txt $(BENCH_VENV)/installed.txt || { rm -rf $(BENCH_VENV) && python3 -m venv $(BENCH_VENV) \
		&& $(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check -r bench/python/requirements.txt \
		&& cp bench/python/requirements.txt $(BENCH_VENV)/installed.txt; }

bench: bench-programs ## measure everything, in about an hour (ONLY=backfill,stream, REPEATS=n, ROWS=n), see docs/performance.md
	@$(BENCH)

bench-quick: bench-programs ## measure in three to four minutes, with less data and without the long ones
	@$(BENCH) --quick

bench-check: ## fail if a ratio of bench/results.json is worse than the last record by more than 10 %
	@cargo run --quiet --release --locked -p bench -- check

bench-record: ## append the ratios of bench/results.json to bench/history.jsonl
	@cargo run --quiet --release --locked -p bench -- record

bench-pictures: ## draw docs/pictures and the table of docs/performance.md from bench/results.json
	@cargo run --quiet --release --locked -p bench -- draw

clean: ## remove what was built, and what the demo left
	cargo clean
	rm -rf engine/node_modules demo/run fuzz/target
