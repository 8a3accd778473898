# `make fuzz-rest`: the REST door against made-up requests (docs/drone-delivery.md).
.PHONY: fuzz-rest
fuzz-rest: setup ## Drone Delivery's REST door against requests made up from its OpenAPI document (SEED=1 EXAMPLES=100)
	@$(MAKE) --no-print-directory WERROR=1 all
	@tests/rest/run $(B) "$(SEED)" "$(or $(EXAMPLES),100)"
