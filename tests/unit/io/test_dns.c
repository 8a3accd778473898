/* Questions to DNS servers: what is found, what there is not, what cannot be found out, and what
 * hostile servers say. The server is a thread of this process. */
#include "io/dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/time.h"
#include "io/clock.h"
#include "support/dnskit.h"
#include "support/failmalloc.h"

#define S TERN__NS_PER_S
#define SRV "_grpc._tcp.shop.test"

static dnskit dns;
static tern__dns_answer answer;
static tern_status st;
static atomic_bool stop;

/* Raises `stop` when the patience is over. */
static atomic_bool over;
static _Atomic int64_t patience_until;
static pthread_t impatient;

static void *lose_patience(void *arg)
{
    (void)arg;
    while (!atomic_load(&over)) {
        if (tern__clock_now() >= atomic_load(&patience_until))
            atomic_store(&stop, true);
        usleep(2000);
    }
    return NULL;
}

static void wait_at_most(int64_t ms)
{
    atomic_store(&patience_until, tern__clock_now() + ms * TERN__NS_PER_MS);
    atomic_store(&stop, false);
}

static int start(void **state)
{
    (void)state;
    dnskit_start(&dns);
    atomic_store(&patience_until, TERN__TIME_NEVER);
    return pthread_create(&impatient, NULL, lose_patience, NULL);
}

static int end(void **state)
{
    (void)state;
    atomic_store(&over, true);
    pthread_join(impatient, NULL);
    dnskit_stop(&dns);
    return 0;
}

static int clear(void **state)
{
    (void)state;
    dnskit_clear(&dns);
    dnskit_mode_set(&dns, DNSKIT_ANSWER);
    wait_at_most(60000);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    free(answer.config);
    answer.config = NULL;
    return 0;
}

static tern_code ask_all(const char *name, bool srv, const char *txt)
{
    const tern__dns_question q = { .name = name, .txt = txt, .server = dns.address, .srv = srv,
                                   .port = 443, .random = 7, .stop = &stop };
    free(answer.config);
    st.message[0] = '\0';
    return tern__dns_ask(&q, &answer, &st);
}

static tern_code ask(const char *name) { return ask_all(name, false, NULL); }
static tern_code ask_srv(void) { return ask_all(SRV, true, NULL); }

static bool has(const char *address)
{
    for (uint32_t i = 0; i < answer.list.n; i++) {
        char text[TERN__ADDRESS_TEXT_MAX];
        tern__address_text(&answer.list.at[i], text);
        if (strcmp(text, address) == 0)
            return true;
    }
    return false;
}

static void is(uint32_t i, const char *address, uint32_t weight)
{
    char text[TERN__ADDRESS_TEXT_MAX];
    assert_true(i < answer.list.n);
    tern__address_text(&answer.list.at[i], text);
    assert_string_equal(text, address);
    assert_int_equal(answer.weight[i], weight);
}

static void fails(tern_code code, const char *says)
{
    assert_int_equal(code, TERN_UNAVAILABLE);
    if (!strstr(st.message, says))
        fail_msg("says: %s\n not: %s", st.message, says);
}

static void test_addresses(void **state)
{
    (void)state;
    dnskit_add_address(&dns, "shop.test", 300, "192.0.2.1");
    dnskit_add_address(&dns, "shop.test", 90, "192.0.2.2");
    dnskit_add_address(&dns, "shop.test", 200, "2001:db8::1");
    assert_int_equal(ask("shop.test"), TERN_OK);
    assert_int_equal(answer.list.n, 3);
    assert_int_equal(answer.n_best, 3);
    assert_true(has("ipv4:192.0.2.1:443") && has("ipv4:192.0.2.2:443"));
    assert_true(has("ipv6:[2001:db8::1]:443"));
    assert_true(answer.ttl == 90 * S);
    assert_true(answer.config_unknown);
    assert_null(answer.config);
    dnskit_add_cname(&dns, "alias.test", 30, "shop.test");
    assert_int_equal(ask("alias.test"), TERN_OK);
    assert_int_equal(answer.list.n, 3);
    assert_true(answer.ttl == 30 * S);
}

/* /etc/hosts is read, and no server is asked for what is in it. */
static void test_hosts_file(void **state)
{
    (void)state;
    unsigned before = atomic_load(&dns.questions);
    assert_int_equal(ask("localhost"), TERN_OK);
    assert_true(has("ipv4:127.0.0.1:443") || has("ipv6:[::1]:443"));
    assert_int_equal(atomic_load(&dns.questions), before);
}

