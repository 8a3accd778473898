/* One row after another. A call that ends without a verdict (the Scheduler is being restarted,
 * say) is repeated with the same key until the row's patience is at its end: the Scheduler
 * makes sure that this is one delivery. */
#include "submit/client.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <drone/scheduler/v1/scheduler.tern.h>

#include "scheduler/backends.h"
#include "submit/generate.h"

#define CALL_TIMEOUT_MS 15000
#define PAUSE_MS 20
#define PAUSE_MS_MAX 500
#define PERCENT 100
#define UPDATE_LATER_MS (3600ll * 1000)
/* Streams of random choices that must not depend on each other. */
#define CHOICE_PLAN 0x70
#define CHOICE_ACCOUNT 0xAC

/* Everything that one row needs, so that nothing is allocated. */
typedef struct row_call {
    const drone_client *client;
    drone_web *web;     /* NULL: by calls */
    const char *posted; /* the key of the newest change that the door has accepted */
    bool asked;         /* the latest exchange only asked how that goes on: no repeat */
    int64_t deadline_ms;
    int64_t repeats;
    bool accepted;      /* there was an answer to schedule */
    tern_status failed; /* the last call that ended without a verdict */
    char key[DRONE_ROW_ID_SIZE], cancel_key[DRONE_ROW_ID_SIZE], update_key[DRONE_ROW_ID_SIZE];
    char account_id[DRONE_ROW_ID_SIZE], user_id[DRONE_ROW_ID_SIZE], package_id[DRONE_ROW_ID_SIZE];
    char tag[DRONE_ROW_TAG_SIZE];
    Drone__Common__V1__Location pickup, dropoff;
    Drone__Common__V1__Route route;
    Drone__Common__V1__Owner owner;
    Drone__Common__V1__Package package;
    Drone__Scheduler__V1__DeliveryRequest delivery;
} row_call;

static int64_t monotonic_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t drone_time_shift_ms(int64_t first_ms, int64_t now_ms, int64_t lead_ms)
{
    return now_ms + lead_ms - first_ms;
}

drone_plan drone_client_plan(const drone_client *c, unsigned long line)
{
    uint64_t r = drone_mix64(c->seed ^ CHOICE_PLAN, line);
    int percent = (int)(r % PERCENT);

    if (percent < c->cancel_percent)
        return (r >> 32) % 2 ? DRONE_PLAN_CANCEL : DRONE_PLAN_CANCEL_AT_ONCE;
    return percent < c->cancel_percent + c->update_percent ? DRONE_PLAN_UPDATE : DRONE_PLAN_KEEP;
}

static void set_ids(row_call *r, const drone_client *c, const drone_row *row)
{
    if (row->idempotency_key[0] != '\0')
        snprintf(r->key, sizeof(r->key), "%s", row->idempotency_key);
    else
        snprintf(r->key, sizeof(r->key), "%.32s-%lu", c->run, row->line);
    snprintf(r->cancel_key, sizeof(r->cancel_key), "%.60s/c", r->key);
    snprintf(r->update_key, sizeof(r->update_key), "%.60s/m", r->key);
    if (row->account_id[0] != '\0')
        snprintf(r->account_id, sizeof(r->account_id), "%s", row->account_id);
    else if (c->account)
        snprintf(r->account_id, sizeof(r->account_id), "%s", c->account);
    else
        snprintf(r->account_id, sizeof(r->account_id), "account-%llu",
                 (unsigned long long)(1 + drone_mix64(c->seed ^ CHOICE_ACCOUNT, row->line) %
                                              (uint64_t)c->n_accounts));
    snprintf(r->user_id, sizeof(r->user_id), "%s", row->user_id[0] ? row->user_id : "user-1");
    if (row->package_id[0] != '\0')
        snprintf(r->package_id, sizeof(r->package_id), "%s", row->package_id);
    else
        snprintf(r->package_id, sizeof(r->package_id), "%.62s/p", r->key);
    snprintf(r->tag, sizeof(r->tag), "%s", row->tag);
}

