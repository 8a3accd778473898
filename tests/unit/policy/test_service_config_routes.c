/* Clusters and routes of a service config: what is read, and where each fault is. */
#include "policy/lb_config.h"
#include "support/config_text.h"
#include "support/failmalloc.h"

#include <stdlib.h>

#include <tern/limits.h>

#define V2 "\"clusters\":{\"v2\":{\"target\":\"dns:v2:1\"}}"
#define ROUTE(match, clusters)                                                                  \
    "{\"tern\":{" V2 ",\"routes\":[{\"match\":{" match "},\"clusters\":[" clusters "]}]}}"
#define HEADER(fields) ROUTE("\"headers\":[{\"name\":\"x-v\"," fields "}]", "{\"name\":\"v2\"}")
#define CLUSTERS(text) "{\"tern\":{\"clusters\":" text "}}"

static const char full[] =
    "{\"tern\":{\"clusters\":{"
    "\"v2\":{\"target\":\"dns:v2:1\",\"authority\":\"package.example\","
    "\"loadBalancingConfig\":[{\"round_robin\":{}}]},"
    "\"v3.x_y-z\":{\"target\":\"ipv4:10.0.0.1:1\",\"unknown\":7}},"
    "\"routes\":["
    "{\"match\":{\"service\":\"p.S\",\"method\":\"M\",\"headers\":["
    "{\"name\":\"X-Version\",\"exact\":\"\"},{\"name\":\"a\",\"prefix\":\"b\",\"invert\":true},"
    "{\"name\":\"c\",\"suffix\":\"d\"},{\"name\":\"e\",\"contains\":\"f\"},"
    "{\"name\":\"g\",\"present\":false},{\"name\":\"h\",\"range\":{\"start\":\"-1\",\"end\":5}}]},"
    "\"clusters\":[{\"name\":\"v2\",\"weight\":5},{\"name\":\"\",\"weight\":95}]},"
    "{\"match\":{\"service\":\"p.S\"},\"clusters\":[{\"name\":\"v3.x_y-z\"},{\"weight\":0}]},"
    "{\"clusters\":[{}]}]}}";

static void test_full(void **state)
{
    (void)state;
    tern__service_config *c = config_of(full);
    assert_int_equal(c->n_clusters, 2);
    assert_string_equal(c->clusters[0].name, "v2");
    assert_string_equal(c->clusters[0].target, "dns:v2:1");
    assert_string_equal(c->clusters[0].authority, "package.example");
    assert_int_equal(c->clusters[0].lb->kind, TERN__LB_ROUND_ROBIN);
    assert_string_equal(c->clusters[1].name, "v3.x_y-z");
    assert_null(c->clusters[1].authority);
    assert_null(c->clusters[1].lb);
    assert_null(c->lb);
    assert_int_equal(c->n_routes, 3);
    const tern__route *r = &c->routes[0];
    assert_string_equal(r->path, "/p.S/M");
    assert_int_equal(r->path_len, 6);
    assert_int_equal(r->n_headers, 6);
    assert_string_equal(r->headers[0].name, "x-version");
    assert_int_equal(r->headers[0].test, TERN__ROUTE_EXACT);
    assert_int_equal(r->headers[0].len, 0);
    assert_true(r->headers[1].invert && r->headers[1].test == TERN__ROUTE_PREFIX);
    assert_string_equal(r->headers[1].text, "b");
    assert_int_equal(r->headers[2].test, TERN__ROUTE_SUFFIX);
    assert_int_equal(r->headers[3].test, TERN__ROUTE_CONTAINS);
    assert_true(r->headers[4].test == TERN__ROUTE_PRESENT && !r->headers[4].present);
    assert_int_equal(r->headers[5].start, -1);
    assert_int_equal(r->headers[5].end, 5);
    assert_int_equal(r->n_shares, 2);
    assert_true(r->shares[0].cluster == 0 && r->shares[0].weight == 5);
    assert_true(r->shares[1].cluster == TERN__ROUTE_OWN && r->shares[1].weight == 95);
    assert_string_equal(c->routes[1].path, "/p.S/");
    assert_true(c->routes[1].shares[0].cluster == 1 && c->routes[1].shares[0].weight == 1);
    assert_true(tern__route_takes_all(&c->routes[2]));
    tern__service_config_unref(c);
    c = config_of("{\"tern\":{\"clusters\":{},\"routes\":[]}}");
    assert_int_equal(c->n_clusters + c->n_routes, 0);
    tern__service_config_unref(c);
}

