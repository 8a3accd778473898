/* Name resolution of a channel, by one of several drivers: the system's resolver, a file that is
 * watched, a program's own (tern/resolver.h). A driver looks when it is asked, on a thread that
 * lives for one look and may block for as long as it likes, or reports by itself, or both. A
 * literal target has no resolver.
 *
 * It is asked when the first call comes and again whenever a server can't be reached, a connection
 * ends, or what was found has grown old, but not more often than every
 * TERN_LIMIT_RESOLVE_INTERVAL_MS; after a failure with the pauses of reconnecting. A pick_first
 * channel without a connection asks a driver that has no truth of its own (DNS) each time that it
 * connects. What was found before stays until there is something new.
 *
 * What comes in is kept, then delivered to the channel: its service config, then its cluster, or
 * else to its subchannel. Whoever reports delivers, one at a time: what comes meanwhile is left to
 * the one that is at it, so that the last report is the last to arrive.
 *
 * The lock is a leaf: it is taken under a cluster's or a subchannel's, and held for no delivery. */
#ifndef TERN__CLIENT_RESOLVER_H
#define TERN__CLIENT_RESOLVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tern/channel.h>
#include <tern/context.h>
#include <tern/resolver.h>

#include "base/rng.h"
#include "client/resolved.h"
#include "policy/backoff.h"

struct tern_channel;

typedef struct tern_resolver tern__resolver;

/* A way to resolve. What may be NULL says so. */
typedef struct tern__resolver_driver {
    bool exact; /* a list of its is what holds: connections to others are given up */
    bool joins; /* tern__resolver_close() waits for resolve() */
    /* Looks, on a thread of its own; reports. NULL: it reports by itself. */
    void (*resolve)(tern__resolver *r);
    /* The channel is complete: begins what reports by itself. NULL: nothing to do. */
    tern_code (*start)(tern__resolver *r, tern_status *reterr);
    /* Ends that; nothing is reported afterwards but by resolve(). NULL: nothing to do. */
    void (*stop)(tern__resolver *r);
    /* Frees `self`; resolve() is over. */
    void (*free)(void *self);
} tern__resolver_driver;

struct tern_resolver {
    atomic_uint refs;
    const tern__resolver_driver *driver;
    void *self;         /* the driver's */
    char name[TERN__HOST_MAX]; /* what is resolved, for messages */
    char *dflt_config;  /* the service config of the options; NULL: none */
    bool config_wanted; /* what is found of service configs counts */
    tern__config_client who;
    char hostname[TERN__HOST_MAX];
    atomic_bool closed; /* nobody wants to know any more */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct tern_channel *ch; /* NULL: it is not complete yet, or is being freed */
    bool wanted;             /* something suggests that the list is old */
    bool running;            /* resolve() */
    bool answered;           /* once, if only with a failure */
    int64_t not_before, old_at; /* ns: when to look next at the earliest, and in any case */
    uint64_t n_looks;           /* that are over */
    tern__backoff backoff;
    tern__rng rng;
    tern__resolved *last; /* NULL: nothing was found yet */
    tern_status error;    /* of the newest report; TERN_OK: it was good */
    bool delivering;
    unsigned todo; /* what is to be delivered, bits */

    char *config; /* by who delivers: the text that is in use; NULL: dflt_config */
};

/* With one reference. `self` is the driver's, and is freed also on failure; `name` is cut if need
 * be. NULL: out of memory. */
tern__resolver *tern__resolver_new(const tern__resolver_driver *driver, void *self,
                                   const char *name);
/* NULL is fine for both. */
tern__resolver *tern__resolver_ref(tern__resolver *r);
void tern__resolver_unref(tern__resolver *r);

/* `ch` is complete: what has come is delivered, and what comes from now on. */
tern_code tern__resolver_start(tern__resolver *r, struct tern_channel *ch,
                               const tern_channel_options *opts, tern_status *reterr);
/* Nothing is delivered any more when it returns. The channel's reference stays until nobody awaits
 * a list any more. NULL is fine. */
void tern__resolver_close(tern__resolver *r);

/* Something suggests that the list is old. NULL is fine. */
void tern__resolver_ask(tern__resolver *r);
/* Begins what is due; returns when to call again (ns). NULL is fine. */
int64_t tern__resolver_run(tern__resolver *r, int64_t now);
/* What was found last: a reference; NULL: nothing yet, and why if that is known (else *ret_why is
 * as it was). NULL is fine. */
tern__resolved *tern__resolver_last(tern__resolver *r, tern_status *ret_why);
/* For a subchannel that connects: the list, which is waited for if there is none or the driver's is
 * to be looked up anew. UNAVAILABLE: there is none, or it took too long. */
tern_code tern__resolver_await(tern__resolver *r, int64_t deadline, tern_context *context,
                               tern__address_list *ret, tern_status *reterr);

/* From the driver. Takes `found` over, which is checked; NULL: `why` says why there is none. 0, or
 * -ENOMEM if it could not be put in place. */
int tern__resolver_report(tern__resolver *r, tern__resolved *found, const tern_status *why);

#endif
