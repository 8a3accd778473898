# Checks of the tree itself, and fuzzing. Included by the Makefile.

.PHONY: check check-layers check-size check-exports check-protocol fuzz
check: check-layers check-size check-exports check-protocol ## checks layers, sizes, exported symbols, docs/protocol.md

check-layers: $(RPC_OBJ) ## includes and symbols of the layers; system calls of the pure ones
	@tools/check-layers --objects $(B)/obj && echo "check-layers: good"

check-size: ## no file over 800 lines, no function over 70
	@tools/check-size && echo "check-size: good"

check-protocol: ## every test that docs/protocol.md names exists
	@tools/check-protocol && echo "check-protocol: good"

check-exports: $(B)/lib/libtern.so ## libtern.so exports what the public headers declare, no more
	@tools/check-exports $(B)/lib/libtern.so && echo "check-exports: good"

# Fuzzing: tests/fuzz/fuzz_*.c define LLVMFuzzerTestOneInput. The library is built once more for it,
# by clang with AddressSanitizer, UBSan and coverage, below build/fuzz. Inputs that were found are
# kept in build/fuzz/corpus, where the next run begins; those in tests/fuzz/corpus/NAME are read too.
FUZZ_SECONDS ?= 60
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_B := build/fuzz
FUZZ_SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined
FUZZ_BINS := $(FUZZ_SRC:tests/fuzz/%.c=$(FUZZ_B)/bin/%)

ifneq ($(FUZZ_SRC),)
fuzz: ## fuzzes every entrance of bytes, each for FUZZ_SECONDS (60); ONLY=pattern
	@ASAN_OPTIONS=detect_leaks=0 $(MAKE) --no-print-directory MODE=clang B=$(FUZZ_B) \
	    OPT="-O1 -g -fno-omit-frame-pointer" SAN="$(FUZZ_SAN) -fsanitize=fuzzer-no-link" \
	    $(FUZZ_B)/lib/libtern.a $(FUZZ_BINS)
	@B=$(FUZZ_B) FUZZ_SECONDS=$(FUZZ_SECONDS) ONLY=$(ONLY) tools/fuzz-run $(FUZZ_BINS)

$(FUZZ_B)/bin/fuzz_%: tests/fuzz/fuzz_%.c $(FUZZ_B)/lib/libtern.a
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)clang $(CFLAGS_ALL) $(FUZZ_SAN) -fsanitize=fuzzer -Irpc -I. -Itests -o $@ $< \
	    $(FUZZ_B)/lib/libtern.a $(LIB_DEPS)
endif
