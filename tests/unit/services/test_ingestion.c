/* The REST door's pure parts: documents and what is wrong with them by JSON path, paths and
 * methods, answers; and accepting on a real store. */
#include "services_support.h"

#include <jansson.h>

#include "common/validate.h"
#include "ingestion/answer.h"
#include "ingestion/document.h"
#include "ingestion/engine.h"
#include "ingestion/paths.h"
#include "ingestion/schema.h"
#include "support/failmalloc.h"

#define OWNER "\"owner\":{\"userId\":\"u-1\",\"accountId\":\"a-1\"}"
#define PACKAGE "\"packageInfo\":{\"packageId\":\"p-1\",\"size\":\"medium\",\"weightGrams\":700}"
#define PICKUP "\"pickupLocation\":{\"latitude\":40.5,\"longitude\":-73,\"altitude\":12}"
#define DROPOFF "\"dropoffLocation\":{\"latitude\":41,\"longitude\":-74.25}"
#define TIMES "\"pickupTime\":\"2026-11-24T10:00:00Z\",\"deadline\":\"2026-11-24T14:00:00+02:00\""
#define UPDATE "{" PICKUP "," DROPOFF "," TIMES "}"
#define SCHEDULE "{" OWNER "," PACKAGE "," PICKUP "," DROPOFF "," TIMES "}"

/* --- documents -------------------------------------------------------------------------------- */

static void test_schedule(void **state)
{
    static const char full[] =
        "{\"deliveryId\":\"d-1\",\"owner\":{\"userId\":\"u-1\",\"accountId\":\"a-1\"},"
        "\"packageInfo\":{\"packageId\":\"p-1\",\"size\":\"large\",\"weightGrams\":1500,"
        "\"tag\":\"\\u00e4\"}," PICKUP "," DROPOFF "," TIMES
        ",\"expedited\":true,\"confirmationRequired\":\"voice\"}";
    drone_reply reply = DRONE_REPLY_INIT;
    Drone__Scheduler__V1__ScheduleDeliveryRequest *r = NULL;
    (void)state;
    if (drone_document_schedule(&reply, full, strlen(full), "k-1", &r) != TERN_OK)
        fail_msg("%s", reply.status.message);
    assert_string_equal(r->idempotency_key, "k-1");
    assert_false(r->wait);
    assert_string_equal(r->delivery->delivery_id, "d-1");
    assert_string_equal(r->delivery->owner->user_id, "u-1");
    assert_string_equal(r->delivery->owner->account_id, "a-1");
    assert_string_equal(r->delivery->package->package_id, "p-1");
    assert_int_equal(r->delivery->package->size,
                     DRONE__COMMON__V1__PACKAGE_SIZE__PACKAGE_SIZE_LARGE);
    assert_int_equal(r->delivery->package->weight_g, 1500);
    assert_string_equal(r->delivery->package->tag, "\xc3\xa4");
    assert_true(r->delivery->route->pickup->latitude == 40.5);
    assert_true(r->delivery->route->pickup->longitude == -73);
    assert_true(r->delivery->route->pickup->altitude_m == 12);
    assert_true(r->delivery->route->dropoff->longitude == -74.25);
    assert_int_equal(r->delivery->route->pickup_at_ms, 1795514400000);
    assert_int_equal(r->delivery->route->deadline_ms, 1795521600000);
    assert_true(r->delivery->expedited);
    assert_int_equal(r->delivery->confirmation,
                     DRONE__COMMON__V1__CONFIRMATION_TYPE__CONFIRMATION_TYPE_VOICE);
    drone_reply_deinit(&reply);
}

