/* Inside of tern_stream: what streaming.c, streaming_open.c and streaming_async.c share. */
#ifndef TERN__CLIENT_STREAMING_PARTS_H
#define TERN__CLIENT_STREAMING_PARTS_H

#include "client/admission.h"
#include "client/channel.h"
#include "client/compress.h"
#include "client/drive.h"
#include "client/head.h"
#include "client/intercept.h"
#include "client/streaming.h"

struct tern_stream {
    tern__client_stream s;
    tern__stream_body body;
    tern_channel *ch;
    tern__transport *t; /* a reference */
    bool picked_done;   /* what became of it there was told (pick.h) */
    const tern_method *method;
    tern_call_options opts; /* a copy: the caller's own may go once the stream is open */
    tern__call_terms terms;
    tern_context *context;
    tern__cancel_link link;
    tern__pass pass;

    /* the sender's own */
    tern_compress_mode compress_mode;
    bool buffering;

    /* the receiver's own */
    tern__buf taken;    /* payload with its windows opened */
    size_t n_taken;     /* bytes it held when it was taken */
    uint8_t *message;   /* handed out; given back at the next receive */
    size_t message_cap;
    bool compressed;    /* it came so */
    bool over;          /* receive has said that nothing more comes */
    uint32_t n_given;   /* messages handed out that are not counted yet */

    struct tern__stream_async *async; /* NULL: blocking */
    struct tern__stream_replay *replay; /* streaming_retry.h; NULL: it is attempted once */

    void *attached;
    void (*release)(void *);
    tern__client_interception *interception; /* NULL: no interceptors */
};

/* streaming_open.c */
tern_stream *tern__stream_make(tern_channel *ch, const tern_method *method,
                              const tern_call_options *opts);
/* For a stream that nobody uses any more, without a word to the server. */
void tern__stream_discard(tern_stream *st);
/* before() of the interceptors, which may change the options the stream is made with. */
tern_code tern__stream_intercept(tern_channel *ch, const tern_method *method,
                                 const tern_call_options **opts, tern__client_interception **ret,
                                 tern_status *reterr);
/* The last connection took nothing because it was closing just then: the next one may. */
bool tern__stream_try_again(const tern_stream *st);
/* Gives that connection back; the stream is as before its first try. */
void tern__stream_rewind(tern_stream *st);

/* One try on the connection it has; the outcome of a failed one is in st->s. */
bool tern__stream_open_on(tern_stream *st, const tern__head *head, bool close_send);
/* Asks the channel's gates. */
tern_code tern__stream_admit(tern_stream *st, tern_status *reterr);

/* streaming.c */
/* Compresses a message, if that is asked for: *codec is what to send. 0 or -ENOMEM; *p must be
 * deinitialized. */
int tern__stream_pack(tern_stream *st, tern__packed *p, const tern__call_codec **codec);
/* Appends prefix and message. False: out of memory. */
bool tern__stream_append(tern__buf *to, const tern__call_codec *codec);

/* The next message: without waiting for a stream with callbacks. */
typedef enum tern__stream_next {
    TERN__STREAM_MESSAGE,
    TERN__STREAM_LATER, /* it is not there yet */
    TERN__STREAM_OVER
} tern__stream_next;
tern__stream_next tern__stream_receive(tern_stream *st, const void **ret, size_t *ret_len);
/* Leaves the connection; an end that has not come by now is CANCELLED. */
void tern__stream_leave(tern_stream *st);
/* Metadata to the options, outcome to breaker, counters and interceptors. The status is in
 * st->s.status. */
void tern__stream_conclude(tern_stream *st);
/* With the lock: ends the stream with this status. */
void tern__stream_break_locked(tern_stream *st, tern_code code, const char *message);

/* streaming_async.c: for streams with callbacks. */
void tern__stream_async_cancel(tern_stream *st);
bool tern__stream_async_close_send(tern_stream *st);

static inline void tern__status_copy(tern_status *to, const tern_status *from)
{
    to->code = from->code;
    size_t i = 0;
    while ((to->message[i] = from->message[i]))
        i++;
}

#endif