static void test_cluster_faults(void **state)
{
    (void)state;
    char name[128];
    refused(CLUSTERS("[]"), "tern.clusters: must be an object");
    refused(CLUSTERS("{\"v2\":{}}"), "tern.clusters.v2.target: is missing, and required");
    refused(CLUSTERS("{\"v2\":null}"), "tern.clusters.v2: must be an object");
    refused(CLUSTERS("{\"v2\":{\"target\":7}}"), "tern.clusters.v2.target: must be a string");
    refused(CLUSTERS("{\"v2\":{\"target\":\"x:1\",\"authority\":7}}"),
            "tern.clusters.v2.authority: must be a string");
    refused(CLUSTERS("{\"v2\":{\"target\":\"x:1\",\"loadBalancingConfig\":[{\"no\":{}}]}}"),
            "tern.clusters.v2.loadBalancingConfig: none of its policies is known to this client");
    static const char bad[] =
        "tern.clusters: a name must be 1 to 64 letters, digits, \"_\", \"-\" and \".\"";
    refused(CLUSTERS("{\"\":{}}"), bad);
    refused(CLUSTERS("{\"a b\":{}}"), bad);
    (void)snprintf(name, sizeof name, CLUSTERS("{\"%065d\":{}}"), 0);
    refused(name, bad);
    (void)snprintf(name, sizeof name, CLUSTERS("{\"%064d\":{\"target\":\"x:1\"}}"), 0);
    tern__service_config_unref(config_of(name));
}

static void test_match_faults(void **state)
{
    (void)state;
#define AT "tern.routes[0].match."
#define ONE "{\"name\":\"v2\"}"
    refused(ROUTE("\"method\":\"M\"", ONE), AT "method: there is no service to it");
    refused(ROUTE("\"service\":\"p.S/M\"", ONE), AT "service: must be a name without \"/\"");
    refused(ROUTE("\"service\":\"p.S\",\"method\":\"/\"", ONE),
            AT "method: must be a name without \"/\"");
    refused(ROUTE("\"headers\":{}", ONE), AT "headers: must be an array");
    refused(ROUTE("\"headers\":[7]", ONE), AT "headers[0]: must be an object");
    refused(ROUTE("\"headers\":[{\"exact\":\"1\"}]", ONE),
            AT "headers[0].name: must be the name of a header: letters, digits, \"_\", \"-\" and "
               "\".\"");
    refused(ROUTE("\"headers\":[{\"name\":\":path\",\"exact\":\"1\"}]", ONE),
            AT "headers[0].name: must be the name of a header: letters, digits, \"_\", \"-\" and "
               "\".\"");
    refused(ROUTE("\"headers\":[{\"name\":\"X-Bin\",\"exact\":\"1\"}]", ONE),
            AT "headers[0].name: must not be a binary header (\"-bin\")");
    refused(ROUTE("\"headers\":[{\"name\":\"gRPC-Timeout\",\"exact\":\"1\"}]", ONE),
            AT "headers[0].name: must not be a header of gRPC's own (\"grpc-\")");
    static const char one_test[] =
        AT "headers[0]: must have one of present, exact, prefix, suffix, contains and range, no "
           "more and no less";
    refused(HEADER("\"invert\":true"), one_test);
    refused(HEADER("\"exact\":\"1\",\"present\":true"), one_test);
    refused(HEADER("\"exact\":1"), AT "headers[0].exact: must be a string");
    refused(HEADER("\"prefix\":\"\""), AT "headers[0].prefix: must not be empty");
    refused(HEADER("\"contains\":\"\""), AT "headers[0].contains: must not be empty");
    refused(HEADER("\"present\":1"), AT "headers[0].present: must be true or false");
    refused(HEADER("\"range\":{\"start\":5,\"end\":5}"),
            AT "headers[0].range.end: must be above start (5), is 5");
    refused(HEADER("\"exact\":\"1\",\"invert\":1"), AT "headers[0].invert: must be true or false");
}

static void test_share_faults(void **state)
{
    (void)state;
    refused(ROUTE("", ""), "tern.routes[0].clusters: must name one cluster at least");
    refused("{\"tern\":{\"routes\":[{}]}}",
            "tern.routes[0].clusters: must name one cluster at least");
    refused("{\"tern\":{\"routes\":[{\"clusters\":[{\"name\":\"v9\"}]}]}}",
            "tern.routes[0].clusters[0].name: tern.clusters has no \"v9\"");
    refused("{\"tern\":{\"routes\":[7]}}", "tern.routes[0]: must be an object");
    refused(ROUTE("", "7"), "tern.routes[0].clusters[0]: must be an object");
    refused(ROUTE("", ONE ",{\"weight\":-1}"),
            "tern.routes[0].clusters[1].weight: must not be negative, is -1");
    refused(ROUTE("", ONE ",{\"name\":\"v2\",\"weight\":3}"),
            "tern.routes[0].clusters[1].name: is the same as that of clusters[0]");
    refused(ROUTE("", "{\"name\":\"v2\",\"weight\":0},{\"weight\":0}"),
            "tern.routes[0].clusters: the weights add up to 0: nobody would get the calls");
    refused(ROUTE("", "{\"name\":\"v2\",\"weight\":4294967295},{}"),
            "tern.routes[0].clusters: the weights add up to more than 4294967295");
}

