/* For tests of programs that use Tern: client and server joined without a port or a file, with a
 * bad network between them, a server that answers as it was told and remembers what it was asked,
 * and a clock that the test moves (docs/testing.md). In a library of its own, libtern-testing
 * (pkg-config tern-testing), which is only there as an archive: programs that are installed have no
 * use for it. Assertions for cmocka: tern/testing_cmocka.h.
 *
 *     tern_testing_server *peer;
 *     tern_testing_server_new(&peer, &st);
 *     tern_testing_fail(peer, "/shop.Shop/Buy", TERN_UNAVAILABLE, "restarting");
 *     tern_testing_reply(peer, "/shop.Shop/Buy", bytes, len);
 *     tern_channel_new(tern_testing_server_target(peer), NULL, &channel, &st);
 *     … the program under test calls Buy: it is refused, and repeated …
 *     tern_testing_server_call(peer, "/shop.Shop/Buy", 1)->previous_attempts → 1
 *
 * Every function may be called from any thread, but free, which must be the last one. */
#ifndef TERN_TESTING_H
#define TERN_TESTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/channel.h>
#include <tern/export.h>
#include <tern/metadata.h>
#include <tern/server.h>
#include <tern/status.h>

TERN_BEGIN_DECLS

/* Limits of one scripted server; beyond them: */
#define TERN_TESTING_CALLS_MAX 10000u       /* attempts remembered; RESOURCE_EXHAUSTED */
#define TERN_TESTING_ANSWERS_MAX 10000u     /* answers waiting for attempts; adding one fails */
#define TERN_TESTING_CONNECTIONS_MAX 64u    /* at once; closed at once */
#define TERN_TESTING_MESSAGE_BYTES_MAX (64u * 1024 * 1024) /* of a request; RESOURCE_EXHAUSTED */
/* Bytes of a target, its NUL included. */
#define TERN_TESTING_TARGET_MAX 64u

/* --- client and server, joined ---------------------------------------------------------------- */

/* Has `srv`, a server of the program's own that has not started, listen where nobody else looks: on
 * a Unix socket without a file, by a name that is made up. `target`, for tern_channel_new(), holds
 * that name. As many channels as there shall be may connect, and connect again. */
tern_code tern_testing_listen(tern_server *srv, char target[TERN_TESTING_TARGET_MAX],
                              tern_status *reterr);

/* The whole pair: has `srv` listen so, starts it, and makes a channel to it with `opts` (NULL: the
 * defaults). Channel, then server, are freed as ever. When it fails the server is still to be
 * freed. */
tern_code tern_testing_join(tern_server *srv, const tern_channel_options *opts, tern_channel **ret,
                            tern_status *reterr);

/* --- faults between client and server --------------------------------------------------------- */

/* Limits of one link; beyond them: */
#define TERN_TESTING_LINK_CONNECTIONS_MAX 64u         /* at once; closed at once */
#define TERN_TESTING_LINK_BYTES_MAX (1024u * 1024) /* under way, for each way of a connection; the
                                                         sender has to wait */

/* A relay that stands between a server and its clients, and lets bytes through as the test says. */
typedef struct tern_testing_link tern_testing_link;

typedef enum tern_testing_way {
    TERN_TESTING_TO_SERVER = 1,
    TERN_TESTING_TO_CLIENT = 2,
    TERN_TESTING_BOTH_WAYS = 3
} tern_testing_way;

/* What happens to the bytes that go one way. Zero: nothing, they pass at once; begin with
 * TERN_TESTING_FAULTS_INIT. Times are those of the virtual clock, if there is one. */
typedef struct tern_testing_faults {
    size_t size;
    uint32_t delay_ms;         /* each byte comes so much later */
    uint32_t bytes_per_second; /* no faster than this; 0: no limit */
    uint32_t bytes_at_once;    /* the receiver finds at most so many, and more only when it has read
                                  these; 0: no limit */
    uint64_t cut_after; /* when so many more have come through, the connection that the last of them
                           was on ends, once; 0: never */
    bool drop;  /* none comes through, nor does the end of the connection: nobody is told */
    bool stall; /* none is taken from the sender, whose buffers fill up */
} tern_testing_faults;

#define TERN_TESTING_FAULTS_INIT TERN_INIT(tern_testing_faults)

/* A link to `target`, as tern_testing_listen() or tern_testing_server_target() gave it.
 * INVALID_ARGUMENT: it is none of these; UNAVAILABLE, RESOURCE_EXHAUSTED: the system has no socket,
 * no thread or no memory. */
tern_code tern_testing_link_new(const char *target, tern_testing_link **ret, tern_status *reterr);

/* Ends all its connections. NULL is fine. */
void tern_testing_link_free(tern_testing_link *link);

/* What clients connect to instead. Borrowed. */
const char *tern_testing_link_target(const tern_testing_link *link);

/* From now on, for what is read from the sender, and of connections that are there already, too;
 * NULL: no faults. What is under way keeps its delay. INVALID_ARGUMENT: no such way or faults. */
