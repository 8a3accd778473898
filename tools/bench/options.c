/* See options.h. Every option has a value except the flags; which command takes which is one bit
 * mask in the table, so that an option in the wrong place is refused and not silently ignored. */
#include "tools/bench/options.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
    FOR_SERVER = 1 << BENCH_SERVER,
    FOR_LATENCY = 1 << BENCH_LATENCY,
    FOR_LOAD = 1 << BENCH_LOAD,
    FOR_STREAM = 1 << BENCH_STREAM,
    FOR_IDLE = 1 << BENCH_IDLE,
    FOR_UNARY = FOR_LATENCY | FOR_LOAD,
    FOR_CLIENTS = FOR_UNARY | FOR_STREAM | FOR_IDLE
};

typedef enum kind {
    KIND_ADDRESS,
    KIND_FILE,
    KIND_U32,
    KIND_SECONDS,
    KIND_PID,
    KIND_CHOICE,
    KIND_FLAG
} kind;

typedef struct option {
    const char *name;
    unsigned commands;
    kind kind;
    size_t offset;       /* of the member in bench_options */
    uint32_t min, max;   /* of KIND_U32 */
    const char *choices; /* of KIND_CHOICE: the enum's names in order, each followed by '|' */
} option;

#define MEMBER(m) offsetof(bench_options, m)

static const option options[] = {
    { "--listen", FOR_SERVER, KIND_ADDRESS, MEMBER(listen), 0, 0, NULL },
    { "--threads", FOR_SERVER, KIND_U32, MEMBER(threads), 1, BENCH_THREADS_MAX, NULL },
    { "--execution", FOR_SERVER, KIND_CHOICE, MEMBER(execution), 0, 0, "auto|inline|pooled|" },
    { "--tls-cert", FOR_SERVER, KIND_FILE, MEMBER(tls_cert), 0, 0, NULL },
    { "--tls-key", FOR_SERVER, KIND_FILE, MEMBER(tls_key), 0, 0, NULL },
    { "--target", FOR_CLIENTS, KIND_ADDRESS, MEMBER(target), 0, 0, NULL },
    { "--tls-roots", FOR_CLIENTS, KIND_FILE, MEMBER(tls_roots), 0, 0, NULL },
    { "--count", FOR_LATENCY, KIND_U32, MEMBER(count), 1, BENCH_COUNT_MAX, NULL },
    { "--kind", FOR_STREAM, KIND_CHOICE, MEMBER(stream_kind), 0, 0,
      "ping-pong|from-server|from-client|both-ways|" },
    { "--size", FOR_STREAM, KIND_U32, MEMBER(message_bytes), 0, BENCH_PAYLOAD_BYTES_MAX, NULL },
    { "--streams", FOR_STREAM, KIND_U32, MEMBER(streams), 1, BENCH_STREAMS_MAX, NULL },
    { "--seconds", FOR_STREAM, KIND_SECONDS, MEMBER(duration_s), 0, 0, NULL },
    { "--unbuffered", FOR_STREAM, KIND_FLAG, MEMBER(unbuffered), 0, 0, NULL },
    { "--connections", FOR_LOAD | FOR_STREAM | FOR_IDLE, KIND_U32, MEMBER(connections), 1,
      BENCH_CONNECTIONS_MAX, NULL },
    { "--concurrency", FOR_LOAD, KIND_U32, MEMBER(concurrency), 1, BENCH_CONCURRENCY_MAX, NULL },
    { "--duration", FOR_LOAD, KIND_SECONDS, MEMBER(duration_s), 0, 0, NULL },
    { "--server-pid", FOR_CLIENTS, KIND_PID, MEMBER(server_pid), 0, 0, NULL },
    { "--request-size", FOR_UNARY, KIND_U32, MEMBER(request_bytes), 0, BENCH_PAYLOAD_BYTES_MAX,
      NULL },
    { "--response-size", FOR_UNARY, KIND_U32, MEMBER(response_bytes), 0, BENCH_PAYLOAD_BYTES_MAX,
      NULL },
    { "--timeout-ms", FOR_UNARY, KIND_U32, MEMBER(timeout_ms), 0, BENCH_TIMEOUT_MS_MAX, NULL },
    { "--resilience", FOR_UNARY, KIND_CHOICE, MEMBER(resilience), 0, 0, "default|none|all|" },
    { "--json", FOR_CLIENTS, KIND_FLAG, MEMBER(json), 0, 0, NULL },
};

static const char *const command_names[] = {
    "help", "server", "latency", "load", "stream", "idle"
};

/* Where errors go. */
typedef struct sink {
    char *text;
    size_t size;
} sink;

static void *member(bench_options *o, const option *opt)
{
    return (char *)o + opt->offset;
}

static int parse_integer(const char *text, long min, long max, long *ret)
{
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno || end == text || *end || n < min || n > max)
        return -1;
    *ret = n;
    return 0;
}

