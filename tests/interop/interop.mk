# `make h2spec` and `make interop`: other people's tests. They need Go, which `make test` does not.
# The peers of other make are built into $(B)/interop beside Tern's own interop client and server.

INTEROP_OUT := $(B)/interop
INTEROP_SRC := $(wildcard tests/interop/tern/*.c tests/interop/tern/*/*.c)
INTEROP_BINS := $(addprefix $(INTEROP_OUT)/tern-,server client attempts)
INTEROP_PROTOS := $(addprefix grpc/testing/,empty.proto messages.proto test.proto)
INTEROP_CXX_GEN := $(patsubst %.proto,$(INTEROP_OUT)/cpp/%.pb.cc,$(INTEROP_PROTOS)) \
                   $(INTEROP_OUT)/cpp/grpc/testing/test.grpc.pb.cc
INTEROP_CXX_OBJ := $(INTEROP_CXX_GEN:.cc=.o)
INTEROP_CXX := $(INTEROP_OUT)/cpp-server $(INTEROP_OUT)/cpp-client
INTEROP_PY := $(INTEROP_OUT)/python/.stamp
INTEROP_GO := $(INTEROP_OUT)/go-server $(INTEROP_OUT)/go-client
# The version is that of tests/interop/go/go.mod.
GRPC_GO := google.golang.org/grpc/interop

$(call obj,$(INTEROP_SRC)): | $(B)/gen/.stamp
$(INTEROP_OUT)/tern-server: $(call obj,$(wildcard tests/interop/tern/server/*.c))
$(INTEROP_OUT)/tern-client: $(call obj,$(wildcard tests/interop/tern/client/*.c))
$(INTEROP_OUT)/tern-attempts: $(call obj,$(wildcard tests/interop/tern/attempts/*.c))
$(INTEROP_BINS): $(call obj,tests/interop/tern/flags.c $(GEN_TESTING)) $(LIBTERN)
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(LIBTERN) $(LIB_DEPS)

# grpc++: optimised whatever the mode, never sanitized; its headers do not compile without warnings.
$(INTEROP_CXX_GEN) &: $(addprefix proto/,$(INTEROP_PROTOS))
	@mkdir -p $(INTEROP_OUT)/cpp
	$(Q)$(PROTOC) -Iproto --cpp_out=$(INTEROP_OUT)/cpp --grpc_out=$(INTEROP_OUT)/cpp \
	    --plugin=protoc-gen-grpc=$$(command -v grpc_cpp_plugin) $(INTEROP_PROTOS)
$(INTEROP_OUT)/cpp/%.o: $(INTEROP_OUT)/cpp/%.cc
	@echo "  CXX $<"
	$(Q)$(CXX) -std=c++17 -O1 -w -I$(INTEROP_OUT)/cpp -c -o $@ $<
$(INTEROP_OUT)/cpp/%.o: tests/interop/cpp/%.cc tests/interop/cpp/common.h $(INTEROP_CXX_GEN)
	@echo "  CXX $<"
	$(Q)$(CXX) -std=c++17 -O1 -Wall -Wextra -isystem $(INTEROP_OUT)/cpp -c -o $@ $<
$(INTEROP_CXX): $(INTEROP_OUT)/cpp-%: $(INTEROP_OUT)/cpp/%.o $(INTEROP_CXX_OBJ)
	@echo "  LD $@"
	$(Q)$(CXX) -o $@ $^ $$(pkg-config --libs grpc++ protobuf) \
	    $(if $(findstring server,$@),-lgrpc++_reflection)

$(INTEROP_PY): $(addprefix proto/,$(INTEROP_PROTOS))
	@mkdir -p $(@D)
	$(Q)$(PROTOC) -Iproto --python_out=$(@D) $(INTEROP_PROTOS)
	@touch $@

$(INTEROP_GO): $(INTEROP_OUT)/go-%: tests/interop/go/go.mod tests/interop/go/go.sum
	@mkdir -p $(@D)
	@echo "  GO $@"
	$(Q)tools/need-go "make interop"
	$(Q)cd tests/interop/go && go build -mod=readonly -o $(abspath $@) $(GRPC_GO)/$*

# What each of the two sends for the same service config (tests/interop/attempts.py).
$(INTEROP_OUT)/go-attempts: tests/interop/go/attempts/main.go tests/interop/go/go.mod \
                            tests/interop/go/go.sum
	@mkdir -p $(@D)
	@echo "  GO $@"
	$(Q)tools/need-go "make interop"
	$(Q)cd tests/interop/go && go build -mod=readonly -o $(abspath $@) ./attempts

.PHONY: interop-peers interop h2spec
interop-peers: all $(INTEROP_BINS) $(INTEROP_CXX) $(INTEROP_PY) $(INTEROP_GO) $(INTEROP_OUT)/go-attempts

SOAK ?= 10000
interop: setup ## official interop cases against grpc-go, grpcio and grpc++, both ways (SOAK=10000, ONLY=)
	@$(MAKE) --no-print-directory interop-peers
	@ONLY='$(ONLY)' tests/interop/run $(B) $(SOAK)

h2spec: setup ## h2spec, strict, against a Tern server, cleartext and TLS (H2SPEC=program)
	@$(MAKE) --no-print-directory all $(INTEROP_BINS)
	@tests/conformance/h2spec $(B)
