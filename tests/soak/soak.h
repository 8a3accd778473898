/* The parts of tern-soak. */
#ifndef TERN__TESTS_SOAK_H
#define TERN__TESTS_SOAK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tern/tern.h>

/* How a call came out, as the mix expects it. */
typedef enum soak_result {
    SOAK_GOOD, /* as it had to be, failures that were asked for included */
    SOAK_CUT,  /* UNAVAILABLE: its connection was ended by the server meanwhile */
    SOAK_WRONG /* anything else: soak_mix.failure tells */
} soak_result;

/* The kinds of call in the mix; soak_kind_names[] in the same order. */
enum { SOAK_KINDS = 11 };
extern const char *const soak_kind_names[SOAK_KINDS];

/* What the callers share. Fill in targets, roots and leak_bytes; the rest begins with zero. */
typedef struct soak_mix {
    const char *targets[2]; /* cleartext, TLS */
    tern_tls_client *tls;
    tern_channel *channels[2];
    size_t leak_bytes; /* a call loses so many: shows that the soak finds a leak */
    atomic_bool stop;  /* the callers return after their call */
    atomic_ulong calls[SOAK_KINDS];
    atomic_ulong cut;
    atomic_bool failed;
    char failure[600]; /* of the caller that set `failed` */
} soak_mix;

/* A channel to the target; NULL with *why. */
tern_channel *soak_channel(soak_mix *m, unsigned which, tern_status *why);
/* Calls at random until m->stop or a failure. For a thread; `seed` keeps the threads apart. */
void soak_mix_run(soak_mix *m, uint64_t seed);

/* A raw unary method of the server: its figures (figures.h) as text. */
extern const tern_method soak_figures_method;

/* The server: prints "CLEARTEXT-TARGET TLS-TARGET", serves until SIGTERM. The exit status. */
int soak_serve(const char *cert_file, const char *key_file);

#endif