static void fill(row_call *r, const drone_client *c, const drone_row *row)
{
    set_ids(r, c, row);
    drone__common__v1__location__init(&r->pickup);
    r->pickup.latitude = row->pickup_latitude;
    r->pickup.longitude = row->pickup_longitude;
    r->pickup.altitude_m = row->pickup_altitude_m;
    drone__common__v1__location__init(&r->dropoff);
    r->dropoff.latitude = row->dropoff_latitude;
    r->dropoff.longitude = row->dropoff_longitude;
    r->dropoff.altitude_m = row->dropoff_altitude_m;
    drone__common__v1__route__init(&r->route);
    r->route.pickup = &r->pickup;
    r->route.dropoff = &r->dropoff;
    r->route.pickup_at_ms = row->requested_at_ms + c->shift_ms;
    r->route.deadline_ms = r->route.pickup_at_ms + row->deadline_after_ms;
    drone__common__v1__owner__init(&r->owner);
    r->owner.account_id = r->account_id;
    r->owner.user_id = r->user_id;
    drone__common__v1__package__init(&r->package);
    r->package.package_id = r->package_id;
    r->package.size = (Drone__Common__V1__PackageSize)row->size;
    r->package.weight_g = row->weight_g;
    r->package.tag = r->tag;
    drone__scheduler__v1__delivery_request__init(&r->delivery);
    r->delivery.owner = &r->owner;
    r->delivery.route = &r->route;
    r->delivery.expedited = row->expedited;
    r->delivery.confirmation = (Drone__Common__V1__ConfirmationType)row->confirmation;
    r->delivery.package = &r->package;
}

/* Whether the call may be repeated: nobody has decided anything. */
static bool undecided(tern_code code)
{
    return drone_outcome_of(code) == DRONE_OUTCOME_IN_DOUBT;
}

/* --- through the door ------------------------------------------------------------------------- */

/* Once the door has accepted a change with this key, asks how it goes on. What
 * is scheduled, and of no newer revision than `revision`, has not been changed yet. */
static tern_code ask(row_call *r, const tern_call_options *options, int64_t revision,
                     Drone__Scheduler__V1__DeliveryStatus **ret, tern_status *reterr)
{
    tern_code code = drone_web_get(r->web, options->timeout_ms, r->key, ret, reterr);
    r->asked = true;
    if (code == TERN_OK && (*ret)->state == DRONE__SCHEDULER__V1__STATE__STATE_SCHEDULED &&
        (*ret)->revision <= revision)
        (*ret)->state = DRONE__SCHEDULER__V1__STATE__STATE_RUNNING;
    return code;
}

/* Notes that a change was accepted. */
static tern_code note(row_call *r, const char *key, tern_code code)
{
    r->asked = code == TERN_OK;
    if (code == TERN_OK)
        r->posted = key;
    return code;
}

/* --- one kind of call ------------------------------------------------------------------------- */
typedef tern_code (*row_method)(row_call *r, const tern_call_options *options, bool wait,
                                Drone__Scheduler__V1__DeliveryStatus **ret, tern_status *reterr);

static tern_code schedule(row_call *r, const tern_call_options *options, bool wait,
                          Drone__Scheduler__V1__DeliveryStatus **ret, tern_status *reterr)
{
    Drone__Scheduler__V1__ScheduleDeliveryRequest req =
        DRONE__SCHEDULER__V1__SCHEDULE_DELIVERY_REQUEST__INIT;
    req.delivery = &r->delivery;
    req.idempotency_key = r->key;
    req.wait = wait;
    if (r->web && r->posted == r->key)
        return ask(r, options, 0, ret, reterr);
    if (r->web)
        return note(r, r->key, drone_web_schedule(r->web, options->timeout_ms, &req, ret, reterr));
    return drone_scheduler_v1_scheduler_service_schedule_delivery(r->client->channel, options, &req,
                                                                  ret, reterr);
}

