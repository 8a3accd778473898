/* The command line of tern-bench: one table of options, one parser, one result. */
#ifndef TERN_TOOLS_BENCH_OPTIONS_H
#define TERN_TOOLS_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Limits of what can be asked for: threads, bytes, seconds. */
#define BENCH_CONNECTIONS_MAX 10000u
#define BENCH_CONCURRENCY_MAX 10000u
#define BENCH_THREADS_MAX 1024u
#define BENCH_STREAMS_MAX 100u
#define BENCH_COUNT_MAX 1000000000u
#define BENCH_DURATION_S_MAX 86400.0
#define BENCH_PAYLOAD_BYTES_MAX (64u * 1024 * 1024)
#define BENCH_TIMEOUT_MS_MAX 3600000u

typedef enum bench_command {
    BENCH_HELP = 0,
    BENCH_SERVER,
    BENCH_LATENCY,
    BENCH_LOAD,
    BENCH_STREAM,
    BENCH_IDLE
} bench_command;

/* How the server runs its handler: the values of tern_execution. */
typedef enum bench_execution {
    BENCH_EXEC_AUTO = 0,
    BENCH_EXEC_INLINE = 1,
    BENCH_EXEC_POOLED = 2
} bench_execution;

/* What a client does against failures. */
typedef enum bench_resilience {
    BENCH_RESILIENCE_DEFAULT = 0, /* what the library does by itself, without its breaker */
    BENCH_RESILIENCE_NONE = 1,    /* no deadlines, retries or breakers */
    BENCH_RESILIENCE_ALL = 2      /* all there is, armed by a service config */
} bench_resilience;

/* The streaming methods of the service, by who sends. */
typedef enum bench_stream_kind {
    BENCH_PING_PONG = 0, /* StreamingCall */
    BENCH_FROM_SERVER = 1,
    BENCH_FROM_CLIENT = 2,
    BENCH_BOTH_WAYS = 3
} bench_stream_kind;

/* What the command line said. Strings are borrowed from argv. */
typedef struct bench_options {
    bench_command command;
    const char *listen;
    const char *target;
    uint32_t threads; /* 0: the library's default */
    bench_execution execution;
    uint32_t count;
    uint32_t connections;
    uint32_t concurrency;
    double duration_s;
    long server_pid; /* 0: none given */
    uint32_t request_bytes, response_bytes;
    uint32_t timeout_ms; /* 0: no deadline */
    bench_resilience resilience;
    bench_stream_kind stream_kind;
    uint32_t message_bytes; /* of a stream's messages */
    uint32_t streams;
    bool unbuffered;
    const char *tls_cert, *tls_key; /* of the server; both or neither */
    const char *tls_roots;          /* of a client; NULL: cleartext */
    bool json;
} bench_options;

/* Parses argv[1..]. Returns 0, or -1 with one sentence in err (err_size bytes) that says which word
 * is wrong and what is wanted instead. */
int bench_options_parse(int argc, char **argv, bench_options *ret, char *err, size_t err_size);

/* Writes the help text with its examples. */
void bench_options_help(FILE *out);

#endif
