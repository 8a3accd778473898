# Tern: gRPC for C. `make help` lists what there is to make.
#
# Everything is built below $(B). A mode other than release has a folder of its own (build/asan,
# build/tsan, build/clang), so that modes never mix.

MODE ?= release
ifeq ($(MODE),release)
B ?= build
else
B ?= build/$(MODE)
endif

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := g++
endif
OBJCOPY ?= objcopy
PROTOC ?= protoc
PROTO_INCLUDE ?= /usr/include
PREFIX ?= /usr/local
V ?= 0
Q := $(if $(filter 1,$(V)),,@)

OPT := -O2 -g
SAN :=
ifeq ($(MODE),asan)
OPT := -O1 -g -fno-omit-frame-pointer
SAN := -fsanitize=address,undefined -fno-sanitize-recover=all
endif
ifeq ($(MODE),tsan)
OPT := -O1 -g
SAN := -fsanitize=thread
endif
ifeq ($(MODE),clang)
CC := clang
CXX := clang++
endif

# Warnings are errors in `make test` and CI (WERROR=1), not in a plain `make`.
WERROR ?= 0
WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
        -Wcast-qual -Wimplicit-fallthrough $(if $(filter 1,$(WERROR)),-Werror)
# Of single folders. CFLAGS is the user's.
INCLUDES :=
CFLAGS_ALL = -std=c11 -D_GNU_SOURCE $(OPT) $(SAN) -fPIC -fvisibility=hidden $(WARN) $(CFLAGS) \
             -MMD -MP -Irpc/include -I$(B)/gen $(INCLUDES)
LDFLAGS_ALL = $(SAN) $(LDFLAGS)
VERSION := $(shell sed -n 's/.*VERSION_STRING "\(.*\)"/\1/p' rpc/include/tern/version.h)
LIB_DEPS := -lnghttp2 -lprotobuf-c -lssl -lcrypto -lz -lzstd -ljansson -lcares -lpthread

# --- sources ---------------------------------------------------------------------------------------

