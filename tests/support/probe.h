/* A server of tests.v1.Probe (proto/tests/v1/probe.proto) in this process, and short ways to call
 * one. Whatever fails fails the test: call these from the test's own thread, except where said. */
#ifndef TERN__TESTS_PROBE_H
#define TERN__TESTS_PROBE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include <tern/tern.h>

#include "tests/v1/probe.tern.h"

#define PROBE_KEYS_MAX 64

typedef struct probe_server {
    tern_server *srv;
    tern_health *health;
    uint16_t port;
    char target[160];
    atomic_uint calls;     /* handlers begun */
    atomic_uint running;   /* handlers under way */
    atomic_uint cancelled; /* sleeps that saw their call cancelled */
    pthread_mutex_t lock;  /* keys */
    struct {
        char key[32];
        unsigned n;
    } keys[PROBE_KEYS_MAX];
} probe_server;

/* Starts on `address` ("ipv4:127.0.0.1:0", …); target is where it is reached. opts may be NULL. */
void probe_start(probe_server *p, const tern_server_options *opts, const char *address);
/* Drains and frees; waits at most grace_ms for running calls. */
void probe_stop(probe_server *p, uint32_t grace_ms);

/* A channel with quick reconnects, retries and breaker as they are by default. */
tern_channel *probe_channel(const char *target);
tern_channel *probe_channel_with(const char *target, const tern_channel_options *opts);

/* Any thread; the code is returned. */
tern_code probe_echo(tern_channel *ch, const tern_call_options *opts, const char *text,
                     tern_status *st);
tern_code probe_sleep(tern_channel *ch, const tern_call_options *opts, uint32_t ms,
                      int64_t *ret_remaining, tern_status *st);
tern_code probe_fail(tern_channel *ch, const tern_call_options *opts,
                     const Tests__V1__FailRequest *req, bool safe, tern_status *st);

/* A path below the build folder that nobody else uses, for unix sockets. */
void probe_unix_path(char out[96]);
/* Monotonic ms, for deadlines of tests. */
int64_t probe_now_ms(void);
/* Sleeps; waits until *value is at least `least`, at most 10 s: false then. */
void probe_sleep_ms(unsigned ms);
bool probe_wait(atomic_uint *value, unsigned least);

#endif