static void test_defaults(void **state)
{
    drone_reply reply = DRONE_REPLY_INIT;
    Drone__Scheduler__V1__ScheduleDeliveryRequest *r = NULL;
    Drone__Scheduler__V1__UpdateDeliveryRequest *u = NULL;
    Drone__Scheduler__V1__CancelDeliveryRequest *c = NULL;
    (void)state;
    assert_int_equal(drone_document_schedule(&reply, SCHEDULE, strlen(SCHEDULE), "k", &r), TERN_OK);
    assert_string_equal(r->delivery->delivery_id, "");
    assert_string_equal(r->delivery->package->tag, "");
    assert_false(r->delivery->expedited);
    assert_int_equal(r->delivery->confirmation,
                     DRONE__COMMON__V1__CONFIRMATION_TYPE__CONFIRMATION_TYPE_NONE);
    assert_int_equal(drone_document_update(&reply, UPDATE, strlen(UPDATE), "k", "d", &u), TERN_OK);
    assert_string_equal(u->delivery_id, "d");
    assert_true(u->route->dropoff->latitude == 41);
    assert_int_equal(drone_document_cancel(&reply, "k", "d", &c), TERN_OK);
    assert_string_equal(c->delivery_id, "d");
    drone_reply_deinit(&reply);
}

/* What is in SCHEDULE, what stands there instead, and what is said. */
static const struct {
    const char *part, *instead, *why;
} wrong[] = {
    { SCHEDULE, "", "$: the request has no body" },
    { SCHEDULE, "[]", "$: is no object" },
    { SCHEDULE, "{", "$: is no JSON: line 1, column 1" },
    { SCHEDULE, "{\"a\":1,\"a\":2}", "$: is no JSON: line 1" },
    { SCHEDULE, "{} x", "$: is no JSON" },
    { SCHEDULE, "{}", "$.owner: is missing" },
    { SCHEDULE, "{\"expeditet\":true}", "$.expeditet: there is no such field" },
    { SCHEDULE, "{\"\\u0007\":1}", "$.a member with an unprintable name: there is no such field" },
    { OWNER, "\"owner\":null", "$.owner: is no object" },
    { OWNER, "\"owner\":{\"userId\":\"u\"}", "$.owner.accountId: is missing" },
    { "\"u-1\"", "7", "$.owner.userId: is no text" },
    { "\"u-1\"", "\"\"", "$.owner.userId: " },
    { "\"a-1\"", "\"a 1\"", "$.owner.accountId: " },
    { "\"p-1\"", "\"p*\"", "$.packageInfo.packageId: " },
    { "\"medium\"", "\"huge\"", "$.packageInfo.size: is not small, medium or large" },
    { "\"medium\"", "2", "$.packageInfo.size: is not small, medium or large" },
    { "700", "700.5", "$.packageInfo.weightGrams: is no whole number" },
    { "700", "0", "$.packageInfo.weightGrams: 0 is outside 1..1000000" },
    { "700", "1000001", "$.packageInfo.weightGrams: 1000001 is outside" },
    { "700}", "700,\"tag\":\"\\u0001\"}", "$.packageInfo.tag: " },
    { "700}", "700,\"colour\":1}", "$.packageInfo.colour: there is no such field" },
    { "40.5", "91", "$.pickupLocation.latitude: 91 is outside -90..90" },
    { "40.5", "\"40.5\"", "$.pickupLocation.latitude: is no number" },
    { "-73,", "-180.5,", "$.pickupLocation.longitude: -180.5 is outside" },
    { "12}", "9001}", "$.pickupLocation.altitude: 9001 is outside" },
    { "41,", "-91,", "$.dropoffLocation.latitude: -91 is outside" },
    { "-74.25", "181", "$.dropoffLocation.longitude: 181 is outside" },
    { "\"longitude\":-74.25", "\"lon\":1", "$.dropoffLocation.lon: there is no such field" },
    { "2026-11-24T10:00:00Z", "2026-11-24T10:00:00", "$.pickupTime: is no time like" },
    { "2026-11-24T10:00:00Z", "2026-02-29T10:00:00Z", "$.pickupTime: is no time like" },
    { "2026-11-24T10:00:00Z", "2101-01-01T00:00:00Z", "$.pickupTime: " },
    { "\"2026-11-24T10:00:00Z\"", "1795514400000", "$.pickupTime: is no time like" },
    { "14:00:00+02:00", "12:00:00+02:00", "$.deadline: is not later than pickupTime" },
    { TIMES, TIMES ",\"expedited\":1", "$.expedited: is neither true nor false" },
    { TIMES, TIMES ",\"confirmationRequired\":\"\"", "$.confirmationRequired: is not fingerprint" },
    { TIMES, TIMES ",\"deliveryId\":\"d d\"", "$.deliveryId: " },
};

