/* Whether anything goes on in this process. */
#ifndef TERN__TESTING_QUIET_H
#define TERN__TESTING_QUIET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Threads of which it does not matter how often they have run, for `tally`. */
typedef struct tern__testing_skip {
    pid_t at[256];
    size_t n;
} tern__testing_skip;

/* True when all threads but the caller's sleep, and have slept for a moment. *ret_tally: a
 * number that changes when one of them, but for those of `skip`, runs, begins or ends.
 * *ret_awake: one that does not sleep; 0 when it is not known which. */
bool tern__testing_quiet(const tern__testing_skip *skip, uint64_t *ret_tally, pid_t *ret_awake);

/* Whether the system tells. */
bool tern__testing_quiet_known(void);

#endif