static int parse_choice(const char *text, const char *choices, int *ret)
{
    size_t len = strlen(text);
    int n = 0;
    for (const char *c = choices; *c; c = strchr(c, '|') + 1, n++) {
        if (strncmp(c, text, len) == 0 && c[len] == '|') {
            *ret = n;
            return 0;
        }
    }
    return -1;
}

/* "2", "0.5", "2s": above 0 and at most the limit. */
static int parse_seconds(const char *text, double *ret)
{
    char *end;
    errno = 0;
    double s = strtod(text, &end);
    if (errno || end == text || (*end && strcmp(end, "s") != 0) || !(s > 0) ||
        s > BENCH_DURATION_S_MAX)
        return -1;
    *ret = s;
    return 0;
}

/* Numbers of every kind. */
static int set_number(bench_options *o, const option *opt, const char *value, sink *err)
{
    long n;
    switch (opt->kind) {
    case KIND_U32:
        if (parse_integer(value, opt->min, opt->max, &n) == 0) {
            *(uint32_t *)member(o, opt) = (uint32_t)n;
            return 0;
        }
        snprintf(err->text, err->size, "%s takes a number from %u to %u, not '%s'", opt->name,
                 opt->min, opt->max, value);
        return -1;
    case KIND_SECONDS:
        if (parse_seconds(value, member(o, opt)) == 0)
            return 0;
        snprintf(err->text, err->size,
                 "%s takes seconds above 0 and up to %.0f, such as 10 or 0.5, not '%s'", opt->name,
                 BENCH_DURATION_S_MAX, value);
        return -1;
    default:
        if (parse_integer(value, 1, INT_MAX, member(o, opt)) == 0)
            return 0;
        snprintf(err->text, err->size, "%s takes a process id, not '%s'", opt->name, value);
        return -1;
    }
}

static int set_value(bench_options *o, const option *opt, const char *value, sink *err)
{
    switch (opt->kind) {
    case KIND_ADDRESS:
    case KIND_FILE:
        if (*value == '\0') {
            snprintf(err->text, err->size, "%s needs %s", opt->name,
                     opt->kind == KIND_FILE ? "the path of a PEM file"
                                            : "an address such as ipv4:127.0.0.1:7000");
            return -1;
        }
        *(const char **)member(o, opt) = value;
        return 0;
    case KIND_CHOICE:
        if (*value && parse_choice(value, opt->choices, member(o, opt)) == 0)
            return 0;
        snprintf(err->text, err->size, "%s takes one of %.*s, not '%s'", opt->name,
                 (int)strlen(opt->choices) - 1, opt->choices, value);
        return -1;
    case KIND_FLAG:
        *(bool *)member(o, opt) = true;
        return 0;
    default:
        return set_number(o, opt, value, err);
    }
}

/* Finds "--name" or "--name=value" among the options of a command; *ret_value is NULL or the
 * value. */
static const option *find(const char *word, bench_command command, const char **ret_value,
                          sink *err)
{
    const char *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    *ret_value = equals ? equals + 1 : NULL;
    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
        const option *opt = &options[i];
        if (strlen(opt->name) != len || memcmp(opt->name, word, len) != 0)
            continue;
        if (opt->commands & (1u << command))
            return opt;
        snprintf(err->text, err->size, "%s is not an option of 'tern-bench %s'; see --help",
                 opt->name, command_names[command]);
        return NULL;
    }
    snprintf(err->text, err->size, "'%s' is not known; see tern-bench --help", word);
    return NULL;
}

static int check_complete(const bench_options *o, sink *err)
{
    const char *missing = NULL;
    if (o->command == BENCH_SERVER && !o->tls_cert != !o->tls_key)
        missing = "both of --tls-cert FILE and --tls-key FILE, or neither";
    else if (o->command == BENCH_IDLE && !o->server_pid)
        missing = "--server-pid PID, whose memory it looks at";
    if (o->command == BENCH_SERVER && !o->listen)
        missing = "--listen ADDR";
    else if (o->command != BENCH_SERVER && !o->target)
        missing = "--target ADDR";
    if (!missing)
        return 0;
    snprintf(err->text, err->size, "'tern-bench %s' needs %s", command_names[o->command], missing);
    return -1;
}