static void test_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char body[2048];
        drone_reply reply = DRONE_REPLY_INIT;
        Drone__Scheduler__V1__ScheduleDeliveryRequest *r = NULL;
        const char *at = strstr(SCHEDULE, wrong[i].part);
        assert_non_null(at);
        snprintf(body, sizeof body, "%.*s%s%s", (int)(at - SCHEDULE), SCHEDULE, wrong[i].instead,
                 at + strlen(wrong[i].part));
        tern_code code = drone_document_schedule(&reply, body, strlen(body), "k", &r);
        if (code != TERN_INVALID_ARGUMENT ||
            strncmp(reply.status.message, wrong[i].why, strlen(wrong[i].why)) != 0)
            fail_msg("%s\n%d \"%s\", not \"%s\"", body, code, reply.status.message, wrong[i].why);
        drone_reply_deinit(&reply);
    }
}

static void test_wrong_keys(void **state)
{
    drone_reply reply = DRONE_REPLY_INIT;
    Drone__Scheduler__V1__ScheduleDeliveryRequest *r = NULL;
    Drone__Scheduler__V1__UpdateDeliveryRequest *u = NULL;
    Drone__Scheduler__V1__CancelDeliveryRequest *c = NULL;
    char long_key[DRONE_ID_BYTES_MAX + 2];
    (void)state;
    memset(long_key, 'k', sizeof long_key - 1);
    long_key[sizeof long_key - 1] = '\0';
    assert_int_equal(drone_document_schedule(&reply, SCHEDULE, strlen(SCHEDULE), long_key, &r),
                     TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(reply.status.message, "the header Idempotency-Key: "));
    assert_int_equal(drone_document_update(&reply, UPDATE, strlen(UPDATE), "k", long_key, &u),
                     TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(reply.status.message, "the id in the path: "));
    assert_int_equal(drone_document_cancel(&reply, "k", "d d", &c), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(reply.status.message, "the id in the path: "));
    drone_reply_deinit(&reply);
}

/* Bytes that are no JSON and no UTF-8, and good documents cut anywhere, are refused and no more. */
static void test_cut(void **state)
{
    static const char bytes[] = "{\"owner\":\"\xff\xfe\"}";
    drone_reply reply = DRONE_REPLY_INIT;
    Drone__Scheduler__V1__ScheduleDeliveryRequest *r = NULL;
    (void)state;
    assert_int_equal(drone_document_schedule(&reply, bytes, sizeof bytes - 1, "k", &r),
                     TERN_INVALID_ARGUMENT);
    assert_true(drone_text_is_printable(reply.status.message));
    for (size_t n = 0; n < strlen(SCHEDULE); n++)
        assert_int_equal(drone_document_schedule(&reply, SCHEDULE, n, "k", &r),
                         TERN_INVALID_ARGUMENT);
    drone_reply_deinit(&reply);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        drone_reply reply = DRONE_REPLY_INIT;
        Drone__Scheduler__V1__ScheduleDeliveryRequest *r = NULL;
        failmalloc_after(n);
        tern_code code = drone_document_schedule(&reply, SCHEDULE, strlen(SCHEDULE), "k", &r);
        bool failed = failmalloc_off();
        drone_reply_deinit(&reply);
        if (!failed) {
            assert_int_equal(code, TERN_OK);
            break;
        }
        assert_int_not_equal(code, TERN_OK);
    }
}

/* --- paths ------------------------------------------------------------------------------------ */