static void test_nothing_there(void **state)
{
    (void)state;
    fails(ask("nobody.test"), "cannot resolve \"nobody.test\": Domain name not found");
    dnskit_add_txt(&dns, "shop.test", "only text");
    fails(ask("shop.test"),
          "cannot resolve \"shop.test\": DNS server returned answer with no data");
    fails(ask_srv(), "cannot resolve \"" SRV "\": Domain name not found");
    dnskit_add_srv(&dns, SRV, 60, 0, "", 0); /* RFC 2782: decidedly not */
    fails(ask_srv(), "cannot resolve");
    fails(ask(""), "cannot resolve");
    fails(ask("a..b"), "cannot resolve");
}

/* What does not fit into a datagram comes by TCP; more than the limit is not kept. */
static void test_many_addresses(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        char text[32];
        snprintf(text, sizeof text, "192.0.%u.%u", 2 + i / 250, i % 250);
        dnskit_add_address(&dns, "shop.test", 60, text);
    }
    atomic_store(&dns.by_tcp, 0);
    assert_int_equal(ask("shop.test"), TERN_OK);
    assert_int_equal(answer.list.n, TERN_LIMIT_ADDRESSES);
    assert_true(atomic_load(&dns.by_tcp) >= 1);
}

static void test_srv(void **state)
{
    (void)state;
    dnskit_add_srv(&dns, SRV, 120, 10u << 16 | 3, "a.test", 1001);
    dnskit_add_srv(&dns, SRV, 120, 20u << 16 | 9, "c.test", 1003);
    dnskit_add_srv(&dns, SRV, 120, 10u << 16 | 0, "b.test", 1002);
    dnskit_add_address(&dns, "a.test", 300, "192.0.2.1");
    dnskit_add_address(&dns, "b.test", 300, "192.0.2.2");
    dnskit_add_address(&dns, "b.test", 300, "192.0.2.3");
    dnskit_add_address(&dns, "c.test", 45, "192.0.2.4");
    assert_int_equal(ask_srv(), TERN_OK);
    assert_int_equal(answer.list.n, 4);
    assert_int_equal(answer.n_best, 3); /* of priority 10 */
    assert_true(has("ipv4:192.0.2.1:1001") && has("ipv4:192.0.2.2:1002"));
    is(3, "ipv4:192.0.2.4:1003", 9);
    assert_true(answer.ttl == 45 * S);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(answer.weight[i] == 3 || answer.weight[i] == 0);
}

/* Of the records only those count whose names there are; the next priority stands in. */
static void test_srv_without_targets(void **state)
{
    (void)state;
    dnskit_add_srv(&dns, SRV, 50, 1u << 16 | 1, "gone.test", 1001);
    dnskit_add_srv(&dns, SRV, 50, 2u << 16 | 4, "c.test", 1003);
    dnskit_add_srv(&dns, SRV, 50, 3u << 16 | 5, "d.test", 1004);
    dnskit_add_address(&dns, "c.test", 500, "192.0.2.4");
    dnskit_add_address(&dns, "d.test", 500, "192.0.2.5");
    assert_int_equal(ask_srv(), TERN_OK);
    assert_int_equal(answer.list.n, 2);
    assert_int_equal(answer.n_best, 1);
    is(0, "ipv4:192.0.2.4:1003", 4);
    is(1, "ipv4:192.0.2.5:1004", 5);
    assert_true(answer.ttl == 50 * S);
    dnskit_clear(&dns);
    dnskit_add_srv(&dns, SRV, 50, 1u << 16 | 1, "gone.test", 1001);
    fails(ask_srv(), "cannot resolve \"" SRV "\": Domain name not found");
}

static void test_many_srv(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TERN_LIMIT_SRV_RECORDS + 20; i++) {
        char name[32], address[32];
        snprintf(name, sizeof name, "s%u.test", i);
        snprintf(address, sizeof address, "192.0.2.%u", i);
        dnskit_add_srv(&dns, SRV, 50, 1, name, 1001);
        dnskit_add_address(&dns, name, 50, address);
    }
    assert_int_equal(ask_srv(), TERN_OK);
    assert_int_equal(answer.list.n, TERN_LIMIT_SRV_RECORDS);
}

static void test_config(void **state)
{
    (void)state;
    static char text[2500];
    dnskit_add_address(&dns, "shop.test", 300, "192.0.2.1");
    assert_int_equal(ask_all("shop.test", false, "_grpc_config.shop.test"), TERN_OK);
    assert_null(answer.config);
    assert_false(answer.config_unknown); /* there is none */
    dnskit_add_txt(&dns, "_grpc_config.shop.test", "v=spf1 -all");
    assert_int_equal(ask_all(NULL, false, "_grpc_config.shop.test"), TERN_OK);
    assert_null(answer.config);
    assert_false(answer.config_unknown);
    memset(text, 'x', sizeof text - 1);
    memcpy(text, "grpc_config=[", 13);
    dnskit_add_txt(&dns, "_grpc_config.shop.test", text);
    assert_int_equal(ask_all("shop.test", false, "_grpc_config.shop.test"), TERN_OK);
    assert_string_equal(answer.config, text + 12); /* ten strings, and by TCP */
    assert_false(answer.config_unknown);
    assert_int_equal(answer.list.n, 1);
    dnskit_mode_set(&dns, DNSKIT_REFUSE);
    assert_int_equal(ask_all(NULL, false, "_grpc_config.shop.test"), TERN_OK);
    assert_true(answer.config_unknown);
}

