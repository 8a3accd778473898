/* Command lines that mean something, and those that do not: each is refused with a sentence that
 * names the word in question. */
#include "tools/bench/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define WORDS_MAX 32

static char err[256];

/* Splits at spaces and parses. */
static int parse(const char *line, bench_options *ret)
{
    static char copy[512];
    char *argv[WORDS_MAX];
    int argc = 0;
    assert_true(strlen(line) < sizeof(copy));
    strcpy(copy, line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
        assert_true(argc < WORDS_MAX);
        argv[argc++] = word;
    }
    err[0] = '\0';
    return bench_options_parse(argc, argv, ret, err, sizeof(err));
}

static void refuses(const char *line, const char *part)
{
    bench_options o;
    assert_int_equal(parse(line, &o), -1);
    if (!strstr(err, part))
        fail_msg("'%s' was answered with '%s', which does not say '%s'", line, err, part);
}

static void server_options(void **state)
{
    (void)state;
    bench_options o;
    assert_int_equal(parse("tern-bench server --listen unix:/x --threads 3 --execution pooled", &o),
                     0);
    assert_int_equal(o.command, BENCH_SERVER);
    assert_string_equal(o.listen, "unix:/x");
    assert_int_equal(o.threads, 3);
    assert_int_equal(o.execution, BENCH_EXEC_POOLED);
    assert_int_equal(parse("tern-bench server --listen a:1", &o), 0);
    assert_int_equal(o.threads, 0);
    assert_int_equal(o.execution, BENCH_EXEC_AUTO);
}

static void client_options(void **state)
{
    (void)state;
    bench_options o;
    assert_int_equal(parse("tern-bench load --target=a:1 --connections 10 --concurrency=100 "
                           "--duration 2.5s --request-size 0 --response-size 7 --server-pid 42 "
                           "--timeout-ms 9 --json",
                           &o),
                     0);
    assert_int_equal(o.command, BENCH_LOAD);
    assert_string_equal(o.target, "a:1");
    assert_int_equal(o.connections, 10);
    assert_int_equal(o.concurrency, 100);
    assert_true(o.duration_s == 2.5);
    assert_int_equal(o.request_bytes, 0);
    assert_int_equal(o.response_bytes, 7);
    assert_int_equal(o.server_pid, 42);
    assert_int_equal(o.timeout_ms, 9);
    assert_true(o.json);
    assert_int_equal(parse("tern-bench latency --target a:1", &o), 0);
    assert_int_equal(o.command, BENCH_LATENCY);
    assert_int_equal(o.count, 20000);
    assert_int_equal(o.request_bytes, 100);
    assert_int_equal(o.response_bytes, 100);
    assert_int_equal(o.timeout_ms, 0);
    assert_false(o.json);
}

static void stream_options(void **state)
{
    (void)state;
    bench_options o;
    assert_int_equal(parse("tern-bench stream --target a:1", &o), 0);
    assert_int_equal(o.command, BENCH_STREAM);
    assert_int_equal(o.stream_kind, BENCH_PING_PONG);
    assert_int_equal(o.message_bytes, 16);
    assert_int_equal(o.streams, 1);
    assert_int_equal(o.connections, 1);
    assert_false(o.unbuffered);
    assert_null(o.tls_roots);
    assert_int_equal(parse("tern-bench stream --target a:1 --kind both-ways --size 0 --streams 9 "
                           "--seconds 0.5 --unbuffered --tls-roots r.pem --connections 3",
                           &o),
                     0);
    assert_int_equal(o.stream_kind, BENCH_BOTH_WAYS);
    assert_int_equal(o.message_bytes, 0);
    assert_int_equal(o.streams, 9);
    assert_true(o.duration_s == 0.5);
    assert_true(o.unbuffered);
    assert_string_equal(o.tls_roots, "r.pem");
    assert_int_equal(parse("tern-bench stream --target a:1 --kind from-server", &o), 0);
    assert_int_equal(o.stream_kind, BENCH_FROM_SERVER);
    assert_int_equal(parse("tern-bench stream --target a:1 --kind=from-client", &o), 0);
    assert_int_equal(o.stream_kind, BENCH_FROM_CLIENT);
    assert_int_equal(parse("tern-bench idle --target a:1 --connections 5 --server-pid 7", &o), 0);
    assert_int_equal(o.command, BENCH_IDLE);
    assert_int_equal(parse("tern-bench server --listen a:1 --tls-cert c --tls-key k", &o), 0);
    assert_string_equal(o.tls_cert, "c");
    assert_string_equal(o.tls_key, "k");
}

