/* Sockets: non-blocking, close-on-exec, TCP_NODELAY. Results are file descriptors or negative
 * errno.
 *
 * A connection is a tern__socket: a descriptor, and TLS on top of it or not. Whoever reads and
 * writes need not know which: the functions below do what is due. */
#ifndef TERN__IO_SOCKET_H
#define TERN__IO_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/pieces.h"
#include "io/address.h"

struct tern__tls;

/* A connection; fd may be polled. A zeroed `tls` is cleartext. */
typedef struct tern__socket {
    int fd;
    struct tern__tls *tls; /* owned; NULL: cleartext */
} tern__socket;

/* Begins a connection. *ret_pending says that it is under way (wait for POLLOUT, then look at
 * tern__socket_error()). Returns the descriptor or -errno. */
int tern__socket_connect(const tern__address *a, bool *ret_pending);
/* SO_ERROR as a negative errno, 0 for none. */
int tern__socket_error(int fd);

/* Opens a listening socket. A unix path that a dead process left behind is replaced; one that
 * somebody listens on is -EADDRINUSE. *ret_bound is what it was bound to. */
int tern__socket_listen(const tern__address *a, tern__address *ret_bound);
/* Closes a listening socket and removes its unix path; *fd becomes -1. Nothing when it is -1
 * already. */
void tern__socket_stop_listening(int *fd, const tern__address *bound);
/* TCP_USER_TIMEOUT (gRFC A18): what was sent and is not acknowledged for so long fails the
 * connection. Sockets that are not TCP have no such thing: nothing happens. */
void tern__socket_set_user_timeout(int fd, int64_t ns);
/* A new connection, or -EAGAIN and other -errno. */
int tern__socket_accept(int fd, tern__address *ret_peer);

/* Reads up to `cap` bytes (with TLS at least TERN__TLS_READ_MIN): > 0 bytes, 0 end of the stream,
 * -EAGAIN, or another -errno. Fewer than `cap` does not mean that the socket is empty. */
long tern__socket_read(tern__socket *s, uint8_t *to, size_t cap);
/* For a cleartext socket whose only reader may sleep in the read itself, which saves the poll:
 * blocking mode (the functions above and below do not block even so), a limit of the wait (0:
 * none), and the read, which gives -EAGAIN when the limit is over or a signal came. 0 or -errno. */
int tern__socket_set_blocking(int fd);
int tern__socket_set_receive_timeout(int fd, int64_t ns);
long tern__socket_read_blocking(const tern__socket *s, uint8_t *to, size_t cap);
/* Writes what `out` holds as far as the socket takes it: 1 all written, 0 the socket is full (wait
 * for POLLOUT), -errno. */
int tern__socket_flush(tern__socket *s, tern__buf *out);
/* The same for a cleartext socket with pieces between the bytes; what the socket does not take is
 * in `out` afterwards, and nothing is borrowed any more. */
int tern__socket_flush_pieces(tern__socket *s, tern__buf *out, tern__pieces *pieces);
/* Bytes that left `out` and wait in the socket's own buffers: flush again. */
size_t tern__socket_unsent(const tern__socket *s);
/* What a negative result of the functions above means, in words; borrowed from `s`. */
const char *tern__socket_reason(const tern__socket *s, long error);
/* Says that nothing more will be sent, after what was flushed: the peer finds the end of the stream
 * behind it. Reading goes on; what comes with TLS is not decrypted any more. */
void tern__socket_end(tern__socket *s);
/* Closes it; s->fd becomes -1. */
void tern__socket_close(tern__socket *s);

#endif
