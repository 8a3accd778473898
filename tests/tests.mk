# Tests. tests/unit/<folder>/test_*.c are cmocka programs, one for each source; malloc and its kin are
# wrapped in them, so that tests/support/failmalloc.h can make the n-th allocation fail.
# tests/integration/test_*.c are cmocka programs that use real sockets. Scripts (test_*.sh, test_*.py)
# anywhere below tests/ run with $B set to the build folder.

SUPPORT_SRC := $(wildcard tests/support/*.c)
UNIT_SRC := $(wildcard tests/unit/*/test_*.c)
INTEGRATION_SRC := $(wildcard tests/integration/test_*.c tests/interop/test_*.c)
TEST_SCRIPTS := $(sort $(wildcard tests/*/test_*.sh tests/*/test_*.py tests/unit/*/test_*.sh \
                  tests/unit/*/test_*.py))
TEST_BINS := $(patsubst tests/%.c,$(B)/tests/%,$(UNIT_SRC) $(INTEGRATION_SRC))
WRAP := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
# The archives of libzstd, jansson and c-ares, whose allocations are then wrapped as well: their
# stable interfaces have no other way, or none for one caller, to make them fail.
UNIT_DEPS = $(patsubst -lcares,-l:libcares.a,$(patsubst -ljansson,-l:libjansson.a,\
              $(LIB_DEPS:-lzstd=-l:libzstd.a)))

SUPPORT_OBJ := $(call obj,$(SUPPORT_SRC))
TEST_GEN_OBJ := $(call obj,$(GEN_TESTING) $(GEN_ETCD))
# What the programs are made of, without their main().
PARTS := $(filter-out %/main.o,$(CODEGEN_OBJ) $(TERN_OBJ) $(BENCH_OBJ) $(DRONE_OBJ))

$(call obj,$(UNIT_SRC) $(INTEGRATION_SRC) $(SUPPORT_SRC)): INCLUDES += -Itests -Iservices -I$(B)/boot
$(call obj,$(UNIT_SRC) $(INTEGRATION_SRC) $(SUPPORT_SRC)): | $(B)/gen/.stamp

$(B)/lib/libtestparts.a: $(PARTS) $(TEST_GEN_OBJ) $(SUPPORT_OBJ)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) qcs $@ $^
$(B)/tests/%: $(B)/obj/tests/%.o $(B)/lib/libtestparts.a $(LIBTERN) $(LIBTERN_TESTING)
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(LDFLAGS_ALL) $(if $(findstring /unit/,$@),$(WRAP)) -o $@ $< -Wl,--start-group \
	    $(B)/lib/libtestparts.a $(LIBTERN_TESTING) $(LIBTERN) $(if $(findstring /unit/,$@),$(UNIT_DEPS),$(LIB_DEPS)) \
	    -Wl,--end-group -lcmocka -lmicrohttpd -lcurl -lsqlite3 -lm

.PHONY: test run-tests build-tests
test: setup ## builds and runs every test (ONLY=pattern: those whose path contains it)
	@$(MAKE) --no-print-directory WERROR=1 run-tests

# test_tern_streams.py and test_tern_reflection.py call the interop server.
build-tests: all $(TEST_BINS) $(B)/interop/tern-server

run-tests: build-tests
	@B=$(abspath $(B)) MODE=$(MODE) tests/run $(TEST_BINS) $(TEST_SCRIPTS)
