/* The invariants of Drone Delivery over all of its stores. */
#ifndef DRONE_CHECK_CHECK_H
#define DRONE_CHECK_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <tern/status.h>

/* One invariant. `counts` is SQL for how many things it is about, `violations` for those that
 * break it: two columns, an id and what is wrong with it. The stores are the schemas main
 * (account), package, drone, transport, delivery, scheduler and supervisor; and messages and
 * ingestion, if there are such parts. */
typedef struct drone_rule {
    const char *title;
    const char *store; /* that it needs beside the seven; NULL: none */
    const char *counts;
    const char *violations;
    bool at_rest_only; /* work that is under way breaks it, and may */
} drone_rule;

/* All of them. Static. */
const drone_rule *drone_rules(size_t *ret_n);

typedef struct drone_check_options {
    const char *dir;
    bool live;         /* the system is at work: leave out what only holds at rest */
    int64_t shown_max; /* violations printed for each invariant */
} drone_check_options;

/* Reads the stores in a folder, writes a table of what was checked and each violation to `out`, and
 * counts the violations. On failure (a store is missing, locked or broken) *reterr names it. */
tern_code drone_check_run(const drone_check_options *options, FILE *out, int64_t *ret_violations,
                          tern_status *reterr);

#endif
