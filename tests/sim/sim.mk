# `make sim`: the resilience policies in a simulated world (docs/resilience.md).

SIM_SRC := $(wildcard tests/sim/*.c)
SIM_BIN := $(B)/sim/tern-sim

$(call obj,$(SIM_SRC)): INCLUDES += -Itests
$(SIM_BIN): $(call obj,$(SIM_SRC)) $(LIBTERN)
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(LIBTERN) $(LIB_DEPS) -lm
build-tests: $(SIM_BIN)

SEED ?= 1
SEEDS ?= 1
.PHONY: sim
sim: setup ## the policies in virtual time (SEED=1 SEEDS=1 ONLY=name CSV=dir)
	@$(MAKE) --no-print-directory WERROR=1 $(SIM_BIN)
	@$(if $(CSV),mkdir -p "$(CSV)")
	@$(SIM_BIN) --seed "$(SEED)" --seeds "$(SEEDS)" $(if $(ONLY),--only "$(ONLY)") $(if $(CSV),--csv "$(CSV)")
