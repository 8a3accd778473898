/* Interceptors: code that runs around every call of a channel or of a server, for what concerns all
 * methods alike: credentials, authorization, logging, measuring. They see and change metadata,
 * deadline and status, and may stop a call.
 *
 * A list of interceptors is an onion: `before` runs in the order of the list, `after` in the
 * reverse order, for each whose `before` let the call pass. Both run on the thread that makes or
 * serves the call, with no lock held; for several calls at once. */
#ifndef TERN_INTERCEPTOR_H
#define TERN_INTERCEPTOR_H

#include <stddef.h>
#include <stdint.h>

#include <tern/context.h>
#include <tern/export.h>
#include <tern/limits.h>
#include <tern/metadata.h>
#include <tern/method.h>
#include <tern/status.h>

TERN_BEGIN_DECLS

/* One call as an interceptor sees it. Everything is borrowed for the duration of the function. */
typedef struct tern_call_info {
    const tern_method *method;
    const char *peer;         /* client: the channel's target; server: the client's address */
    tern_context *context;    /* client: of the call's options, perhaps NULL; server: of the call */
    tern_metadata *request;   /* client: what will be sent; server: what has come */
    tern_metadata *initial;   /* after: client: what has come; server: what will be sent (nothing
                                 is sent of it when the headers have left already) */
    tern_metadata *trailing;  /* likewise */
    int64_t timeout_ms;       /* client, before: the call's own; may be changed; 0: none */
    int64_t elapsed_us;       /* after: since before() of the first interceptor */
    tern_status *status;      /* after: the outcome; may be changed, but a failure not into OK */
    void *state;              /* this interceptor's own, NULL in before(), kept until after() */
} tern_call_info;

/* One interceptor; functions may be NULL. `self` and what it points to must outlive the channel or
 * server; the struct itself is copied. */
typedef struct tern_interceptor {
    /* TERN_OK lets the call go on. Another code ends it, with the message that is in info->status
     * (tern_status_set(info->status, …)). A server's handler then never runs. */
    tern_code (*before)(void *self, tern_call_info *info);
    void (*after)(void *self, tern_call_info *info);
    void *self;
} tern_interceptor;

TERN_END_DECLS

#endif
