# `make soak`: every kind of call for SECONDS against a server in another process; both must not grow.

SOAK_SRC := $(wildcard tests/soak/*.c)
SOAK_BIN := $(B)/soak/tern-soak

$(call obj,$(SOAK_SRC)): INCLUDES += -Itests
$(call obj,$(SOAK_SRC)): | $(B)/gen/.stamp
$(SOAK_BIN): $(call obj,$(SOAK_SRC) $(GEN_TESTING)) $(LIBTERN)
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(LIBTERN) $(LIB_DEPS)
build-tests: $(SOAK_BIN)

SECONDS ?= 600
.PHONY: soak
soak: setup ## calls of every kind for SECONDS (600): fails when client or server grow
	@$(MAKE) --no-print-directory WERROR=1 all $(SOAK_BIN)
	@tests/soak/run $(B) $(SECONDS)
