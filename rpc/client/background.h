/* The background loop: the only thread that Tern starts unasked, one for the process. It watches
 * the connections that no caller drives, so that pings are answered and a GOAWAY or a close is
 * noticed between calls. A connection in use costs it nothing: it is watched only after it has been
 * idle for a while, and taking it back is one system call at the next call. */
#ifndef TERN__CLIENT_BACKGROUND_H
#define TERN__CLIENT_BACKGROUND_H

#include "client/transport.h"

/* Adds a transport (a reference is taken); starts the thread at the first one. Without memory or a
 * thread the transport works all the same, only unwatched between calls. */
void tern__background_add(tern__transport *t);
/* Removes it and drops the reference. */
void tern__background_remove(tern__transport *t);
/* Takes the socket back for a caller. With the transport's lock held, when t->bg_armed. */
void tern__background_disarm(tern__transport *t);

#endif
