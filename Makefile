# make demo    trains a character model on this project's own source, eagerly and then compiled; shows what it learnt,
#              that the losses agree, and how much faster compiled code was
# make test    all tests, doc tests and examples included
# make test-long  more random models, damaged files and hostile numbers than `make test` tries: five and ten times as many
# make test-plain  the tests without LLVM; with PLAIN="--lib --test eager", some of them
# make sanitize  captured continuations, compiled code and what enters it, and steps of training under Valgrind
# make miri    explicit operators and arrays in Miri, which wants a nightly toolchain
# make robust  ten times as many damaged and hostile files and sizes as `make test-long` tries, programs that take more than
#              containers and limits give them, and a step compiled for 3,000 shapes
# make bench   benchmarks; at the end a table of training steps, eager and compiled
# make lint    formatting, clippy, documentation; warnings are errors
# make peers   the same trainings, loops, batches and derivatives by this crate, NumPy, PyTorch, JAX and DyNet, side by side
# Each installs what it lacks: on Debian and Ubuntu a C linker, LLVM 19, Graphviz, Open MPI, Python and its venv module;
# NumPy goes to .venv.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
CARGO ?= cargo
PYTHON ?= python3
VENV := .venv
export ANTIPHON_PYTHON ?= $(abspath $(VENV))/bin/python

PLAIN ?= --lib --tests
# How many times as many models and cases `test-long` tries.
TIMES ?= 5
CASES ?= 10000
# Of the tests and of everything that runs them.
FEATURES := staging,onnx,mpi
.PHONY: demo test test-long test-plain robust sanitize miri bench lint peers clean

CHAR_RNN := --release --package antiphon-examples --features staging --example char_rnn
RUN := $(CARGO) run --quiet $(CHAR_RNN) --
DEMO := --cell lstm --hidden 128 --seq 32 --batch 16 --optimizer adam --lr 0.004 --steps 5000 --seed 0

demo: .tools .llvm
	@echo "The library and the example are compiled first, which takes a few minutes; after that, nothing is."
	@$(CARGO) build $(CHAR_RNN)
	@echo
	@echo "First, each operator runs as the model calls it:"
	@$(RUN) $(DEMO) --mode eager --sample-every 5000 \
	    --out out/demo/eager --report out/demo/eager/report.json
	@echo
	@echo "Now the same training, from the same weights on the same text, with the whole step compiled:"
	@$(RUN) $(DEMO) --mode compiled --sample-every 1000 \
	    --out out/demo --save out/demo/weights.npz --report out/demo/report.json \
	    --compare out/demo/eager/report.json
	@echo
	@echo "This was a character-level LSTM that read the project's own source and documentation, and learnt to write"
	@echo "something that looks like it: once eagerly and once compiled, which is one changed line in a program (how the"
	@echo "losses and the times compare stands just above). What was left lies in out/demo:"
	@echo "  comparison.svg           how both losses fell, over steps and over time; open it in a browser"
	@echo "  loss.svg                 the compiled training's loss alone"
	@echo "  weights.npz              its weights, for NumPy: numpy.load('out/demo/weights.npz')"
	@echo "  report.json              its losses and step time; the eager training's are in eager/"
	@echo "  checkpoint.safetensors   go on with: cargo run --release --features staging --example char_rnn -- \\"
	@echo "                             --mode compiled --resume out/demo/checkpoint.safetensors --out out/demo --steps 10000"

# Everything is compiled once, with LLVM, and for the whole workspace: a part of it would be compiled with features of its
# own. `make lint` compiles without LLVM, and `make test-plain` runs the tests without it.
test: .tools .llvm .mpi $(VENV)/.installed
	@command -v dot > /dev/null || $(call apt,graphviz)
	$(CARGO) build --workspace --features $(FEATURES) --examples
	$(CARGO) test --no-fail-fast --workspace --features $(FEATURES) --lib --tests
	$(CARGO) test --workspace --features $(FEATURES) --doc

test-long: .tools .llvm .mpi $(VENV)/.installed
	TIMES=$(TIMES) CASES=$(CASES) $(CARGO) test --workspace --features $(FEATURES) --test random_models --test robust_files --test robust_numbers

# Only tests of programs run the examples.
test-plain: .tools $(VENV)/.installed
	$(if $(findstring --tests,$(PLAIN)),$(CARGO) build --examples)
	$(CARGO) test --no-fail-fast --workspace --exclude antiphon-staging $(PLAIN)

# Left out is what Valgrind does not model: the processor's mode in which denormals are zeros, and AVX's comparison `neq_oq`,
# which under it is true of what is no number.
# Stacks may lie side by side: what moves the stack pointer further than this is a switch to another, and no large frame.
VALGRIND := --config 'target."cfg(all())".runner = ["valgrind", "-q", "--error-exitcode=9", "--max-stackframe=65536"]'
sanitize: .tools .llvm .mpi
	@command -v valgrind > /dev/null || $(call apt,valgrind)
	$(CARGO) test $(VALGRIND) --workspace --features $(FEATURES) --test compiled -- runs:: --skip denormals_
	$(CARGO) test $(VALGRIND) --workspace --features $(FEATURES) --test foreign_stacks
	$(CARGO) test $(VALGRIND) --workspace --features $(FEATURES) --test eager -- shift_reset:: destructors::
	$(CARGO) test $(VALGRIND) --workspace --features $(FEATURES) --test compiled -- --skip kinks_ destructors:: escape:: semantics:: \
	    training::the_state_ training::a_step_that_fails_ training::data_of_

