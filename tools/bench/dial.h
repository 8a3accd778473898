/* Connections of a client, all made alike. */
#ifndef TERN_TOOLS_BENCH_DIAL_H
#define TERN_TOOLS_BENCH_DIAL_H

#include <tern/tern.h>

#include "tools/bench/options.h"

typedef struct bench_dial {
    const char *target;
    tern_tls_client *tls; /* NULL: cleartext */
    bench_resilience resilience;
} bench_dial;

/* Prepares: reads the roots, if TLS is asked for. `o` is borrowed. */
tern_code bench_dial_init(bench_dial *d, const bench_options *o, tern_status *reterr);
void bench_dial_deinit(bench_dial *d);

/* Makes a channel to the target and waits until it is connected. */
tern_code bench_dial_channel(const bench_dial *d, tern_channel **ret, tern_status *reterr);

/* The same n times into ret[]; *ret_n is how many there are, on failure too: they are to be freed
 * by bench_dial_hang_up(). A failure has been told on stderr: -1. */
int bench_dial_many(const bench_options *o, uint32_t n, tern_channel **ret, uint32_t *ret_n);
void bench_dial_hang_up(tern_channel **channels, uint32_t n);

#endif
