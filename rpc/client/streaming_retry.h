/* Repetition of streams by a retryPolicy of the service config (gRFC A6). What the program sends is
 * kept until the call is committed: by response headers, or by more than may be kept. Until then a
 * stream that fails is opened again, on a connection of its own choice, and all of it is sent once
 * more; the program does not hear of it.
 *
 * A blocking stream may be used by two threads, and be cancelled by any. Whoever finds its attempt
 * dead revives it, alone: others that use the stream have left by then, and who wants to use it
 * waits. A stream with callbacks is used by its loop alone. */
#ifndef TERN__CLIENT_STREAMING_RETRY_H
#define TERN__CLIENT_STREAMING_RETRY_H

#include "client/streaming_parts.h"

typedef struct tern__stream_replay {
    tern__retry retry;      /* with the transport's lock, or by who revives */
    tern__buf sent;         /* every message so far, with its prefix; empty once committed */
    bool settled;           /* the newest attempt's pass has been given back, or there was none */
    tern__head head;        /* of a blocking stream, as is what follows */
    tern_metadata metadata; /* the request's: a copy */
    tern_context *context;  /* the stream's own, a child of the program's: ends pauses */
    pthread_mutex_t lock;   /* taken before the transport's */
    pthread_cond_t changed;
    bool reviving;
    uint32_t n_inside;      /* threads that use the attempt */
    uint32_t epoch;         /* raised when an attempt was revived, or could not be */
} tern__stream_replay;

/* For a stream whose terms have a retryPolicy that may be followed, else nothing is done. TERN_OK,
 * or RESOURCE_EXHAUSTED. */
tern_code tern__stream_replay_begin(tern_stream *st, tern_status *reterr);
void tern__stream_replay_free(tern_stream *st);

/* The stream's transport's lock, with the attempt that it has now, and its epoch. */
void tern__stream_enter(tern_stream *st, uint32_t *ret_epoch);
void tern__stream_exit(tern_stream *st);

/* Keeps the newest n bytes of `from`, which are sent for the first time. With the lock. */
void tern__stream_keep(tern_stream *st, const tern__buf *from, size_t n);
/* Nothing is repeated any more. With the lock. */
void tern__stream_commit(tern_stream *st);

/* Whether the attempt has failed and the policy may be asked. With the lock. */
bool tern__stream_is_dead(const tern_stream *st);
/* Blocking: by a thread that found the attempt of `epoch` dead. True: there is another one. */
bool tern__stream_revive(tern_stream *st, uint32_t epoch);
/* Blocking: the first attempt, and those that are needed until one is open. False: the status is in
 * st->s. */
bool tern__stream_open_first(tern_stream *st);

/* With callbacks. What is to become of a dead attempt: the policy's word and the pause, ns. */
tern__retry_action tern__stream_judge(tern_stream *st, int64_t *ret_delay);
/* Another attempt is to begin: asks the gates, makes the stream as new. */
bool tern__stream_begin_again(tern_stream *st);
/* What is to be sent again waits in body.out. False: out of memory, which ended the attempt. */
bool tern__stream_refill(tern_stream *st);

#endif