# Direct style and compiled code change stacks, which Miri does not model; closures run on its own.
MIRI := MIRIFLAGS=-Zmiri-disable-isolation $(CARGO) +nightly miri
miri: .tools
	@$(MIRI) --version > /dev/null 2>&1 || rustup toolchain install nightly --profile minimal --component miri,rust-src
	$(MIRI) test --test eager -- array::errors:: array::math::a_value_ \
	    $(addprefix array::structure::,pooling conversions_ an_operator_ an_accumulated_ uniform_)
	$(MIRI) test --test conformance -- explicit::reverse_of_arrays explicit::every_

# Random changes and sizes have the same seeds every time.
robust: .tools .llvm .mpi
	CASES=100000 $(CARGO) test --features $(FEATURES) --test robust_files --test robust_numbers
	SHAPES=3000 $(CARGO) test --features $(FEATURES) --test robust_limits --test robust_limits_compiled
	$(CARGO) test --package antiphon-staging --features llvm --test robust_cache

# Operators, then steps of training in both modes; the table of these comes last.
bench: .tools .llvm .mpi
	$(CARGO) bench --features staging --bench scalar -- --table
	$(CARGO) bench --features staging --bench control -- --table
	$(CARGO) bench --features staging --bench memory
	$(CARGO) bench --features staging --bench array
	$(CARGO) bench --features staging --bench batch
	$(CARGO) bench --features staging --bench writing
	$(CARGO) bench --features staging --bench linalg
	$(CARGO) bench --features staging --bench checkpoints
	$(CARGO) bench --features staging --bench lipschitz
	$(CARGO) bench --features staging,mpi --bench distributed
	$(CARGO) bench --features staging --bench workloads

lint: .tools .llvm .mpi
	@$(CARGO) fmt --version > /dev/null 2>&1 && $(CARGO) clippy --version > /dev/null 2>&1 || rustup component add rustfmt clippy
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --workspace --all-features

# PyTorch, JAX and DyNet go to .venv-peers. TREES=FILE: trees in brackets, such as the Stanford Sentiment Treebank's.
TREES ?=
peers: .tools .llvm .venv-peers/.installed
	$(CARGO) build --release --features staging --examples
	.venv-peers/bin/python -u benches/peers/run.py $(if $(TREES),--trees $(TREES)) $(if $(THREADS),--threads $(THREADS))
	$(CARGO) bench --features staging --bench control -- --table
	$(CARGO) bench --features staging --bench batch
	target/release/examples/one_step --experiment logistic --sizes 50,200,1000
	.venv-peers/bin/python benches/peers/one_step_peer.py logistic 50 200 1000
	target/release/examples/one_step --experiment qp --sizes 100,500,1000
	.venv-peers/bin/python benches/peers/one_step_peer.py qp 100 500 1000
	target/release/examples/solvers --example spiral --mode compiled --out out/peers --report out/peers/spiral.json
	.venv-peers/bin/python benches/peers/ode_peer.py out/peers/spiral.json
	$(CARGO) bench --features staging --bench lipschitz
	.venv-peers/bin/python benches/peers/lipschitz_peer.py out/lipschitz

.venv-peers/.installed: benches/peers/install.py
	@command -v $(PYTHON) > /dev/null || $(call apt,python3 python3-venv)
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || $(call apt,python3-venv)
	@{ command -v readelf && command -v c++; } > /dev/null || $(call apt,binutils g++)
	@# torch.compile compiles C++ that includes Python's header.
	@test -e "$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" || $(call apt,python3-dev)
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python benches/peers/install.py
	@touch $@

clean:
	$(CARGO) clean
	rm -rf out $(VENV) .venv-peers

# What cargo needs to link, and what the rest of the rules need.
.PHONY: .tools
.tools:
	@command -v $(CARGO) > /dev/null || { echo "cargo is missing: install the Rust toolchain first"; exit 1; }
	@command -v cc > /dev/null || $(call apt,gcc libc6-dev)

# LLVM 19 and a C++ linker, for the feature `staging`.
.PHONY: .llvm
.llvm:
	@{ command -v llvm-config-19 && command -v c++; } > /dev/null || $(call apt,g++ llvm-19-dev)

# Open MPI, and the library of clang that reads its header, for the feature `mpi`.
.PHONY: .mpi
.mpi:
	@{ command -v mpicc && command -v mpirun && ls /usr/lib/llvm-*/lib/libclang*.so*; } > /dev/null 2>&1 \
	    || $(call apt,libopenmpi-dev openmpi-bin libclang-dev)

$(VENV)/.installed: tests/reference/requirements.txt
	@command -v $(PYTHON) > /dev/null || $(call apt,python3 python3-venv)
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || $(call apt,python3-venv)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# apt-get as root, or through sudo.
define apt
{ sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
  $$sudo apt-get update -q && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qy $(1); }
endef