static tern_code cancel(row_call *r, const tern_call_options *options, bool wait,
                        Drone__Scheduler__V1__DeliveryStatus **ret, tern_status *reterr)
{
    Drone__Scheduler__V1__CancelDeliveryRequest req =
        DRONE__SCHEDULER__V1__CANCEL_DELIVERY_REQUEST__INIT;
    req.delivery_id = r->key;
    req.idempotency_key = r->cancel_key;
    req.wait = wait;
    if (r->web && r->posted == r->cancel_key)
        return ask(r, options, INT64_MAX, ret, reterr);
    if (r->web)
        return note(r, r->cancel_key,
                    drone_web_cancel(r->web, options->timeout_ms, &req, ret, reterr));
    return drone_scheduler_v1_scheduler_service_cancel_delivery(r->client->channel, options, &req,
                                                                ret, reterr);
}

static tern_code update(row_call *r, const tern_call_options *options, bool wait,
                        Drone__Scheduler__V1__DeliveryStatus **ret, tern_status *reterr)
{
    Drone__Scheduler__V1__UpdateDeliveryRequest req =
        DRONE__SCHEDULER__V1__UPDATE_DELIVERY_REQUEST__INIT;
    Drone__Common__V1__Route later = r->route;
    later.pickup_at_ms += UPDATE_LATER_MS;
    later.deadline_ms += UPDATE_LATER_MS;
    req.delivery_id = r->key;
    req.idempotency_key = r->update_key;
    req.route = &later;
    req.expedited = r->delivery.expedited;
    req.confirmation = r->delivery.confirmation;
    req.wait = wait;
    if (r->web && r->posted == r->update_key)
        return ask(r, options, 1, ret, reterr);
    if (r->web)
        return note(r, r->update_key,
                    drone_web_update(r->web, options->timeout_ms, &req, ret, reterr));
    return drone_scheduler_v1_scheduler_service_update_delivery(r->client->channel, options, &req,
                                                                ret, reterr);
}

static tern_code get(row_call *r, const tern_call_options *options, bool wait,
                     Drone__Scheduler__V1__DeliveryStatus **ret, tern_status *reterr)
{
    (void)wait;
    Drone__Scheduler__V1__GetDeliveryRequest req = DRONE__SCHEDULER__V1__GET_DELIVERY_REQUEST__INIT;
    req.delivery_id = r->key;
    if (r->web)
        return ask(r, options, 0, ret, reterr);
    return drone_scheduler_v1_scheduler_service_get_delivery(r->client->channel, options, &req, ret,
                                                             reterr);
}

/* Calls until there is an answer. `wait`: and until that is of a final state. */
static tern_code call(row_call *r, row_method method, bool wait,
                      Drone__Scheduler__V1__DeliveryStatus **ret, tern_status *reterr)
{
    for (int64_t n = 1;; n++) {
        int64_t left_ms = r->deadline_ms - monotonic_us() / 1000;
        tern_call_options options = TERN_CALL_OPTIONS_INIT;
        if (left_ms <= 0)
            return tern_status_set(
                reterr, TERN_DEADLINE_EXCEEDED, "no verdict within %lld s; %s%s%s%.400s",
                (long long)r->client->patience_ms / 1000,
                r->failed.code ? "the last failure: " : "it is on its way",
                r->failed.code ? tern_code_name(r->failed.code) : "", r->failed.code ? ": " : "",
                r->failed.code ? r->failed.message : "");
        options.timeout_ms = left_ms < CALL_TIMEOUT_MS ? left_ms : CALL_TIMEOUT_MS;
        tern_code code = method(r, &options, wait, ret, reterr);
        if (code == TERN_OK) {
            int state = (int)(*ret)->state;
            r->accepted = true;
            if (!wait || state == DRONE__SCHEDULER__V1__STATE__STATE_SCHEDULED ||
                state == DRONE__SCHEDULER__V1__STATE__STATE_COMPENSATED ||
                state == DRONE__SCHEDULER__V1__STATE__STATE_CANCELLED ||
                state == DRONE__SCHEDULER__V1__STATE__STATE_PARKED)
                return TERN_OK;
            drone__scheduler__v1__delivery_status__free_unpacked(*ret, NULL);
        } else if (!undecided(code)) {
            return code;
        } else if (reterr && (code != TERN_DEADLINE_EXCEEDED || !r->failed.code)) {
            r->failed = *reterr; /* a deadline says less than what came before it */
        }
        int64_t pause_ms = drone_backoff_ms(PAUSE_MS, PAUSE_MS_MAX, n, drone_random());
        struct timespec pause = { .tv_sec = 0, .tv_nsec = pause_ms * 1000000 };
        nanosleep(&pause, NULL);
        r->repeats += !r->asked;
    }
}