LAYERS := base wire policy observe h2 io client server stub
RPC_SRC := $(foreach l,$(LAYERS),$(wildcard rpc/$(l)/*.c))
TESTING_SRC := $(wildcard rpc/testing/*.c)
CODEGEN_SRC := $(wildcard codegen/*.c)
TERN_SRC := $(wildcard tools/tern/*.c)
BENCH_SRC := $(wildcard tools/bench/*.c)
DRONE_SRC := $(wildcard services/*.c services/*/*.c)

PROTOS := $(shell find proto -name '*.proto' | sort)
SERVICE_PROTOS := $(shell grep -l '^service ' $(PROTOS) /dev/null)
GEN_MSG := $(PROTOS:proto/%.proto=$(B)/gen/%.pb-c.c)
GEN_STUB := $(SERVICE_PROTOS:proto/%.proto=$(B)/gen/%.tern.c)
# Of protobuf's own files, those that the library's services import.
WELL_KNOWN := $(addprefix google/protobuf/,any.proto duration.proto timestamp.proto wrappers.proto)
GEN_SRC := $(GEN_MSG) $(GEN_STUB) $(WELL_KNOWN:%.proto=$(B)/gen/%.pb-c.c)
GEN_LIB := $(filter $(B)/gen/grpc/health/% $(B)/gen/grpc/channelz/% \
           $(B)/gen/grpc/reflection/%,$(GEN_SRC)) \
           $(WELL_KNOWN:%.proto=$(B)/gen/%.pb-c.c)
GEN_DRONE := $(filter $(B)/gen/drone/%,$(GEN_SRC))
GEN_TESTING := $(filter $(B)/gen/grpc/testing/% $(B)/gen/tests/%,$(GEN_SRC))
GEN_ETCD := $(filter $(B)/gen/etcd/%,$(GEN_SRC))
BOOT := $(B)/boot/google/protobuf/descriptor.pb-c.c $(B)/boot/google/protobuf/compiler/plugin.pb-c.c

obj = $(patsubst %.c,$(B)/obj/%.o,$(filter-out $(B)/%,$(1))) \
      $(patsubst $(B)/%.c,$(B)/obj/%.o,$(filter $(B)/%,$(1)))
RPC_OBJ := $(call obj,$(RPC_SRC) $(GEN_LIB))
# What libtern-testing is made of: its own folder, and of these layers what it uses.
TESTING_OBJ := $(call obj,$(TESTING_SRC))
TESTING_BELOW := $(call obj,$(foreach l,base wire observe policy h2,$(wildcard rpc/$(l)/*.c)) rpc/io/clock.c)
CODEGEN_OBJ := $(call obj,$(CODEGEN_SRC) $(BOOT))
TERN_OBJ := $(call obj,$(TERN_SRC))
BENCH_OBJ := $(call obj,$(BENCH_SRC))
# openapi.json as a text of the program.
OPENAPI := $(B)/gen/drone/openapi.c
DRONE_OBJ := $(call obj,$(DRONE_SRC) $(GEN_DRONE) $(OPENAPI))

PLUGIN := $(B)/bin/protoc-gen-tern
LIBTERN := $(B)/lib/libtern.a
BINS := $(PLUGIN) $(if $(TERN_SRC),$(B)/bin/tern) $(if $(BENCH_SRC),$(B)/bin/tern-bench) \
        $(if $(DRONE_SRC),$(B)/bin/dronedelivery)
LIBTERN_TESTING := $(B)/lib/libtern-testing.a
LIBS := $(LIBTERN) $(B)/lib/libtern.so $(B)/lib/tern.pc $(LIBTERN_TESTING) $(B)/lib/tern-testing.pc

.PHONY: all
all: $(LIBS) $(BINS)

.DELETE_ON_ERROR:
.SECONDARY:

# --- generated code --------------------------------------------------------------------------------

$(BOOT) &:
	@mkdir -p $(B)/boot
	$(Q)$(PROTOC) -I$(PROTO_INCLUDE) --c_out=$(B)/boot google/protobuf/descriptor.proto \
	    google/protobuf/compiler/plugin.proto
$(call obj,$(BOOT)): WARN := -w
$(call obj,$(BOOT) $(CODEGEN_SRC) $(TERN_SRC)): INCLUDES += -I$(B)/boot
$(call obj,$(CODEGEN_SRC) $(TERN_SRC)): | $(BOOT)
$(call obj,$(DRONE_SRC)): INCLUDES += -Iservices

$(B)/gen/.stamp: $(PROTOS) $(PLUGIN)
	@mkdir -p $(B)/gen
	$(Q)$(PROTOC) -Iproto -I$(PROTO_INCLUDE) --plugin=protoc-gen-tern=$(PLUGIN) \
	    --tern_out=$(B)/gen $(PROTOS) $(WELL_KNOWN)
	@touch $@
$(GEN_SRC): $(B)/gen/.stamp ;

$(OPENAPI): services/ingestion/openapi.json
	@mkdir -p $(@D)
	$(Q){ echo 'extern const char drone_openapi_json[];'; echo 'const char drone_openapi_json[] = {'; \
	    od -An -v -tx1 $< | sed 's/ \(..\)/0x\1,/g'; echo '0 };'; } > $@

# --- compile and link ------------------------------------------------------------------------------

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(CC) $(CFLAGS_ALL) -Irpc -I. -c -o $@ $<
$(B)/obj/%.o: $(B)/%.c
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(CC) $(CFLAGS_ALL) -c -o $@ $<

# Generated headers must be there before what may include them.
$(call obj,$(wildcard rpc/stub/*.c) $(TERN_SRC) $(BENCH_SRC) $(DRONE_SRC) $(GEN_SRC)): | $(B)/gen/.stamp

$(LIBTERN): $(RPC_OBJ)
	@mkdir -p $(@D)
	@echo "  AR $@"
	$(Q)rm -f $@ && $(AR) qcs $@ $(RPC_OBJ)
$(B)/lib/libtern.so: $(RPC_OBJ)
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) -shared -Wl,-soname,libtern.so.0 $(LDFLAGS_ALL) -o $@ $(RPC_OBJ) $(LIB_DEPS)
	@ln -sf libtern.so $(@D)/libtern.so.0
# One object, in which only tern_testing_… can be seen from outside: it has copies of its own of what it
# uses of the inside of libtern, so it goes with libtern.so and with libtern.a.
$(LIBTERN_TESTING): $(TESTING_OBJ) $(TESTING_BELOW)
	@mkdir -p $(@D)
	@echo "  AR $@"
	$(Q)rm -f $@ $(B)/lib/testing-below.a && $(AR) qcs $(B)/lib/testing-below.a $(TESTING_BELOW)
	$(Q)$(LD) -r -o $(B)/lib/tern-testing.o $(TESTING_OBJ) $(B)/lib/testing-below.a
	$(Q)$(OBJCOPY) --wildcard --keep-global-symbol='tern_testing_*' $(B)/lib/tern-testing.o
	$(Q)$(AR) qcs $@ $(B)/lib/tern-testing.o && rm -f $(B)/lib/testing-below.a $(B)/lib/tern-testing.o
# Made anew each time: the PREFIX of `make install` may be another than that of `make`.
.PHONY: $(B)/lib/tern.pc $(B)/lib/tern-testing.pc
$(B)/lib/tern.pc $(B)/lib/tern-testing.pc: $(B)/lib/%.pc: tools/%.pc.in
	@mkdir -p $(@D)
	@sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' $< > $@

$(PLUGIN): $(CODEGEN_OBJ)
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lprotobuf-c
$(B)/bin/tern: $(TERN_OBJ) $(call obj,$(BOOT)) $(LIBTERN)
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_DEPS)
$(B)/bin/tern-bench: $(BENCH_OBJ) $(call obj,$(GEN_TESTING)) $(LIBTERN)
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_DEPS) -lm
$(B)/bin/dronedelivery: $(DRONE_OBJ) $(LIBTERN)
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_DEPS) -lmicrohttpd -lcurl -lsqlite3 -lm

# --- the rest --------------------------------------------------------------------------------------

include tests/tests.mk
include tools/checks.mk
include tests/interop/interop.mk
include tests/soak/soak.mk
include tests/sim/sim.mk
include tests/rest/rest.mk

.PHONY: setup demo bench install clean help
setup: ## installs the Debian packages that building and testing need (apt; root or sudo)
	@tools/setup

demo: setup ## builds, runs Drone Delivery on this machine, shows what became of the requests (DATA=FILE)
	@$(MAKE) --no-print-directory all
	@tools/demo $(B) $(DATA)

bench: setup ## measures Tern beside grpc++ in one run, writes build/bench.json
	@$(MAKE) --no-print-directory all
	@tests/bench/run $(B)

install: all ## installs headers, libraries and programs below PREFIX (default /usr/local)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include/tern
	install -m 644 rpc/include/tern/*.h $(DESTDIR)$(PREFIX)/include/tern
	install -m 755 $(BINS) $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(LIBTERN) $(LIBTERN_TESTING) $(DESTDIR)$(PREFIX)/lib
	install -m 755 $(B)/lib/libtern.so $(DESTDIR)$(PREFIX)/lib/libtern.so.$(VERSION)
	ln -sf libtern.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libtern.so.0
	ln -sf libtern.so.0 $(DESTDIR)$(PREFIX)/lib/libtern.so
	install -m 644 $(B)/lib/tern.pc $(B)/lib/tern-testing.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig

clean: ## removes everything that was built
	rm -rf build

help: ## shows this list
	@echo "make           builds libtern, protoc-gen-tern, tern, tern-bench and dronedelivery into build/"
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | awk -F'\t' '{printf "make %-9s %s\n", $$1, $$2}'
	@echo
	@echo "Variables: MODE=release|asan|tsan|clang  CC=  CXX=  CFLAGS=  WERROR=1  V=1  PREFIX=  DESTDIR="

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