/* A server that says nothing is waited for only as long as somebody wants to know. */
static void test_silent(void **state)
{
    (void)state;
    for (int srv = 0; srv < 2; srv++) {
        dnskit_mode_set(&dns, srv ? DNSKIT_EMPTY : DNSKIT_SILENT);
        int64_t began = tern__clock_now();
        wait_at_most(30);
        fails(ask_all(srv ? SRV : "shop.test", srv, "_grpc_config.shop.test"), "cannot resolve");
        assert_true(tern__clock_now() - began < 5 * S);
        assert_true(answer.config_unknown);
    }
}

static void test_broken_server(void **state)
{
    (void)state;
    dnskit_mode_set(&dns, DNSKIT_REFUSE);
    fails(ask("shop.test"), "cannot resolve \"shop.test\": ");
    fails(ask_srv(), "cannot resolve \"" SRV "\": ");
    const tern__dns_question q = { .name = "x", .server = "no address", .port = 1 };
    assert_int_equal(tern__dns_ask(&q, &answer, &st), TERN_UNAVAILABLE);
}

/* Whatever a server says, the limits hold and nothing breaks. */
static void test_hostile(void **state)
{
    (void)state;
    unsigned good = 0;
    dnskit_add_srv(&dns, SRV, 50, 1u << 16 | 1, "shop.test", 1001);
    dnskit_add_address(&dns, "shop.test", 500, "192.0.2.4");
    dnskit_add_txt(&dns, "_grpc_config.shop.test", "grpc_config=[]");
    for (unsigned i = 0; i < 200; i++) {
        wait_at_most(20); /* an answer that fits no question is as good as none */
        dnskit_mode_set(&dns, i % 2 ? DNSKIT_GARBAGE : DNSKIT_SPOIL);
        tern_code code =
            ask_all(i % 4 < 2 ? SRV : "shop.test", i % 4 < 2, "_grpc_config.shop.test");
        assert_true(code == TERN_OK || code == TERN_UNAVAILABLE);
        assert_true(answer.list.n <= TERN_LIMIT_ADDRESSES && answer.n_best <= answer.list.n);
        assert_true((code == TERN_OK) == (answer.list.n > 0));
        good += code == TERN_OK;
    }
    assert_true(good < 200);
}

static void test_memory(void **state)
{
    (void)state;
    dnskit_add_srv(&dns, SRV, 50, 1u << 16 | 1, "shop.test", 1001);
    dnskit_add_address(&dns, "shop.test", 500, "192.0.2.4");
    dnskit_add_txt(&dns, "_grpc_config.shop.test", "grpc_config=[]");
    assert_int_equal(ask_all(SRV, true, "_grpc_config.shop.test"), TERN_OK);
    for (int once = 0; once < 2; once++) {
        bool failed = true;
        unsigned n_slow = 0;
        for (long n = 0; failed; n++) {
            wait_at_most(100); /* an answer that was lost for want of memory is asked for again */
            if (once)
                failmalloc_once(n);
            else
                failmalloc_after(n);
            tern_code code = ask_all(SRV, true, "_grpc_config.shop.test");
            failed = failmalloc_off();
            if (!failed && code != TERN_OK && n_slow++ < 5) {
                failed = true; /* the machine is busy: once more */
                n--;
            } else if (!failed) {
                assert_int_equal(code, TERN_OK);
            }
            assert_true(code == TERN_OK || code == TERN_UNAVAILABLE);
            assert_true(n < 1000);
        }
        assert_string_equal(answer.config, "[]");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_addresses, clear, drop),
        cmocka_unit_test_setup_teardown(test_hosts_file, clear, drop),
        cmocka_unit_test_setup_teardown(test_nothing_there, clear, drop),
        cmocka_unit_test_setup_teardown(test_many_addresses, clear, drop),
        cmocka_unit_test_setup_teardown(test_srv, clear, drop),
        cmocka_unit_test_setup_teardown(test_srv_without_targets, clear, drop),
        cmocka_unit_test_setup_teardown(test_many_srv, clear, drop),
        cmocka_unit_test_setup_teardown(test_config, clear, drop),
        cmocka_unit_test_setup_teardown(test_silent, clear, drop),
        cmocka_unit_test_setup_teardown(test_broken_server, clear, drop),
        cmocka_unit_test_setup_teardown(test_hostile, clear, drop),
        cmocka_unit_test_setup_teardown(test_memory, clear, drop),
    };
    return cmocka_run_group_tests(tests, start, end);
}