/* `n` times `each`, between what comes before and after. */
static char *many(const char *before, const char *each, unsigned n, const char *after)
{
    static char text[8192];
    size_t len = (size_t)snprintf(text, sizeof text, "%s", before);
    for (unsigned i = 0; i < n; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "%s", i ? "," : "");
        len += (size_t)snprintf(text + len, sizeof text - len, each, i);
    }
    (void)snprintf(text + len, sizeof text - len, "%s", after);
    return text;
}

/* What is just allowed, and one more. */
static void bounded(const char *parts[3], unsigned max, const char *fault)
{
    tern__service_config_unref(config_of(many(parts[0], parts[1], max, parts[2])));
    refused(many(parts[0], parts[1], max + 1, parts[2]), fault);
}

static void test_limits(void **state)
{
    (void)state;
    bounded((const char *[]){ "{\"tern\":{\"clusters\":{", "\"c%u\":{\"target\":\"x:1\"}", "}}}" },
            TERN_LIMIT_CLUSTERS, "tern.clusters: 17 are more than TERN_LIMIT_CLUSTERS (16)");
    bounded((const char *[]){ "{\"tern\":{\"routes\":[",
                              "{\"match\":{\"service\":\"s%u\"},\"clusters\":[{}]}", "]}}" },
            TERN_LIMIT_ROUTES, "tern.routes: 65 are more than TERN_LIMIT_ROUTES (64)");
    bounded((const char *[]){ "{\"tern\":{\"routes\":[{\"clusters\":[{}],\"match\":{\"headers\":[",
                              "{\"name\":\"h%u\",\"exact\":\"1\"}", "]}}]}}" },
            TERN_LIMIT_ROUTE_HEADERS,
            "tern.routes[0].match.headers: 17 are more than TERN_LIMIT_ROUTE_HEADERS (16)");
    refused(many("{\"tern\":{\"routes\":[{\"clusters\":[", "{\"name\":\"c%u\"}", 18, "]}]}}"),
            "tern.routes[0].clusters: 18 are more than TERN_LIMIT_CLUSTERS and one (17)");
}

static void test_no_memory(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        tern__service_config *c = NULL;
        tern_status st;
        failmalloc_after(n);
        tern_code code = tern__service_config_parse(full, strlen(full), &c, &st);
        if (!failmalloc_off()) {
            assert_int_equal(code, TERN_OK);
            tern__service_config_unref(c);
            return;
        }
        assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
        assert_null(c);
    }
}

/* What a cluster's channel is given: it lives longer than what it is a part of. */
static void test_of_cluster(void **state)
{
    (void)state;
    tern__service_config *c = config_of(
        "{\"methodConfig\":[{\"name\":[{\"service\":\"p.S\"}],\"timeout\":\"2s\"}],"
        "\"loadBalancingConfig\":[{\"ring_hash_experimental\":{}}],\"tern\":{\"clusters\":{"
        "\"a\":{\"target\":\"x:1\"},"
        "\"b\":{\"target\":\"x:2\",\"loadBalancingConfig\":[{\"round_robin\":{}}]}},"
        "\"routes\":[{\"clusters\":[{\"name\":\"a\"}]}],\"callsInFlightMax\":7}}");
    failmalloc_after(0);
    assert_null(tern__service_config_of_cluster(c, 0));
    assert_true(failmalloc_off());
    tern__service_config *a = tern__service_config_of_cluster(c, 0);
    tern__service_config *b = tern__service_config_of_cluster(c, 1);
    tern__service_config_unref(c);
    tern__service_config_unref(tern__service_config_ref(a));
    assert_int_equal(a->lb->kind, TERN__LB_RING_HASH);
    assert_int_equal(b->lb->kind, TERN__LB_ROUND_ROBIN);
    assert_true(a->n_clusters == 0 && a->n_routes == 0 && a->guard.calls_in_flight_max == 7);
    tern__service_config_unref(a);
    assert_int_equal(method_of(b, "/p.S/M")->timeout, INT64_C(2000000000));
    tern__service_config_unref(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),         cmocka_unit_test(test_cluster_faults),
        cmocka_unit_test(test_match_faults), cmocka_unit_test(test_share_faults),
        cmocka_unit_test(test_limits),       cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_of_cluster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