static void test_paths(void **state)
{
    static const struct {
        const char *method, *path, *id;
        drone_resource resource;
        bool allowed;
    } cases[] = {
        { "POST", "/api/deliveryrequests", "", DRONE_RESOURCE_REQUESTS, true },
        { "GET", "/api/deliveryrequests", "", DRONE_RESOURCE_REQUESTS, false },
        { "GET", "/api/deliveryrequests/d-1", "d-1", DRONE_RESOURCE_REQUEST, true },
        { "HEAD", "/api/deliveryrequests/d-1", "d-1", DRONE_RESOURCE_REQUEST, true },
        { "PATCH", "/api/deliveryrequests/a/b", "a/b", DRONE_RESOURCE_REQUEST, true },
        { "DELETE", "/api/deliveryrequests/d-1", "d-1", DRONE_RESOURCE_REQUEST, true },
        { "POST", "/api/deliveryrequests/d-1", "d-1", DRONE_RESOURCE_REQUEST, false },
        { "get", "/api/deliveryrequests/d-1", "d-1", DRONE_RESOURCE_REQUEST, false },
        { "POST", "/api/deliveryrequests/", "", DRONE_RESOURCE_NONE, false },
        { "GET", "/api/deliveries/d-1", "d-1", DRONE_RESOURCE_DELIVERY, true },
        { "GET", "/api/deliveries/d-1/status", "d-1", DRONE_RESOURCE_STATUS, true },
        { "GET", "/api/deliveries/a/b/owner", "a/b", DRONE_RESOURCE_OWNER, true },
        { "GET", "/api/deliveries/status", "status", DRONE_RESOURCE_DELIVERY, true },
        { "DELETE", "/api/deliveries/d-1", "d-1", DRONE_RESOURCE_DELIVERY, false },
        { "GET", "/api/deliveries/", "", DRONE_RESOURCE_NONE, false },
        { "GET", "/api/deliveries", "", DRONE_RESOURCE_NONE, false },
        { "GET", "/openapi.json", "", DRONE_RESOURCE_OPENAPI, true },
        { "GET", "/healthz", "", DRONE_RESOURCE_LIVE, true },
        { "GET", "/readyz", "", DRONE_RESOURCE_READY, true },
        { "GET", "/", "", DRONE_RESOURCE_NONE, false },
        { "GET", "", "", DRONE_RESOURCE_NONE, false },
    };
    char path[256];
    drone_path p;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        drone_path_read(cases[i].method, cases[i].path, &p);
        assert_int_equal(p.resource, cases[i].resource);
        assert_string_equal(p.id, cases[i].id);
        if (p.resource != DRONE_RESOURCE_NONE)
            assert_int_equal(p.allowed, cases[i].allowed);
    }
    /* One that is too long stays too long. */
    snprintf(path, sizeof path, "/api/deliveryrequests/%0200d", 1);
    drone_path_read("GET", path, &p);
    assert_int_equal(strlen(p.id), DRONE_ID_BYTES_MAX + 1);
}

/* --- answers ---------------------------------------------------------------------------------- */

static const char *text_of(const drone_answer *a, const char *member)
{
    static char text[256];
    json_t *v = json_loads(a->body, 0, NULL);
    assert_non_null(v);
    snprintf(text, sizeof text, "%s", json_string_value(json_object_get(v, member)));
    json_decref(v);
    return text;
}

static void test_answers(void **state)
{
    static const struct {
        tern_code code;
        unsigned status;
    } failures[] = {
        { TERN_INVALID_ARGUMENT, 400 },
        { TERN_NOT_FOUND, 404 },
        { TERN_ABORTED, 409 },
        { TERN_FAILED_PRECONDITION, 409 },
        { TERN_UNAVAILABLE, 503 },
        { TERN_DEADLINE_EXCEEDED, 503 },
        { TERN_RESOURCE_EXHAUSTED, 503 },
        { TERN_INTERNAL, 500 },
    };
    drone_answer a = { .status = 0 };
    (void)state;
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        drone_answer_failure(&a, failures[i].code, "be\"cause");
        assert_int_equal(a.status, failures[i].status);
        assert_true(a.problem);
        assert_int_equal(a.retry, failures[i].status == 503);
        assert_string_equal(text_of(&a, "detail"), "be\"cause");
    }
    drone_answer_deinit(&a);
    a = (drone_answer){ .status = 0 };
    drone_answer_accepted(&a, "a/b:c", true);
    assert_int_equal(a.status, 202);
    assert_true(a.replayed);
    assert_string_equal(a.location, "/api/deliveryrequests/a%2Fb:c");
    Drone__Scheduler__V1__DeliveryStatus s = DRONE__SCHEDULER__V1__DELIVERY_STATUS__INIT;
    char id[] = "d-1", drone[] = "drone-7", why[] = "suspended", none[] = "";
    s.delivery_id = id;
    s.drone_id = drone;
    s.order_id = none;
    s.message = why;
    s.state = DRONE__SCHEDULER__V1__STATE__STATE_COMPENSATED;
    drone_answer_request(&a, &s);
    assert_int_equal(a.status, 200);
    assert_string_equal(text_of(&a, "state"), "compensated");
    assert_string_equal(text_of(&a, "droneId"), "drone-7");
    assert_null(strstr(a.body, "orderId"));
    Drone__Delivery__V1__Delivery d = DRONE__DELIVERY__V1__DELIVERY__INIT;
    d.delivery_id = id;
    d.stage = DRONE__DELIVERY__V1__STAGE__STAGE_HEADED_TO_PICKUP;
    drone_answer_status(&a, &d);
    assert_string_equal(text_of(&a, "stage"), "headedToPickup");
    drone_answer_deinit(&a);
}