static drone_end end_of(const Drone__Scheduler__V1__DeliveryStatus *d)
{
    switch (d->state) {
    case DRONE__SCHEDULER__V1__STATE__STATE_SCHEDULED:
        return d->drone_id[0] != '\0' ? DRONE_END_BY_DRONE : DRONE_END_BY_TRANSPORT;
    case DRONE__SCHEDULER__V1__STATE__STATE_COMPENSATED:
        return DRONE_END_COMPENSATED;
    case DRONE__SCHEDULER__V1__STATE__STATE_CANCELLED:
        return DRONE_END_CANCELLED;
    case DRONE__SCHEDULER__V1__STATE__STATE_PARKED:
        return DRONE_END_PARKED;
    default:
        return DRONE_END_UNDECIDED;
    }
}

/* Takes the answer of a call into *ret. */
static void take(const row_call *r, drone_sent *ret, tern_code code,
                 Drone__Scheduler__V1__DeliveryStatus *d)
{
    if (code == TERN_DEADLINE_EXCEEDED)
        ret->end = r->accepted ? DRONE_END_UNDECIDED : DRONE_END_UNANSWERED;
    else if (code != TERN_OK)
        ret->end = DRONE_END_REFUSED;
    if (code != TERN_OK)
        return;
    ret->end = end_of(d);
    drone__scheduler__v1__delivery_status__free_unpacked(d, NULL);
}

static void cancel_at_once(row_call *r, drone_sent *ret)
{
    Drone__Scheduler__V1__DeliveryStatus *d = NULL;
    tern_code code = call(r, schedule, false, &d, &ret->status);

    if (code != TERN_OK) {
        take(r, ret, code, NULL);
        return;
    }
    drone__scheduler__v1__delivery_status__free_unpacked(d, NULL);
    code = call(r, cancel, true, &d, &ret->status);
    /* It had failed by itself already: then it is a matter of waiting. */
    if (code == TERN_FAILED_PRECONDITION)
        code = call(r, get, true, &d, &ret->status);
    take(r, ret, code, d);
}

/* What follows once it is scheduled. */
static void follow(row_call *r, drone_sent *ret)
{
    Drone__Scheduler__V1__DeliveryStatus *d = NULL;
    bool is_update = ret->plan == DRONE_PLAN_UPDATE;
    tern_code code = call(r, is_update ? update : cancel, true, &d, &ret->status);

    /* An update that fails half-way, and cannot be taken back either, ends as compensated. */
    ret->updated = is_update && code == TERN_OK &&
                   d->state == DRONE__SCHEDULER__V1__STATE__STATE_SCHEDULED;
    /* Refused: it stays as it was. */
    if (code == TERN_FAILED_PRECONDITION)
        code = call(r, get, true, &d, &ret->status);
    take(r, ret, code, d);
}

void drone_client_send(const drone_client *c, drone_web *web, const drone_row *row, drone_sent *ret)
{
    row_call r = { .client = c, .web = web };
    Drone__Scheduler__V1__DeliveryStatus *d = NULL;
    int64_t began_us = monotonic_us();

    memset(ret, 0, sizeof(*ret));
    r.deadline_ms = began_us / 1000 + c->patience_ms;
    fill(&r, c, row);
    ret->plan = drone_client_plan(c, row->line);
    if (ret->plan == DRONE_PLAN_CANCEL_AT_ONCE) {
        cancel_at_once(&r, ret);
    } else {
        tern_code code = call(&r, schedule, true, &d, &ret->status);
        take(&r, ret, code, d);
        if (code == TERN_OK)
            ret->us = (uint64_t)(monotonic_us() - began_us);
        if (ret->plan != DRONE_PLAN_KEEP &&
            (ret->end == DRONE_END_BY_DRONE || ret->end == DRONE_END_BY_TRANSPORT))
            follow(&r, ret);
    }
    ret->repeats = r.repeats;
}
