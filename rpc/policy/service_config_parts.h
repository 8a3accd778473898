/* What the files service_config_*.c share. Each reads its part of the JSON; faults stay in the
 * reader (service_config_json.h), where the whole is checked once. */
#ifndef TERN__POLICY_SERVICE_CONFIG_PARTS_H
#define TERN__POLICY_SERVICE_CONFIG_PARTS_H

#include "policy/service_config.h"
#include "policy/service_config_json.h"

/* The config of the first choice that matches, whose place the reader has gone to; NULL: none does,
 * or there was a fault. */
tern__json *tern__service_config_choice(tern__json_reader *r, tern__json *choices,
                                        const tern__config_client *who);

/* methodConfig of the root. */
void tern__service_config_read_methods(tern__service_config *c, tern__json_reader *r,
                                       tern__json *root);
/* loadBalancingConfig, or the older loadBalancingPolicy, of the root. */
void tern__service_config_read_lb(tern__service_config *c, tern__json_reader *r, tern__json *root);
/* Whether a policy of that name comes with the library. */
bool tern__lb_is_built_in(const char *name);
/* loadBalancingConfig of any object; NULL: it has none, or there was a fault. */
const tern__lb_config *tern__service_config_lb(tern__service_config *c, tern__json_reader *r,
                                               tern__json *obj);
/* Clusters and routes, of the root's "tern". */
void tern__service_config_read_routes(tern__service_config *c, tern__json_reader *r,
                                      tern__json *tern);
/* "tern" of the root, and that of a method config. */
void tern__service_config_read_tern(tern__service_config *c, tern__json_reader *r,
                                    tern__json *root);
void tern__service_config_read_guard(tern__config_guard *ret, tern__json_reader *r,
                                     tern__json *obj);

#endif