/* --- accepting -------------------------------------------------------------------------------- */

typedef struct asked {
    drone_accept accept; /* first */
    drone_answer answer;
    atomic_bool done;
} asked;

static void on_done(drone_accept *a)
{
    ((asked *)a)->done = true;
}

static drone_ingestion door = { .buffer_max = 3 };

/* Accepts at once: the store runs no thread. */
static unsigned ask(const char *key, const char *delivery_id, bool schedules, int64_t digest)
{
    asked q = { .accept = { .ingestion = &door,
                            .key = key,
                            .delivery_id = delivery_id,
                            .schedules = schedules,
                            .digest = digest,
                            .body = malloc(4),
                            .len = 4,
                            .done = on_done } };
    memcpy(q.accept.body, "body", 4);
    q.accept.answer = &q.answer;
    drone_accept_start(&q.accept);
    for (int i = 0; i < 10000 && !q.done; i++)
        usleep(1000);
    assert_true(q.done);
    unsigned status = q.answer.status + (q.answer.replayed ? 1000 : 0);
    drone_answer_deinit(&q.answer);
    return status;
}

static void test_accept(void **state)
{
    test_dir dir = test_dir_new();
    tern_status status;
    (void)state;
    door.store = test_open(&dir, &drone_ingestion_schema);
    assert_int_equal(drone_ingestion_load(&door, &status), TERN_OK);
    uint32_t number = door.number;
    assert_int_equal(drone_store_start(door.store, &status), TERN_OK);
    assert_int_equal(ask("k-1", "d-1", true, 1), 202);
    assert_int_equal(ask("k-1", "d-1", true, 1), 1202);
    assert_int_equal(ask("k-1", "d-1", true, 2), 409);  /* another body */
    assert_int_equal(ask("k-1", "d-2", true, 1), 409);  /* another delivery */
    assert_int_equal(ask("k-2", "d-1", true, 1), 409);  /* its id is taken */
    assert_int_equal(ask("k-3", "d-1", false, 5), 202); /* a change of it */
    assert_int_equal(ask("k-4", "d-9", false, 5), 202); /* of one that is not known here */
    assert_int_equal(door.buffered, 3);
    assert_int_equal(ask("k-5", "d-5", true, 1), 503); /* full */
    assert_int_equal(ask("k-1", "d-1", true, 1), 503); /* a known one, too: nobody looked */
    assert_int_equal(door.buffered, 3);
    assert_int_equal(door.accepted, 3);
    assert_int_equal(door.repeated, 1);
    drone_store_close(door.store);
    /* After a start it is as before. */
    door = (drone_ingestion){ .buffer_max = 4, .store = test_open(&dir, &drone_ingestion_schema) };
    assert_int_equal(drone_ingestion_load(&door, &status), TERN_OK);
    assert_int_equal(door.number, number);
    assert_int_equal(door.buffered, 3);
    assert_int_equal(test_number(door.store, "SELECT count(*) FROM buffer WHERE body = 'body'"), 0);
    assert_int_equal(
        test_number(door.store, "SELECT count(*) FROM buffer WHERE body = x'626f6479'"), 3);
    drone_store_close(door.store);
    test_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedule), cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_wrong),    cmocka_unit_test(test_wrong_keys),
        cmocka_unit_test(test_cut),      cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_paths),    cmocka_unit_test(test_answers),
        cmocka_unit_test(test_accept),
    };
    return cmocka_run_group_tests_name("ingestion", tests, NULL, NULL);
}
