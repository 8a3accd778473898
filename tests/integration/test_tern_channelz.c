/* `tern channelz`: what the command shows of this process, as tables and as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "support/probe.h"
#include "support/proc.h"

#define PATIENCE_MS 30000
#define OUTPUT_MAX 65536

static tern_server *srv;
static tern_channel *work, *broken;
static char target[64];
static char out[OUTPUT_MAX];
static tern_status st;

static const tern_method nothing_method = { .path = "/t.S/Nothing" };

static tern_code nothing(void *self, tern_server_call *call)
{
    (void)self;
    return tern_server_call_response_buffer(call, 1) ? TERN_OK : TERN_RESOURCE_EXHAUSTED;
}

static tern_code call(tern_channel *ch)
{
    void *answer = NULL;
    size_t len;
    tern_code code = tern_call_unary(ch, &nothing_method, NULL, NULL, 0, &answer, &len, &st);
    free(answer);
    return code;
}

static int setup(void **state)
{
    (void)state;
    uint16_t port;
    assert_int_equal(tern_server_new(NULL, &srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_channelz(srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &nothing_method, nothing, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    work = probe_channel(target);
    broken = probe_channel("ipv4:127.0.0.1:1");
    for (int i = 0; i < 5; i++)
        assert_int_equal(call(work), TERN_OK);
    assert_int_equal(call(broken), TERN_UNAVAILABLE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(work);
    tern_channel_free(broken);
    tern_server_free(srv);
    return 0;
}

/* Runs the command; its output is in `out`. */
static void run(const char *argument, int status)
{
    char program[512];
    const char *b = getenv("B");
    size_t len = 0;
    proc p;
    snprintf(program, sizeof program, "%s/bin/tern", b ? b : "build");
    const char *const argv[] = { program, "channelz", target, argument, NULL };
    assert_true(proc_start(&p, argv, NULL));
    out[0] = '\0';
    while (len + 2 < sizeof out &&
           proc_line(&p, out + len, sizeof out - len - 1, PATIENCE_MS)) {
        len += strlen(out + len);
        out[len++] = '\n';
        out[len] = '\0';
    }
    assert_int_equal(proc_wait(&p, PATIENCE_MS), status);
}

static void expect(const char *words)
{
    if (!strstr(out, words))
        fail_msg("\"%s\" is not in:\n%s", words, out);
}

static void test_tables(void **state)
{
    (void)state;
    run(NULL, 0);
    expect("SERVER  LISTENS ON");
    expect(target);
    expect("CHANNEL  TARGET");
    expect("READY");
    expect("TRANSIENT_FAILURE");
    expect("SOCKET  OF");
    expect("127.0.0.1:");
    expect("s ago");
    /* Columns begin below each other. */
    const char *head = strstr(out, "SOCKET  OF"), *row = strchr(head, '\n') + 1;
    size_t column = (size_t)(strstr(head, "LOCAL") - head);
    assert_int_equal(strncmp(row + column, "127.0.0.1:", 10), 0);
    assert_int_equal(row[column - 1], ' ');
}

static json_int_t number(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    assert_true(json_is_integer(v));
    return json_integer_value(v);
}

static const json_t *with(const json_t *array, const char *name, const char *value)
{
    size_t i;
    const json_t *o;
    json_array_foreach(array, i, o)
        if (strcmp(json_string_value(json_object_get(o, name)), value) == 0)
            return o;
    fail_msg("there is none whose %s is %s", name, value);
    return NULL;
}

static void test_json(void **state)
{
    (void)state;
    run("--json", 0);
    json_t *all = json_loads(out, 0, NULL);
    assert_non_null(all);
    const json_t *server = json_array_get(json_object_get(all, "servers"), 0);
    assert_string_equal(json_string_value(json_array_get(json_object_get(server, "listensOn"), 0)),
                        target);
    assert_true(number(server, "callsSucceeded") >= 5);
    const json_t *channels = json_object_get(all, "channels");
    assert_int_equal(json_array_size(channels), 2);
    const json_t *good = with(channels, "target", target);
    assert_string_equal(json_string_value(json_object_get(good, "state")), "READY");
    assert_int_equal(number(good, "callsStarted"), 5);
    assert_int_equal(number(good, "callsSucceeded"), 5);
    const json_t *bad = with(channels, "target", "ipv4:127.0.0.1:1");
    assert_int_equal(number(bad, "callsFailed"), 1);
    assert_string_equal(json_string_value(json_object_get(bad, "state")), "TRANSIENT_FAILURE");
    const json_t *sockets = json_object_get(all, "sockets");
    assert_int_equal(json_array_size(sockets), 3); /* both ends of ours, and the command's */
    const json_t *mine = with(sockets, "owner", "channel");
    assert_int_equal(number(mine, "ownerId"), number(good, "id"));
    assert_int_equal(number(mine, "messagesSent"), 5);
    assert_int_equal(number(mine, "messagesReceived"), 5);
    json_decref(all);
}

static void test_no_channelz_there(void **state)
{
    (void)state;
    char asked[64];
    uint16_t port;
    tern_server *other;
    memcpy(asked, target, sizeof asked);
    assert_int_equal(tern_server_new(NULL, &other, &st), TERN_OK);
    assert_int_equal(tern_server_listen(other, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(other, &st), TERN_OK);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    run(NULL, 64 + TERN_UNIMPLEMENTED);
    assert_string_equal(out, "");
    memcpy(target, asked, sizeof asked);
    tern_server_free(other);
}

#define WITH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_tables),
        WITH(test_json),
        WITH(test_no_channelz_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
