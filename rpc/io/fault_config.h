/* What faults are to be injected (tern/fault.h): from the program's options or from JSON, checked,
 * and in the form that policy/fault.h decides by. */
#ifndef TERN__IO_FAULT_CONFIG_H
#define TERN__IO_FAULT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include <tern/fault.h>

#include "policy/fault.h"

typedef struct tern__fault_config {
    tern__fault_options opt;
    char *method; /* as in tern_fault_options, ours; NULL: all */
} tern__fault_config;

/* TERN_OK, INVALID_ARGUMENT or RESOURCE_EXHAUSTED; *ret is set on success only, and is then to be
 * deinitialized. `o` may be NULL: nothing is injected. */
tern_code tern__fault_config_init(tern__fault_config *ret, const tern_fault_options *o,
                                  tern_status *reterr);
tern_code tern__fault_config_parse(tern__fault_config *ret, const char *json, size_t len,
                                   tern_status *reterr);
void tern__fault_config_deinit(tern__fault_config *c);

/* Whether a call of the method at `path` is meant. */
bool tern__fault_config_covers(const tern__fault_config *c, const char *path);

#endif