tern_code tern_testing_link_set(tern_testing_link *link, tern_testing_way way,
                                const tern_testing_faults *faults, tern_status *reterr);

/* Ends all connections that there are, without a word. */
void tern_testing_link_reset(tern_testing_link *link);

/* Ends one way of all connections that there are: the receiver sees the end, and may go on sending;
 * what is sent its way is lost. */
void tern_testing_link_close(tern_testing_link *link, tern_testing_way way);

/* Whether new connections are closed at once. */
void tern_testing_link_refuse(tern_testing_link *link, bool refuse);

/* How many bytes have come through (of both ways: their sum), how many connections were made, and
 * are there now. */
uint64_t tern_testing_link_bytes(tern_testing_link *link, tern_testing_way way);
unsigned tern_testing_link_connections(tern_testing_link *link);
unsigned tern_testing_link_open(tern_testing_link *link);

/* --- a clock that the test moves -------------------------------------------------------------- */

/* While there is one, all of Tern in this process goes by it: deadlines, the pauses of retries and
 * reconnects, keepalive, breakers, the delays of scripted servers. It stands until it is moved, so
 * that a test of minutes takes milliseconds, and what happens within it does not depend on how fast
 * the machine is. Make it before channels, servers, loops, contexts and credentials, and free it
 * after them. */
typedef struct tern_testing_clock tern_testing_clock;

/* The furthest that it goes at once, 10 years. */
#define TERN_TESTING_CLOCK_MS_MAX (INT64_C(10) * 365 * 24 * 3600 * 1000)

/* Has the clock begin, where the system's is, and stand. FAILED_PRECONDITION: there is one already;
 * UNAVAILABLE: the system does not tell which threads sleep (Linux does, in /proc). */
tern_code tern_testing_clock_new(tern_testing_clock **ret, tern_status *reterr);

/* Back to the system's clock. NULL is fine. */
void tern_testing_clock_free(tern_testing_clock *clock);

/* Moves it by `ms`: from timer to timer, and before each waits until all other threads of the
 * process sleep, so what one timer sets off has happened before the next, and all of it when this
 * returns. INVALID_ARGUMENT: not forward, or too far; DEADLINE_EXCEEDED: a thread has not slept for
 * 30 s of real time. */
tern_code tern_testing_clock_advance(tern_testing_clock *clock, int64_t ms, tern_status *reterr);

/* Has it move by itself, or not any more: to the next timer, whenever all threads of the process
 * sleep, the test's as well. For tests that wait in calls themselves. RESOURCE_EXHAUSTED: no thread
 * for that. */
tern_code tern_testing_clock_run(tern_testing_clock *clock, bool on, tern_status *reterr);

/* By how much it was moved in all. */
int64_t tern_testing_clock_elapsed_ms(const tern_testing_clock *clock);

/* Sleeps until it has been moved by so much: for handlers that take long. (Those that sleep by
 * other means look as if nothing went on.) */
void tern_testing_clock_sleep(tern_testing_clock *clock, int64_t ms);

/* Not for programs: how libtern-testing puts the clock into libtern. */
TERN_API bool tern_hook_clock(const void *source, size_t size);

/* --- a server that answers as it was told ----------------------------------------------------- */

typedef struct tern_testing_server tern_testing_server;

/* What becomes of an attempt. */
typedef enum tern_testing_action {
    TERN_TESTING_ANSWER = 0,           /* metadata, replies, status */
    TERN_TESTING_DROP = 1,             /* the replies, and then nothing, for ever */
    TERN_TESTING_RESET_STREAM = 2,     /* the replies, then RST_STREAM with `reset_code` */
    TERN_TESTING_RESET_CONNECTION = 3, /* the replies, then the connection ends without a word, and
                                          with it all calls on it */
    TERN_TESTING_GOAWAY = 4            /* GOAWAY that says of this attempt that nobody has looked at
                                          it, then the end of the connection */
} tern_testing_action;

/* When. */
typedef enum tern_testing_when {
    TERN_TESTING_AT_END = 0,     /* when the client has sent all of its request */
    TERN_TESTING_AT_HEADERS = 1, /* as soon as the attempt begins */
    TERN_TESTING_PER_MESSAGE = 2 /* a reply for each message that comes, in order, and when the
                                    client has sent all, the rest */
} tern_testing_when;

/* A message, serialized. */
typedef struct tern_testing_message {
    const void *data;
    size_t len;
    bool compressed; /* of a request: the bytes are as they came, compressed. Of a reply: say so,
                        whatever the bytes are; gRPC does not allow it unless grpc-encoding is
                        sent, which it is not */
} tern_testing_message;

/* An answer. Copied, with all it points to. Zero is the default of every member; begin with
 * TERN_TESTING_ANSWER_INIT: that is status OK without a message, which suits a stream. */
