/* Inside of the transport: what transport.c and drive.c call in each other. All with the lock
 * held. */
#ifndef TERN__CLIENT_DRIVE_H
#define TERN__CLIENT_DRIVE_H

#include "client/transport.h"

/* Gives free places to queued streams, FIFO. */
void tern__transport_grant(tern__transport *t);
/* Takes a stream out of the open ones, frees its place. */
void tern__transport_forget(tern__transport *t, tern__client_stream *s);
/* Fails the queued streams with t->error, if it is set: they never left the client. */
void tern__transport_fail_queued(tern__transport *t);
/* Ends the connection. */
void tern__transport_die(tern__transport *t, const char *why);

/* A stream that the loop drove is over. */
void tern__drive_async_end(tern__transport *t);

/* The connection is not used any more: gives memory back. */
void tern__drive_rest(tern__transport *t);

/* Whether bytes wait for room in the socket. */
static inline bool tern__drive_unsent(const tern__transport *t)
{
    return t->out.len || tern__socket_unsent(&t->sock);
}

/* Reads what the socket holds, without waiting; by the leader, or when nobody leads. True while the
 * connection lives. */
bool tern__drive_take_in_all(tern__transport *t);
/* Writes what is to be written as far as the socket takes it. */
void tern__drive_flush(tern__transport *t);
/* The leader's step: waits for the socket until `deadline`, no longer than `slice` (io/clock.h; the
 * lock is released meanwhile), reads and handles what came. */
void tern__drive_poll(tern__transport *t, int64_t deadline, int64_t slice);
/* Interrupts the leader's wait. */
void tern__drive_wake(tern__transport *t);
/* A thread that leaves passes the lead on, if somebody waits. */
void tern__drive_pass_lead(tern__transport *t);

/* What a thread waits for on a stream; its end and its cancellation settle any wait. */
typedef enum tern__wait_for {
    TERN__WAIT_END,
    TERN__WAIT_PLACE,   /* granted, under MAX_CONCURRENT_STREAMS */
    TERN__WAIT_HEADERS, /* the server's header list */
    TERN__WAIT_DATA,    /* received payload */
    TERN__WAIT_ROOM     /* room for more to send */
} tern__wait_for;

/* Leads or follows until it is there or the deadline has passed. */
void tern__drive_await(tern__transport *t, tern__client_stream *s, tern__waiter *w,
                       tern__wait_for what, int64_t deadline);
/* Opens the stream with the request's head and what it has of a message, under the peer's
 * MAX_CONCURRENT_STREAMS. True: it is open; false: the outcome is in *s. */
bool tern__drive_open(tern__transport *t, tern__client_stream *s, const tern__request *r);
/* The same for a stream that nobody waits for: start, then granted whenever something has happened,
 * until the stream is open (s->h2.id) or done. */
void tern__drive_start(tern__transport *t, tern__client_stream *s, const tern__request *r);
void tern__drive_granted(tern__transport *t, tern__client_stream *s, const tern__request *r);
/* Ends a stream whose wait ended without an outcome: CANCELLED or DEADLINE_EXCEEDED. */
void tern__drive_give_up(tern__transport *t, tern__client_stream *s, tern__attempt_fate fate);

/* Cancellation of a stream by its context, from listen until tern__context_unlisten(). False: it
 * was cancelled before. Without the lock. */
typedef struct tern__cancel_link {
    tern__context_listener listener;
    tern__transport *t;
    tern__client_stream *s;
} tern__cancel_link;
bool tern__drive_listen(tern__cancel_link *link, tern_context *context);

#endif
