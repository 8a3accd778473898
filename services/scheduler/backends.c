/* Channels to the five services. A breaker that changes its state says so on stderr, one line
 * each. */
#include "scheduler/backends.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <drone/account/v1/account.tern.h>
#include <drone/delivery/v1/delivery.tern.h>
#include <drone/drone/v1/drone.tern.h>
#include <drone/package/v1/package.tern.h>
#include <drone/transport/v1/transport.tern.h>

#include "common/service.h"

#define TIMEOUT_MS 2000
#define TIMEOUT_MS_MAX 600000
#define CONNECT_TIMEOUT_MS 2000
#define RECONNECT_MS 20
#define RECONNECT_MS_MAX 1000
#define ATTEMPTS 3
#define RETRY_MS 25
#define RETRY_MS_MAX 500
#define BREAKER_FAILURES 10
#define BREAKER_OPEN_MS 200
#define BREAKER_OPEN_MS_MAX 5000

static const char *const names[DRONE_N_BACKENDS] = { "account", "package", "transport", "drone",
                                                     "delivery" };

/* What on_breaker is told. */
typedef struct breaker_name {
    const char *who;
    const char *backend;
} breaker_name;

static breaker_name breaker_names[DRONE_N_BACKENDS];

const char *drone_step_name(drone_step step)
{
    static const char *const steps[] = { "none",      "account", "package",
                                         "transport", "drone",   "delivery" };
    return step >= 0 && step <= DRONE_STEP_DELIVERY ? steps[step] : "unknown";
}

void drone_backends_options(drone_backends *b, drone_option ret[DRONE_BACKENDS_N_OPTIONS])
{
    static const char *const options[DRONE_N_BACKENDS] = { "--account", "--package", "--transport",
                                                           "--drone", "--delivery" };
    for (int i = 0; i < DRONE_N_BACKENDS; i++)
        ret[i] = (drone_option){ .name = options[i],
                                 .arg = "ADDR",
                                 .help = "address of that service; default unix:DIR/NAME.sock",
                                 .type = DRONE_OPTION_STRING,
                                 .value = &b->addresses[i] };
    b->timeout_ms = TIMEOUT_MS;
    ret[DRONE_N_BACKENDS] =
        (drone_option){ .name = "--call-timeout-ms",
                        .arg = "MS",
                        .help = "deadline of one call to a service; default 2000",
                        .type = DRONE_OPTION_INT,
                        .value = &b->timeout_ms,
                        .min = 1,
                        .max = TIMEOUT_MS_MAX };
}

tern_channel_options drone_channel_options(void)
{
    tern_channel_options o = TERN_CHANNEL_OPTIONS_INIT;
    o.connect_timeout_ms = CONNECT_TIMEOUT_MS;
    o.reconnect_backoff_ms = RECONNECT_MS;
    o.reconnect_backoff_ms_max = RECONNECT_MS_MAX;
    o.retry.max_attempts = ATTEMPTS;
    o.retry.initial_backoff_ms = RETRY_MS;
    o.retry.max_backoff_ms = RETRY_MS_MAX;
    o.breaker.consecutive_failures = BREAKER_FAILURES;
    o.breaker.open_ms = BREAKER_OPEN_MS;
    o.breaker.open_ms_max = BREAKER_OPEN_MS_MAX;
    return o;
}

static void on_breaker(tern_breaker_state from, tern_breaker_state to, const char *reason,
                       void *ctx)
{
    static const char *const states[] = { "closed", "open", "half open" };
    const breaker_name *n = ctx;
    fprintf(stderr, "%s: breaker of %s: %s -> %s: %s\n", n->who, n->backend, states[from],
            states[to], reason);
}

tern_code drone_backends_open(drone_backends *b, const char *dir, const char *who,
                              tern_status *reterr)
{
    b->context = tern_context_new(NULL, 0);
    if (!b->context)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
    for (int i = 0; i < DRONE_N_BACKENDS; i++) {
        char address[DRONE_PATH_MAX];
        const char *target = b->addresses[i];
        tern_channel_options o = drone_channel_options();
        if (!target) {
            if (drone_default_address(dir, names[i], address, sizeof(address)) != 0)
                return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                                       "--dir: the path is too long");
            target = address;
        }
        breaker_names[i] = (breaker_name){ who, names[i] };
        o.on_breaker = on_breaker;
        o.on_breaker_ctx = &breaker_names[i];
        tern_code code = tern_channel_new(target, &o, &b->channels[i], reterr);
        if (code != TERN_OK)
            return code;
    }
    return TERN_OK;
}

void drone_backends_cancel(drone_backends *b)
{
    tern_context_cancel(b->context);
}

void drone_backends_close(drone_backends *b)
{
    for (int i = 0; i < DRONE_N_BACKENDS; i++) {
        tern_channel_free(b->channels[i]);
        b->channels[i] = NULL;
    }
    tern_context_free(b->context);
    b->context = NULL;
}

