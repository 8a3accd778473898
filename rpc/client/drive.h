/* Inside of the transport: what transport.c and drive.c call in each other. All with the lock
 * held. */
#ifndef TERN__CLIENT_DRIVE_H
#define TERN__CLIENT_DRIVE_H

#include "client/transport.h"

/* Gives free places to queued streams, FIFO. */
void tern__transport_grant(tern__transport *t);
/* Takes a stream out of the open ones, frees its place. */
void tern__transport_forget(tern__transport *t, tern__client_stream *s);
/* Fails the queued streams with t->error: they never left the client. */
void tern__transport_fail_queued(tern__transport *t);
/* Ends the connection. */
void tern__transport_die(tern__transport *t, const char *why);

/* Writes what is to be written as far as the socket takes it. */
void tern__drive_flush(tern__transport *t);
/* The leader's step: waits for the socket until `deadline` (the lock is released meanwhile), reads
 * and handles what came. */
void tern__drive_poll(tern__transport *t, int64_t deadline);
/* Interrupts the leader's wait. */
void tern__drive_wake(tern__transport *t);

#endif
