/* Name resolution of one's own: a program that knows where the servers are (a registry, an
 * orchestrator, a database) registers a scheme, and targets of that scheme ask it
 * (docs/name-resolution.md; grpc doc/naming.md).
 *
 *     static void look(void *self)                        // on a thread of its own: it may block
 *     {
 *         struct mine *m = self;
 *         tern_resolver_address at[] = { { .address = "10.0.0.1:443", .weight = 2 },
 *                                        { .address = "10.0.0.2:443" } };
 *         tern_resolver_result found = TERN_RESOLVER_RESULT_INIT;
 *         found.addresses = at;
 *         found.n_addresses = 2;
 *         tern_resolver_report(m->resolver, &found, NULL);
 *     }
 *     …
 *     tern_resolver_driver mine = TERN_RESOLVER_DRIVER_INIT;
 *     mine.scheme = "mine";
 *     mine.create = make;
 *     mine.resolve_now = look;
 *     mine.destroy = unmake;
 *     tern_resolver_register(&mine, &st);
 *     tern_channel_new("mine:///orders", NULL, &ch, &st);
 */
#ifndef TERN_RESOLVER_H
#define TERN_RESOLVER_H

#include <stddef.h>
#include <stdint.h>

#include <tern/export.h>
#include <tern/status.h>

TERN_BEGIN_DECLS

/* A channel, as its resolver sees it. It is there from create() until destroy() returns. */
typedef struct tern_resolver tern_resolver;

/* A server. */
typedef struct tern_resolver_address {
    const char *address;  /* "10.0.0.1:443", "[::1]:443", "unix:/path", or with ipv4: or ipv6:; one,
                             and no name */
    uint32_t weight;      /* 1 to TERN_LIMIT_ADDRESS_WEIGHT, for policies that go by it; 0: 1 */
    const char *hash_key; /* its place in ring_hash (A42), at most TERN_LIMIT_HASH_KEY_BYTES; NULL:
                             by its address */
} tern_resolver_address;

/* What a resolver has found. All of it is copied. Begin with TERN_RESOLVER_RESULT_INIT. */
typedef struct tern_resolver_result {
    size_t size;
    const tern_resolver_address *addresses; /* all there are, in order of preference */
    size_t n_addresses;         /* at most TERN_LIMIT_ADDRESSES; 0: there is none, calls fail */
    const char *service_config; /* JSON (docs/service-config.md), which goes before the channel's
                                   option service_config, not before service_config_file; NULL:
                                   none, the option holds */
} tern_resolver_result;

#define TERN_RESOLVER_RESULT_INIT TERN_INIT(tern_resolver_result)

/* A target, in parts: "scheme://authority/path" or "scheme:path". Borrowed for create(). */
typedef struct tern_resolver_target {
    const char *text;      /* as it was given to tern_channel_new() */
    const char *authority; /* "": none */
    const char *path;      /* without the slash before it */
} tern_resolver_target;

/* A way to resolve. Begin with TERN_RESOLVER_DRIVER_INIT. */
typedef struct tern_resolver_driver {
    size_t size;
    const char *scheme; /* a letter, then letters, digits, '+', '-', '.' (RFC 3986); any case;
                           copied */
    /* Makes what resolves for one channel, in tern_channel_new(), which fails with this code and
     * this *reterr if it is not TERN_OK. It may report already. *ret_self goes to the functions
     * below. */
    tern_code (*create)(tern_resolver *r, const tern_resolver_target *target, void **ret_self,
                        tern_status *reterr, void *ctx);
    /* Something suggests that the servers should be looked for (again): the first call, a
     * connection that failed or ended. On a thread of its own, once at a time for each channel; may
     * block, and report before it returns or later. Not more often than every
     * TERN_LIMIT_RESOLVE_INTERVAL_MS, and after an error with the channel's pauses of reconnecting.
     * Does not free the channel. NULL: there is nothing to ask, changes are reported as they
     * come. */
    void (*resolve_now)(void *self);
    /* The channel is being freed: resolve_now() is not running and is not called any more. Whatever
     * reports must have ended, and will not begin again, when this returns. NULL: nothing to do. */
    void (*destroy)(void *self);
    void *ctx; /* for create() */
} tern_resolver_driver;

#define TERN_RESOLVER_DRIVER_INIT TERN_INIT(tern_resolver_driver)

/* Registers a scheme for all channels of the process that are made from now on; it stays. `driver`
 * is copied. INVALID_ARGUMENT: no create(), or the scheme cannot be one; ALREADY_EXISTS: the scheme
 * is taken, by another driver or by Tern itself; RESOURCE_EXHAUSTED: there are
 * TERN_LIMIT_RESOLVER_SCHEMES, or memory is out. Any thread. */
TERN_API tern_code tern_resolver_register(const tern_resolver_driver *driver, tern_status *reterr);

/* These are the servers from now on. Servers that stay keep their connections, calls on the others
 * end in peace. INVALID_ARGUMENT: an address or the service config cannot be meant, *reterr (NULL:
 * not wanted) says which and why; RESOURCE_EXHAUSTED: out of memory; the former result stays then.
 * Any thread; of several at once the last counts. The log's sink and the channel's on_breaker may
 * be called from within. */
TERN_API tern_code tern_resolver_report(tern_resolver *r, const tern_resolver_result *result,
                                        tern_status *reterr);

/* The servers could not be found out: `why` is a sentence for people, copied. What was reported
 * before stays; without anything to go by calls fail with UNAVAILABLE and this. Any thread. */
TERN_API void tern_resolver_report_error(tern_resolver *r, const char *why);

TERN_END_DECLS

#endif