void drone_backends_stats(const drone_backends *b, tern_channel_stats *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (int i = 0; i < DRONE_N_BACKENDS; i++) {
        tern_channel_stats s;
        tern_channel_stats_get(b->channels[i], &s);
        ret->calls += s.calls;
        ret->calls_failed += s.calls_failed;
        ret->attempts += s.attempts;
        ret->retries += s.retries;
        ret->transparent_retries += s.transparent_retries;
        ret->breaker_opened += s.breaker_opened;
        ret->breaker_rejected += s.breaker_rejected;
        ret->connects += s.connects;
        if (s.breaker == TERN_BREAKER_OPEN)
            ret->breaker = TERN_BREAKER_OPEN;
    }
}

tern_call_options drone_backends_call(const drone_backends *b)
{
    tern_call_options o = TERN_CALL_OPTIONS_INIT;
    o.timeout_ms = b->timeout_ms;
    o.context = b->context;
    return o;
}

void drone_change_key(const char *delivery_id, int64_t revision, bool undo,
                      char ret[DRONE_KEY_SIZE])
{
    snprintf(ret, DRONE_KEY_SIZE, "%.*s/%lld%s", DRONE_DELIVERY_ID_BYTES_MAX, delivery_id,
             (long long)revision, undo ? "/u" : "");
}

/* All undoing calls look the same but for their names. */
#define UNDO(backend, stub, Request, request_init, Response, response_free) \
    do {                                                                    \
        Request req = request_init;                                         \
        Response *res = NULL;                                               \
        req.change = &change;                                               \
        code = stub(b->channels[backend], &options, &req, &res, reterr);    \
        if (code == TERN_OK)                                                \
            response_free(res, NULL);                                       \
    } while (0)

tern_code drone_backends_undo(const drone_backends *b, drone_step step, const char *delivery_id,
                              int64_t revision, tern_status *reterr)
{
    char key[DRONE_KEY_SIZE];
    char id[DRONE_KEY_SIZE];
    tern_call_options options = drone_backends_call(b);
    Drone__Common__V1__Change change = DRONE__COMMON__V1__CHANGE__INIT;
    tern_code code = TERN_INVALID_ARGUMENT;

    snprintf(id, sizeof(id), "%s", delivery_id);
    drone_change_key(delivery_id, revision, true, key);
    change.delivery_id = id;
    change.revision = revision;
    change.idempotency_key = key;
    switch (step) {
    case DRONE_STEP_ACCOUNT:
        UNDO(DRONE_BACKEND_ACCOUNT, drone_account_v1_account_service_refund_hold,
             Drone__Account__V1__RefundHoldRequest, DRONE__ACCOUNT__V1__REFUND_HOLD_REQUEST__INIT,
             Drone__Account__V1__RefundHoldResponse,
             drone__account__v1__refund_hold_response__free_unpacked);
        break;
    case DRONE_STEP_PACKAGE:
        UNDO(DRONE_BACKEND_PACKAGE, drone_package_v1_package_service_release_package,
             Drone__Package__V1__ReleasePackageRequest,
             DRONE__PACKAGE__V1__RELEASE_PACKAGE_REQUEST__INIT,
             Drone__Package__V1__ReleasePackageResponse,
             drone__package__v1__release_package_response__free_unpacked);
        break;
    case DRONE_STEP_TRANSPORT:
        UNDO(DRONE_BACKEND_TRANSPORT, drone_transport_v1_transport_service_recall,
             Drone__Transport__V1__RecallRequest, DRONE__TRANSPORT__V1__RECALL_REQUEST__INIT,
             Drone__Transport__V1__RecallResponse,
             drone__transport__v1__recall_response__free_unpacked);
        break;
    case DRONE_STEP_DRONE:
        UNDO(DRONE_BACKEND_DRONE, drone_drone_v1_drone_service_cancel_assignment,
             Drone__Drone__V1__CancelAssignmentRequest,
             DRONE__DRONE__V1__CANCEL_ASSIGNMENT_REQUEST__INIT,
             Drone__Drone__V1__CancelAssignmentResponse,
             drone__drone__v1__cancel_assignment_response__free_unpacked);
        break;
    case DRONE_STEP_DELIVERY:
        UNDO(DRONE_BACKEND_DELIVERY, drone_delivery_v1_delivery_service_cancel_delivery,
             Drone__Delivery__V1__CancelDeliveryRequest,
             DRONE__DELIVERY__V1__CANCEL_DELIVERY_REQUEST__INIT,
             Drone__Delivery__V1__CancelDeliveryResponse,
             drone__delivery__v1__cancel_delivery_response__free_unpacked);
        break;
    default:
        tern_status_set(reterr, code, "step %d: unknown", (int)step);
        break;
    }
    return code;
}