static int parse_command(const char *word, bench_command *ret, sink *err)
{
    for (int i = BENCH_SERVER; i <= BENCH_IDLE; i++) {
        if (strcmp(word, command_names[i]) == 0) {
            *ret = (bench_command)i;
            return 0;
        }
    }
    snprintf(err->text, err->size,
             "'%s' is not a command: server, latency, load, stream or idle are", word);
    return -1;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

int bench_options_parse(int argc, char **argv, bench_options *ret, char *err_text, size_t err_size)
{
    sink err = { err_text, err_size };
    *ret = (bench_options){ .count = 20000,
                            .connections = 1,
                            .streams = 1,
                            .message_bytes = 16,
                            .concurrency = 1,
                            .duration_s = 10,
                            .request_bytes = 100,
                            .response_bytes = 100 };
    if (argc < 2) {
        snprintf(err.text, err.size,
                 "a command is missing: server, latency, load, stream or idle; see --help");
        return -1;
    }
    if (is_help(argv[1]) || strcmp(argv[1], "help") == 0)
        return 0;
    if (parse_command(argv[1], &ret->command, &err) < 0)
        return -1;
    for (int i = 2; i < argc; i++) {
        if (is_help(argv[i])) {
            ret->command = BENCH_HELP;
            return 0;
        }
        const char *value;
        const option *opt = find(argv[i], ret->command, &value, &err);
        if (!opt)
            return -1;
        if (opt->kind == KIND_FLAG && value) {
            snprintf(err.text, err.size, "%s takes no value", opt->name);
            return -1;
        }
        if (opt->kind != KIND_FLAG && !value && ++i == argc) {
            snprintf(err.text, err.size, "%s needs a value", opt->name);
            return -1;
        }
        if (set_value(ret, opt, value ? value : argv[i], &err) < 0)
            return -1;
    }
    return check_complete(ret, &err);
}

void bench_options_help(FILE *out)
{
    fputs(
        "tern-bench: serves and drives grpc.testing.BenchmarkService\n"
        "\n"
        "  tern-bench server  --listen ADDR [--threads N] [--execution auto|inline|pooled]\n"
        "  tern-bench latency --target ADDR [--count N]\n"
        "  tern-bench load    --target ADDR [--connections C] [--concurrency N] [--duration S]\n"
        "  tern-bench stream  --target ADDR [--kind KIND] [--size B] [--streams N] [--seconds S]\n"
        "  tern-bench idle    --target ADDR --server-pid PID [--connections C]\n"
        "\n"
        "server    answers each request with its payload, repeated to the size it asks for, until\n"
        "          SIGTERM or SIGINT. Port 0 takes a free one; the address is printed.\n"
        "          --threads N        event loops (default: one for each CPU available)\n"
        "          --execution HOW    where handlers run, see tern/server.h (default: auto)\n"
        "          --tls-cert FILE, --tls-key FILE   TLS with this certificate chain (PEM)\n"
        "latency   one blocking caller: mean, p50 and p99 of N round trips in microseconds\n"
        "          --count N          round trips after a warm-up (default: 20000)\n"
        "load      N callers, spread over C connections, each with one call in flight: calls/s,\n"
        "          percentiles, CPU microseconds per call of the client and, with --server-pid, "
        "of\n"
        "          the server\n"
        "          --connections C    (default: 1)\n"
        "          --concurrency N    calls in flight over all connections (default: 1)\n"
        "          --duration S       seconds after a warm-up (default: 10)\n"
        "stream    N streams over C connections: messages/s, MB/s, CPU microseconds per message\n"
        "          --kind KIND        ping-pong (default), from-server, from-client, both-ways\n"
        "          --size B           bytes of payload of each message (default: 16)\n"
        "          --streams N        (default: 1)\n"
        "          --connections C    (default: 1)\n"
        "          --seconds S        seconds after a warm-up (default: 10)\n"
        "          --unbuffered       each message leaves at once; else those of from-client and\n"
        "                             both-ways gather up to 16 KiB\n"
        "idle      opens C connections, does nothing with them, and tells by how much the memory\n"
        "          of the server has grown for each\n"
        "\n"
        "latency, load, stream and idle take as well:\n"
        "          --tls-roots FILE   TLS, trusting these certificates (PEM)\n"
        "          --server-pid PID   a process on this machine whose CPU time is to be shown\n"
        "          --json             one line of JSON instead of text\n"
        "\n",
        out);
    fputs("latency and load:\n"
          "          --request-size B   bytes of payload sent (default: 100)\n"
          "          --response-size B  bytes of payload asked for (default: 100)\n"
          "          --timeout-ms MS    deadline of each call (default: none)\n"
          "          --resilience WHAT  none: no retries, no breakers; all: deadlines, retries,\n"
          "                             their limits, breakers of channel and method (default:\n"
          "                             retries and no breakers)\n"
          "\n"
          "Every answer is checked: its size, and that it is the request's payload (or zeros, as\n"
          "the official servers send). ADDR is a gRPC target: ipv4:127.0.0.1:7000, unix:/path,\n"
          "dns:host:port. The exit status is 0 when all calls succeeded, 1 when not, 2 for a "
          "command\n"
          "line that cannot be meant.\n"
          "\n"
          "Examples:\n"
          "  tern-bench server --listen ipv4:127.0.0.1:7000 --threads 1\n"
          "  tern-bench latency --target ipv4:127.0.0.1:7000 --count 50000\n"
          "  tern-bench load --target ipv4:127.0.0.1:7000 --connections 10 --concurrency 100 \\\n"
          "      --duration 5 --server-pid $(pidof -s tern-bench)\n"
          "  tern-bench stream --target ipv4:127.0.0.1:7000 --kind from-server --size 1000000\n",
          out);
}