typedef struct tern_testing_answer {
    size_t size;
    tern_testing_action action;
    tern_testing_when when;
    uint32_t times;    /* attempts that are answered so; 1 */
    uint32_t delay_ms; /* from `when` on */
    const tern_testing_message *replies; /* NULL: none */
    size_t n_replies;
    tern_code code;
    const char *message;                 /* of the status; NULL: none */
    const void *details;                 /* serialized google.rpc.Status; NULL: none */
    size_t details_len;
    const char *pushback;                /* grpc-retry-pushback-ms, sent as it stands here, though
                                            it were no number; NULL: none */
    const tern_metadata *initial_metadata;  /* NULL: none */
    const tern_metadata *trailing_metadata; /* NULL: none */
    bool headers; /* send headers and trailers apart, though there are no replies. Without it such
                     an answer is "trailers-only", which leaves room for retries: an attempt whose
                     headers have come is committed (gRFC A6) */
    uint32_t reset_code; /* HTTP/2's (RFC 9113, 7): 7 REFUSED_STREAM, 8 CANCEL …; 0 NO_ERROR */
} tern_testing_answer;

#define TERN_TESTING_ANSWER_INIT TERN_INIT(tern_testing_answer)

/* Starts a server with nothing to answer but UNIMPLEMENTED, on a thread of its own. UNAVAILABLE,
 * RESOURCE_EXHAUSTED: the system has no socket, no thread or no memory for it. */
tern_code tern_testing_server_new(tern_testing_server **ret, tern_status *reterr);

/* Ends all connections and frees everything, also what it gave out. NULL is fine. */
void tern_testing_server_free(tern_testing_server *ts);

/* Where it is, for tern_channel_new(). Borrowed. */
const char *tern_testing_server_target(const tern_testing_server *ts);

/* Puts an answer behind those that wait for attempts at `path` ("/pkg.Service/Method"; NULL: any
 * that has no answer of its own). Each attempt, retries and hedges included, takes the next.
 * INVALID_ARGUMENT: it cannot be meant, *reterr (NULL: not wanted) says why; RESOURCE_EXHAUSTED. */
tern_code tern_testing_server_add(tern_testing_server *ts, const char *path,
                                  const tern_testing_answer *answer, tern_status *reterr);

/* What attempts get when no answer waits for them, as often as they come; `times` does not count.
 * NULL takes it back. The order is: answers for the path, its default, answers for any path, the
 * default of any, UNIMPLEMENTED. Otherwise as above. */
tern_code tern_testing_server_set_default(tern_testing_server *ts, const char *path,
                                          const tern_testing_answer *answer, tern_status *reterr);

/* The usual two: an answer of one message and OK, and a status without one. False: as above. */
bool tern_testing_reply(tern_testing_server *ts, const char *path, const void *message,
                        size_t len);
bool tern_testing_fail(tern_testing_server *ts, const char *path, tern_code code,
                       const char *message);

/* How many attempts are still to come until all answers for `path` (NULL: all there are) have been
 * used. 0 at the end of a test says that the program asked as often as was thought. */
size_t tern_testing_server_unused(tern_testing_server *ts, const char *path);

/* --- what it saw ------------------------------------------------------------------------------ */

/* An attempt, as far as it had come when it was asked for. */
typedef struct tern_testing_call {
    const char *path;
    const char *authority;         /* "": none was sent */
    const tern_metadata *metadata; /* the client's, gRPC's own fields aside; never NULL */
    int64_t timeout_ms;            /* grpc-timeout, rounded up; -1: none was sent */
    int previous_attempts;         /* grpc-previous-rpc-attempts; 0: none was sent */
    unsigned connection;           /* on which it came: 1 is the first */
    const tern_testing_message *messages; /* of the request, those that had come whole */
    size_t n_messages;
    bool complete;  /* the client had sent all */
    bool ended;     /* nothing more will come of it: answered, reset, or the connection is gone */
    bool cancelled; /* the client has reset it: deadline, cancellation, a hedge that was late */
} tern_testing_call;

/* How many attempts at `path` (NULL: at all) have begun. */
size_t tern_testing_server_count(tern_testing_server *ts, const char *path);

/* Waits until `n` attempts at `path` (NULL: any) have come with their whole request, or ended.
 * False after timeout_ms. */
bool tern_testing_server_wait(tern_testing_server *ts, const char *path, size_t n,
                              int64_t timeout_ms);

/* The same until `n` of them were cancelled by the client. */
bool tern_testing_server_wait_cancelled(tern_testing_server *ts, const char *path, size_t n,
                                        int64_t timeout_ms);

/* The attempt at `path` (NULL: any) that came as number `index`, the first being 0; as it is now:
 * the same again may tell more. NULL: so many have not come, or memory is out. Borrowed until the
 * server is freed. */
const tern_testing_call *tern_testing_server_call(tern_testing_server *ts, const char *path,
                                                  size_t index);

/* How many connections were made to it. */
unsigned tern_testing_server_connections(tern_testing_server *ts);

/* Writes what it saw, a line for each attempt, into out[0..cap) with a NUL, for messages of
 * assertions; what does not fit is left out. Returns the length written. */
size_t tern_testing_server_describe(tern_testing_server *ts, char *out, size_t cap);

TERN_END_DECLS

#endif
