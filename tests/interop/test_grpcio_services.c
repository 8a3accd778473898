/* The standard services of a Tern server, read by grpcio (Debian's python3-grpcio) with generic
 * calls: grpcio_health.py and grpcio_channelz.py are the clients. Their message classes come from
 * protoc's Python generator and copies of the .proto files below other folders, since "grpc" is
 * grpcio's own package. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/probe.h"
#include "support/proc.h"

#define PYTHON "/usr/bin/python3"
#define PATIENCE_MS 60000

static char folder[512];
static bool have_grpcio;

static bool run(const char *const argv[])
{
    proc p;
    return proc_start(&p, argv, "/dev/null") && proc_wait(&p, PATIENCE_MS) == 0;
}

/* Makes NAME/FILE_pb2.py of proto/SOURCE. */
static bool make_classes(const char *source, const char *name, const char *file)
{
    char from[256], to[700], dir[600], include[600], out[600];
    snprintf(from, sizeof from, "proto/%s", source);
    snprintf(dir, sizeof dir, "%s/%s", folder, name);
    snprintf(to, sizeof to, "%s/%s.proto", dir, file);
    snprintf(include, sizeof include, "-I%s", folder);
    snprintf(out, sizeof out, "--python_out=%s", folder);
    const char *const mkdir[] = { "mkdir", "-p", dir, NULL };
    const char *const cp[] = { "cp", from, to, NULL };
    const char *const protoc[] = { "protoc", include, out, to, NULL };
    return run(mkdir) && run(cp) && run(protoc);
}

static int prepare(void **state)
{
    (void)state;
    const char *b = getenv("B");
    const char *const probe[] = { PYTHON, "-c", "import grpc, google.protobuf", NULL };
    snprintf(folder, sizeof folder, "%s/tests/interop/services", b ? b : "build");
    have_grpcio = run(probe);
    return make_classes("grpc/health/v1/health.proto", "grpc_health_v1", "health") &&
                   make_classes("grpc/channelz/v1/channelz.proto", "grpc_channelz_v1", "channelz")
               ? 0
               : -1;
}

static void need_grpcio(void)
{
    if (have_grpcio)
        return;
    print_message("python3-grpcio is not installed for " PYTHON " (tools/setup installs it)\n");
    skip();
}

/* Does what the client asks for; false when the line is a result. */
static bool obey(probe_server *server, const char *line)
{
    char service[64];
    int status;
    if (strcmp(line, "drain") == 0)
        tern_server_drain(server->srv, PATIENCE_MS);
    else if (sscanf(line, "set %63s %d", service, &status) == 2)
        assert_int_equal(tern_health_set(server->health, service, (tern_serving_status)status), 0);
    else
        return false;
    return true;
}

static void test_health(void **state)
{
    (void)state;
    need_grpcio();
    probe_server server;
    char line[200];
    int cases = 0;
    proc p;
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    assert_int_equal(tern_health_set(server.health, "a.B", TERN_NOT_SERVING), 0);
    const char *const argv[] = { PYTHON, "tests/interop/grpcio_health.py", folder, server.target,
                                 NULL };
    assert_true(proc_start(&p, argv, NULL));
    while (proc_line(&p, line, sizeof line, PATIENCE_MS)) {
        if (obey(&server, line))
            continue;
        print_message("  %s\n", line);
        cases++;
    }
    assert_int_equal(proc_wait(&p, 10000), 0);
    assert_int_equal(cases, 5);
    int64_t began = probe_now_ms();
    tern_server_wait(server.srv);
    assert_true(probe_now_ms() - began < PATIENCE_MS / 2);
    probe_stop(&server, 1);
}

static void test_channelz(void **state)
{
    (void)state;
    need_grpcio();
    tern_server *srv;
    tern_status st;
    uint16_t port;
    char target[64], line[200];
    int cases = 0;
    proc p;
    assert_int_equal(tern_server_new(NULL, &srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_channelz(srv, &st), TERN_OK);
    assert_int_equal(tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    tern_channel *broken = probe_channel("ipv4:127.0.0.1:1");
    assert_int_equal(probe_echo(broken, NULL, "x", &st), TERN_UNAVAILABLE);
    const char *const argv[] = { PYTHON, "tests/interop/grpcio_channelz.py", folder, target, NULL };
    assert_true(proc_start(&p, argv, NULL));
    while (proc_line(&p, line, sizeof line, PATIENCE_MS)) {
        print_message("  %s\n", line);
        cases++;
    }
    assert_int_equal(proc_wait(&p, 10000), 0);
    assert_int_equal(cases, 4);
    tern_channel_free(broken);
    tern_server_free(srv);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_health),
                                        cmocka_unit_test(test_channelz) };
    return cmocka_run_group_tests_name("interop/grpcio services", tests, prepare, NULL);
}
