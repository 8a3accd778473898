/* A Tern client talks to a real etcd (Debian's etcd-server), through stubs that protoc-gen-tern
 * made from proto/etcd: put, range, delete, transactions and leases, and what etcd answers to
 * mistakes. */
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "etcd/etcdserverpb/rpc.tern.h"
#include "support/probe.h"
#include "support/proc.h"

#define ETCD "/usr/bin/etcd"

static proc etcd;
static char dir[96];
static tern_channel *channel;
static bool have_etcd;

/* A port that was free a moment ago. */
static unsigned free_port(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    socklen_t len = sizeof a;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static bool start_etcd(char log[128])
{
    char client[64], peer[64], cluster[80], data[128], target[64];
    unsigned port = free_port();
    tern_status st;
    snprintf(client, sizeof client, "http://127.0.0.1:%u", port);
    snprintf(peer, sizeof peer, "http://127.0.0.1:%u", free_port());
    snprintf(cluster, sizeof cluster, "default=%s", peer);
    snprintf(data, sizeof data, "%s/data", dir);
    snprintf(log, 128, "%s/log", dir);
    const char *const argv[] = {
        ETCD,    "--data-dir",
        data,    "--listen-client-urls",
        client,  "--advertise-client-urls",
        client,  "--listen-peer-urls",
        peer,    "--initial-advertise-peer-urls",
        peer,    "--initial-cluster",
        cluster, "--logger",
        "zap",   NULL,
    };
    if (!proc_start(&etcd, argv, log))
        return false;
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    channel = probe_channel(target);
    /* A leader has to be elected before it serves. */
    Etcdserverpb__PutRequest req = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__PutResponse *res;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = 20000;
    opts.wait_for_ready = true;
    req.key = (ProtobufCBinaryData){ 5, (uint8_t *)"ready" };
    if (etcdserverpb_kv_put(channel, &opts, &req, &res, &st) == TERN_OK) {
        etcdserverpb__put_response__free_unpacked(res, NULL);
        return true;
    }
    print_message("etcd does not answer: %s\n", st.message);
    tern_channel_free(channel);
    channel = NULL;
    proc_end(&etcd, SIGTERM, 10000);
    return false;
}

static int start(void **state)
{
    (void)state;
    char log[128], command[160];
    have_etcd = access(ETCD, X_OK) == 0;
    if (!have_etcd)
        return 0;
    snprintf(dir, sizeof dir, "/tmp/tern-etcd-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    /* Somebody may take the port between free_port() and etcd: try again then. */
    for (int i = 0; i < 3; i++)
        if (start_etcd(log))
            return 0;
    snprintf(command, sizeof command, "tail -n 20 %s", log);
    return system(command) ? -1 : -1;
}

static int end(void **state)
{
    (void)state;
    char command[128];
    if (!have_etcd)
        return 0;
    tern_channel_free(channel);
    proc_end(&etcd, SIGTERM, 20000);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static void need_etcd(void)
{
    if (have_etcd)
        return;
    print_message("etcd-server is not installed (tools/setup installs it)\n");
    skip();
}

static ProtobufCBinaryData bytes(const char *s)
{
    return (ProtobufCBinaryData){ strlen(s), (uint8_t *)(uintptr_t)s };
}

static int64_t put(const char *key, const char *value, int64_t lease)
{
    tern_status st;
    Etcdserverpb__PutRequest req = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__PutResponse *res;
    req.key = bytes(key);
    req.value = bytes(value);
    req.lease = lease;
    if (etcdserverpb_kv_put(channel, NULL, &req, &res, &st))
        fail_msg("put %s: %s", key, st.message);
    int64_t revision = res->header->revision;
    etcdserverpb__put_response__free_unpacked(res, NULL);
    return revision;
}

static Etcdserverpb__RangeResponse *range(const char *from, const char *to)
{
    tern_status st;
    Etcdserverpb__RangeRequest req = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RangeResponse *res;
    req.key = bytes(from);
    req.range_end = bytes(to);
    req.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    if (etcdserverpb_kv_range(channel, NULL, &req, &res, &st))
        fail_msg("range %s: %s", from, st.message);
    return res;
}

static void assert_bytes(ProtobufCBinaryData b, const char *s)
{
    assert_int_equal(b.len, strlen(s));
    assert_memory_equal(b.data, s, b.len);
}

static void test_put_range_delete(void **state)
{
    (void)state;
    need_etcd();
    int64_t first = put("a/1", "one", 0);
    assert_true(put("a/2", "two", 0) > first);
    put("a/1", "uno", 0);

    Etcdserverpb__RangeResponse *got = range("a/", "a0");
    assert_int_equal(got->count, 2);
    assert_int_equal(got->n_kvs, 2);
    assert_bytes(got->kvs[0]->key, "a/2");
    assert_bytes(got->kvs[1]->key, "a/1");
    assert_bytes(got->kvs[1]->value, "uno");
    assert_int_equal(got->kvs[1]->version, 2);
    assert_int_equal(got->kvs[1]->create_revision, first);
    assert_true(got->header->cluster_id != 0);
    etcdserverpb__range_response__free_unpacked(got, NULL);

    tern_status st;
    Etcdserverpb__DeleteRangeRequest del = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    Etcdserverpb__DeleteRangeResponse *gone;
    del.key = bytes("a/1");
    del.prev_kv = true;
    assert_int_equal(etcdserverpb_kv_delete_range(channel, NULL, &del, &gone, &st), TERN_OK);
    assert_int_equal(gone->deleted, 1);
    assert_bytes(gone->prev_kvs[0]->value, "uno");
    etcdserverpb__delete_range_response__free_unpacked(gone, NULL);
    got = range("a/1", "");
    assert_int_equal(got->n_kvs, 0);
    etcdserverpb__range_response__free_unpacked(got, NULL);
}

static void test_large_value(void **state)
{
    (void)state;
    need_etcd();
    tern_status st;
    Etcdserverpb__PutRequest req = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__PutResponse *res;
    req.key = bytes("large");
    req.value.len = 1024 * 1024;
    req.value.data = malloc(2u * 1024 * 1024);
    assert_non_null(req.value.data);
    memset(req.value.data, 'L', 2u * 1024 * 1024);
    assert_int_equal(etcdserverpb_kv_put(channel, NULL, &req, &res, &st), TERN_OK);
    etcdserverpb__put_response__free_unpacked(res, NULL);
    Etcdserverpb__RangeResponse *got = range("large", "");
    assert_int_equal(got->kvs[0]->value.len, req.value.len);
    assert_memory_equal(got->kvs[0]->value.data, req.value.data, req.value.len);
    etcdserverpb__range_response__free_unpacked(got, NULL);
    req.value.len = 7u * 256 * 1024; /* etcd takes 1.5 MiB */
    assert_int_equal(etcdserverpb_kv_put(channel, NULL, &req, &res, &st), TERN_INVALID_ARGUMENT);
    assert_string_equal(st.message, "etcdserver: request is too large");
    free(req.value.data);
}

/* Compare and put: messages with oneofs, both ways. */
static void test_transaction(void **state)
{
    (void)state;
    need_etcd();
    tern_status st;
    Etcdserverpb__Compare cmp = ETCDSERVERPB__COMPARE__INIT, *cmps[] = { &cmp };
    Etcdserverpb__PutRequest set = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RangeRequest get = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RequestOp yes = ETCDSERVERPB__REQUEST_OP__INIT, *yeses[] = { &yes };
    Etcdserverpb__RequestOp no = ETCDSERVERPB__REQUEST_OP__INIT, *nos[] = { &no };
    Etcdserverpb__TxnRequest req = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__TxnResponse *res;
    cmp.key = set.key = get.key = bytes("once");
    set.value = bytes("mine");
    cmp.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION;
    cmp.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION;
    cmp.version = 0;
    yes.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    yes.request_put = &set;
    no.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    no.request_range = &get;
    req.n_compare = req.n_success = req.n_failure = 1;
    req.compare = cmps;
    req.success = yeses;
    req.failure = nos;
    assert_int_equal(etcdserverpb_kv_txn(channel, NULL, &req, &res, &st), TERN_OK);
    assert_true(res->succeeded);
    assert_int_equal(res->responses[0]->response_case,
                     ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT);
    etcdserverpb__txn_response__free_unpacked(res, NULL);
    set.value = bytes("yours");
    assert_int_equal(etcdserverpb_kv_txn(channel, NULL, &req, &res, &st), TERN_OK);
    assert_false(res->succeeded);
    assert_int_equal(res->responses[0]->response_case,
                     ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE);
    assert_bytes(res->responses[0]->response_range->kvs[0]->value, "mine");
    etcdserverpb__txn_response__free_unpacked(res, NULL);
}

static void test_lease(void **state)
{
    (void)state;
    need_etcd();
    tern_status st;
    Etcdserverpb__LeaseGrantRequest req = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    Etcdserverpb__LeaseGrantResponse *lease;
    req.ttl = 600;
    assert_int_equal(etcdserverpb_lease_lease_grant(channel, NULL, &req, &lease, &st), TERN_OK);
    assert_int_equal(lease->ttl, 600);
    assert_true(lease->id != 0);
    put("leased", "for a while", lease->id);

    Etcdserverpb__LeaseTimeToLiveRequest ask = ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;
    Etcdserverpb__LeaseTimeToLiveResponse *told;
    ask.id = lease->id;
    ask.keys = true;
    assert_int_equal(etcdserverpb_lease_lease_time_to_live(channel, NULL, &ask, &told, &st),
                     TERN_OK);
    assert_int_equal(told->grantedttl, 600);
    assert_int_equal(told->n_keys, 1);
    assert_bytes(told->keys[0], "leased");
    etcdserverpb__lease_time_to_live_response__free_unpacked(told, NULL);

    Etcdserverpb__LeaseRevokeRequest end_it = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    Etcdserverpb__LeaseRevokeResponse *ended;
    end_it.id = lease->id;
    assert_int_equal(etcdserverpb_lease_lease_revoke(channel, NULL, &end_it, &ended, &st), TERN_OK);
    etcdserverpb__lease_revoke_response__free_unpacked(ended, NULL);
    Etcdserverpb__RangeResponse *got = range("leased", "");
    assert_int_equal(got->n_kvs, 0);
    etcdserverpb__range_response__free_unpacked(got, NULL);
    etcdserverpb__lease_grant_response__free_unpacked(lease, NULL);
}

/* etcd's own words come through as they are. */
static void test_errors(void **state)
{
    (void)state;
    need_etcd();
    tern_status st;
    Etcdserverpb__LeaseGrantRequest grant = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    Etcdserverpb__LeaseGrantResponse *lease = NULL;
    grant.ttl = INT64_C(9000000001);
    assert_int_equal(etcdserverpb_lease_lease_grant(channel, NULL, &grant, &lease, &st),
                     TERN_OUT_OF_RANGE);
    assert_non_null(strstr(st.message, "TTL"));
    assert_null(lease);

    Etcdserverpb__LeaseRevokeRequest revoke = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    Etcdserverpb__LeaseRevokeResponse *revoked;
    revoke.id = 4711;
    assert_int_equal(etcdserverpb_lease_lease_revoke(channel, NULL, &revoke, &revoked, &st),
                     TERN_NOT_FOUND);
    assert_string_equal(st.message, "etcdserver: requested lease not found");

    Etcdserverpb__PutRequest put_req = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__PutResponse *put_res;
    assert_int_equal(etcdserverpb_kv_put(channel, NULL, &put_req, &put_res, &st),
                     TERN_INVALID_ARGUMENT);
    assert_string_equal(st.message, "etcdserver: key is not provided");

    Etcdserverpb__RangeRequest get = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RangeResponse *got;
    get.key = bytes("a");
    get.revision = 1000000;
    assert_int_equal(etcdserverpb_kv_range(channel, NULL, &get, &got, &st), TERN_OUT_OF_RANGE);
}

static void test_status_and_stats(void **state)
{
    (void)state;
    need_etcd();
    tern_status st;
    tern_channel_stats stats;
    Etcdserverpb__StatusRequest req = ETCDSERVERPB__STATUS_REQUEST__INIT;
    Etcdserverpb__StatusResponse *res;
    assert_int_equal(etcdserverpb_maintenance_status(channel, NULL, &req, &res, &st), TERN_OK);
    assert_true(res->version[0] == '3');
    etcdserverpb__status_response__free_unpacked(res, NULL);
    tern_channel_stats_get(channel, &stats);
    assert_int_equal(stats.connects, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_range_delete), cmocka_unit_test(test_large_value),
        cmocka_unit_test(test_transaction),      cmocka_unit_test(test_lease),
        cmocka_unit_test(test_errors),           cmocka_unit_test(test_status_and_stats),
    };
    return cmocka_run_group_tests_name("etcd", tests, start, end);
}
