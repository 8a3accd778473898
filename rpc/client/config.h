/* A channel's service config at work: the parsed config with the guards of its methods, and what it
 * makes of the options of a call.
 *
 * A config is immutable but for its guards, which the channel's lock guards, and counted under that
 * lock. A call takes a reference at its beginning and goes by that config to its end; a channel
 * without a config costs it one load. */
#ifndef TERN__CLIENT_CONFIG_H
#define TERN__CLIENT_CONFIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tern/call.h>

#include "client/channel.h"
#include "policy/service_config.h"

/* Breaker and limit of the methods that one entry of methodConfig names, together. The next config
 * takes it over if it has the same for one of these methods. */
typedef struct tern__guard {
    atomic_uint refs;             /* configs that have it */
    uint32_t entry;               /* of methodConfig, for messages */
    uint32_t calls_in_flight_max; /* 0: no limit but the breaker's */
    bool has_breaker;             /* else its breaker is disabled and only counts */
    tern__breaker breaker;
    const struct tern__config *taken; /* with the channel's update_lock: by this config */
} tern__guard;

typedef struct tern__config {
    uint32_t refs; /* with the channel's lock */
    tern__service_config *parsed;
    tern__guard **guards; /* of each entry of methodConfig; NULL: it has none */
    const char *hash_header; /* whose values choose a server (ring_hash); NULL: none */
} tern__config;

/* What holds for one call: its own options, its channel's, and its method's config. */
typedef struct tern__call_terms {
    tern__config *config;              /* a reference; NULL: none */
    const tern__method_config *method; /* NULL: nothing is said of it */
    tern__guard *guard;                /* NULL: none */
    int64_t deadline;                  /* ns */
    int64_t began;                     /* ns; 0: nobody has looked at the clock yet */
    uint64_t request_max;              /* bytes of a message, TERN__CONFIG_NO_LIMIT: none */
    size_t receive_max;
    bool wait_for_ready;
    tern__lb_key key; /* what a server may be chosen by */
    struct tern__named_cluster *cluster; /* a reference: it is in this one; NULL: in none */
} tern__call_terms;

/* Returns the channel whose call it is: `ch`, or that of the cluster to which the routes send it.
 * tern__call_terms_end() is due, with that channel. No memory is taken. */
tern_channel *tern__call_terms_begin(tern__call_terms *t, tern_channel *ch,
                                     const tern_method *method, const tern_call_options *opts);
/* May be called again. `method` and `guard` are gone with it, and perhaps the cluster's channel. */
void tern__call_terms_end(tern__call_terms *t, tern_channel *ch);
/* The config alone, with the channel's lock held; one that is returned must be freed without it. */
tern__config *tern__call_terms_end_locked(tern__call_terms *t);
/* Takes `parsed` over, also when it fails. NULL: out of memory. */
tern__config *tern__config_new(tern__service_config *parsed);
/* Of a cluster (routing.h), whose config follows its parent's in two steps. The first may fail: 0
 * or -errno, and then all is as it was; it can be taken back. By the second the channel goes by
 * `fresh` from now on, and owns it. What that changes is to be told, without locks. */
int tern__config_prepare(tern_channel *ch, tern__config *fresh);
void tern__config_unprepare(tern_channel *ch);
void tern__config_swap(tern_channel *ch, tern__config *fresh, tern__breaker_change *change);
void tern__config_tell(tern_channel *ch, bool some, const tern__breaker_change *change);
/* NULL is fine. */
void tern__config_free(tern__config *c);

/* RESOURCE_EXHAUSTED when a message of `len` bytes is more than may be sent. */
tern_code tern__call_terms_check(const tern__call_terms *t, size_t len, tern_status *reterr);

/* The channel's service config is this from now on; takes `parsed` over, also when it fails:
 * RESOURCE_EXHAUSTED. */
tern_code tern__channel_take_config(tern_channel *ch, tern__service_config *parsed,
                                    tern_status *reterr);

/* For a new channel (its options are there, nobody knows it yet), and for its end. */
void tern__channel_config_init(tern_channel *ch, uint64_t seed);
void tern__channel_config_deinit(tern_channel *ch);

#endif
