/* A unary call and its attempts: what blocking calls (call.c) and calls with a callback
 * (unary_async.c) have in common. The steps between are their own: the ones wait, the others are
 * told. */
#ifndef TERN__CLIENT_ATTEMPT_H
#define TERN__CLIENT_ATTEMPT_H

#include "client/admission.h"
#include "client/call.h"
#include "client/channel.h"
#include "client/compress.h"
#include "client/config.h"
#include "client/head.h"
#include "client/transport.h"
#include "policy/retry.h"

typedef struct tern__call {
    tern_channel *ch;
    const tern_method *method;
    const tern_call_options *opts;
    const tern__call_codec *codec;
    tern__call_terms terms;
    tern_context *context;
    const uint8_t *message; /* prefix and message, as it is sent */
    size_t len;
    tern__head head;
    tern__retry retry;
    bool hedged;           /* several attempts at once (hedged.h) instead of retries */
    bool counted;          /* in the channel's calls */
    bool succeeded;        /* among those that succeeded */
    tern_code former;      /* of an attempt that is being repeated; its message is in `status` */
    tern_status status;
} tern__call;

/* Fills the struct and the header fields; c->ch is the channel of the cluster that the call is
 * routed to, or `ch`; `opts` has been checked and is borrowed, as is `codec`.
 * On failure the reason is in c->status. tern__call_deinit() is due in either case. */
tern_code tern__call_init(tern__call *c, tern_channel *ch, const tern_method *method,
                          const tern_call_options *opts, const tern__call_codec *codec);
void tern__call_deinit(tern__call *c);

/* Before an attempt: the leave of the channel's gates. */
tern_code tern__call_admit(tern__call *c, tern__pass *pass);
/* There was no connection to be had: what follows. With RETRY_STOP `code` is the call's, with
 * RETRY_AFTER *ret_delay is the pause, ns. */
tern__retry_action tern__call_unreachable(tern__call *c, const tern__pass *pass, tern_code code,
                                          int64_t *ret_delay);
/* The request as it is sent, RESOURCE_EXHAUSTED if it is longer than may be sent. */
tern_code tern__call_message(tern__call *c, const uint8_t *message, size_t len);
/* Prepares the stream of an attempt that had so many before it, and what it sends. */
void tern__call_stream_init(tern__call *c, tern__client_stream *s, uint32_t former,
                            tern__request *ret);
/* Gives the stream's outcome to codec and options; its code, or what the codec makes of it. */
tern_code tern__call_deliver(tern__call *c, tern__client_stream *s);
/* What follows from an attempt's outcome, by breaker, throttle and retry policy. With RETRY_STOP
 * *ret is the call's code (the response went to the codec, the metadata to the options); with
 * RETRY_AFTER *ret_delay is the pause, ns. */
tern__retry_action tern__call_judge(tern__call *c, tern__client_stream *s, tern__transport *t,
                                    const tern__pass *pass, tern_code *ret, int64_t *ret_delay);
/* With the channel's lock: what a policy says of a failed attempt, and the retry budget of that;
 * counted. */
tern__retry_action tern__retry_judge(tern_channel *ch, tern__retry *r,
                                     const tern__attempt_result *result, int64_t deadline,
                                     int64_t *ret_delay);
/* The call is over; counts it. */
void tern__call_count(tern__call *c, tern_code code);

#endif