static void help_wherever_it_stands(void **state)
{
    (void)state;
    bench_options o;
    static const char *const lines[] = { "tern-bench --help", "tern-bench -h", "tern-bench help",
                                         "tern-bench load --help",
                                         "tern-bench server --threads 1 -h" };
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        assert_int_equal(parse(lines[i], &o), 0);
        assert_int_equal(o.command, BENCH_HELP);
    }
}

static void refusals(void **state)
{
    (void)state;
    refuses("tern-bench", "command is missing");
    refuses("tern-bench serve", "'serve'");
    refuses("tern-bench server", "--listen");
    refuses("tern-bench latency", "--target");
    refuses("tern-bench load --count 5 --target a:1", "not an option of 'tern-bench load'");
    refuses("tern-bench server --listen a:1 --json", "--json");
    refuses("tern-bench load --nonsense", "'--nonsense'");
    refuses("tern-bench load --target", "--target needs a value");
    refuses("tern-bench load --target=", "--target needs an address");
    refuses("tern-bench load --json=yes", "--json takes no value");
    refuses("tern-bench load --connections 0", "from 1 to");
    refuses("tern-bench load --connections 10001", "'10001'");
    refuses("tern-bench load --concurrency -1", "'-1'");
    refuses("tern-bench load --concurrency 1x", "'1x'");
    refuses("tern-bench latency --count 99999999999999999999", "--count");
    refuses("tern-bench load --duration 0", "--duration");
    refuses("tern-bench load --duration -2", "--duration");
    refuses("tern-bench load --duration nan", "--duration");
    refuses("tern-bench load --duration 1h", "'1h'");
    refuses("tern-bench load --duration 1e9", "86400");
    refuses("tern-bench load --server-pid 0", "process id");
    refuses("tern-bench load --request-size 67108865", "67108864");
    refuses("tern-bench server --execution both", "'both'");
    refuses("tern-bench load extra", "'extra'");
    refuses("tern-bench stream --kind both", "'both'");
    refuses("tern-bench stream --kind both-ways|", "both-ways|'");
    refuses("tern-bench stream --kind=", "--kind takes one of ping-pong|from-server|from-client|"
                                         "both-ways, not ''");
    refuses("tern-bench stream --streams 101 --target a:1", "'101'");
    refuses("tern-bench stream --duration 1", "not an option of 'tern-bench stream'");
    refuses("tern-bench load --tls-roots= --target a:1", "PEM file");
    refuses("tern-bench idle --target a:1", "--server-pid PID");
    refuses("tern-bench server --listen a:1 --tls-key k", "both of --tls-cert");
}

static void a_long_word_is_cut(void **state)
{
    (void)state;
    char word[400] = "tern-bench ";
    memset(word + 11, 'a', sizeof(word) - 12);
    word[sizeof(word) - 1] = '\0';
    bench_options o;
    assert_int_equal(parse(word, &o), -1);
    assert_int_equal(strlen(err), sizeof(err) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_options),          cmocka_unit_test(client_options),
        cmocka_unit_test(help_wherever_it_stands), cmocka_unit_test(refusals),
        cmocka_unit_test(a_long_word_is_cut),      cmocka_unit_test(stream_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
