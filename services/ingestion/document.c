/* See document.h. A table says for each object which members it has and where their values go in a
 * draft of the request; the checks are the Scheduler's own, whose field names are told as paths. */
#include "ingestion/document.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/names.h"
#include "common/time.h"
#include "common/validate.h"
#include "scheduler/requests.h"

#define PATH_BYTES_MAX 96
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

typedef enum kind { TEXT, NUMBER, WHOLE, FLAG, TIME, SIZE, CONFIRMATION, OBJECT } kind;

typedef struct member {
    const char *name;
    kind kind;
    bool needed;
    size_t offset;               /* within a draft */
    const struct member *object; /* of an OBJECT */
    size_t n;
} member;

/* What a document is read into. */
typedef struct draft {
    Drone__Scheduler__V1__DeliveryRequest delivery;
    Drone__Common__V1__Owner owner;
    Drone__Common__V1__Route route;
    Drone__Common__V1__Location pickup, dropoff;
    Drone__Common__V1__Package package;
} draft;

#define AT(field) offsetof(draft, field)

static const member owner_members[] = {
    { "userId", TEXT, true, AT(owner.user_id), NULL, 0 },
    { "accountId", TEXT, true, AT(owner.account_id), NULL, 0 },
};
#define PLACE_MEMBERS(place)                                             \
    {                                                                    \
        { "latitude", NUMBER, true, AT(place.latitude), NULL, 0 },       \
            { "longitude", NUMBER, true, AT(place.longitude), NULL, 0 }, \
        {                                                                \
            "altitude", NUMBER, false, AT(place.altitude_m), NULL, 0     \
        }                                                                \
    }
static const member pickup_members[] = PLACE_MEMBERS(pickup);
static const member dropoff_members[] = PLACE_MEMBERS(dropoff);
static const member package_members[] = {
    { "packageId", TEXT, true, AT(package.package_id), NULL, 0 },
    { "size", SIZE, true, AT(package.size), NULL, 0 },
    { "weightGrams", WHOLE, true, AT(package.weight_g), NULL, 0 },
    { "tag", TEXT, false, AT(package.tag), NULL, 0 },
};
#define CHANGEABLE_MEMBERS                                                                         \
    { "pickupLocation", OBJECT, true, AT(pickup), pickup_members, COUNT(pickup_members) },         \
        { "dropoffLocation", OBJECT, true, AT(dropoff), dropoff_members, COUNT(dropoff_members) }, \
        { "pickupTime", TIME, true, AT(route.pickup_at_ms), NULL, 0 },                             \
        { "deadline", TIME, true, AT(route.deadline_ms), NULL, 0 },                                \
        { "expedited", FLAG, false, AT(delivery.expedited), NULL, 0 },                             \
    {                                                                                              \
        "confirmationRequired", CONFIRMATION, false, AT(delivery.confirmation), NULL, 0            \
    }
static const member update_members[] = { CHANGEABLE_MEMBERS };
static const member schedule_members[] = {
    { "deliveryId", TEXT, false, AT(delivery.delivery_id), NULL, 0 },
    { "owner", OBJECT, true, AT(owner), owner_members, COUNT(owner_members) },
    { "packageInfo", OBJECT, true, AT(package), package_members, COUNT(package_members) },
    CHANGEABLE_MEMBERS,
};

/* Names of the checks' fields, as paths. */
static const char *const paths[][2] = {
    { "delivery.delivery_id", "$.deliveryId" },
    { "delivery.owner.user_id", "$.owner.userId" },
    { "delivery.owner.account_id", "$.owner.accountId" },
    { "delivery.package.package_id", "$.packageInfo.packageId" },
    { "delivery.package.size", "$.packageInfo.size" },
    { "delivery.package.weight_g", "$.packageInfo.weightGrams" },
    { "delivery.package.tag", "$.packageInfo.tag" },
    { "delivery.confirmation", "$.confirmationRequired" },
    { "route.pickup.latitude", "$.pickupLocation.latitude" },
    { "route.pickup.longitude", "$.pickupLocation.longitude" },
    { "route.pickup.altitude_m", "$.pickupLocation.altitude" },
    { "route.dropoff.latitude", "$.dropoffLocation.latitude" },
    { "route.dropoff.longitude", "$.dropoffLocation.longitude" },
    { "route.dropoff.altitude_m", "$.dropoffLocation.altitude" },
    { "route.pickup_at_ms", "$.pickupTime" },
    { "route.deadline_ms", "$.deadline" },
    { "delivery_id", "the id in the path" },
    { "idempotency_key", "the header Idempotency-Key" },
};

/* --- reading ---------------------------------------------------------------------------------- */

static tern_code bad(drone_reply *reply, const char *path, const char *why)
{
    return drone_reply_fail(reply, TERN_INVALID_ARGUMENT, "%s: %s", path, why);
}

static tern_code read_choice(drone_reply *reply, const char *path, const json_t *v,
                             const char *const *names, size_t n, const char *all, int *ret)
{
    for (size_t i = 1; json_is_string(v) && i < n; i++) {
        if (strcmp(json_string_value(v), names[i]) == 0) {
            *ret = (int)i;
            return TERN_OK;
        }
    }
    return bad(reply, path, all);
}

static tern_code read_number(drone_reply *reply, const char *path, const json_t *v, double *ret)
{
    if (!json_is_number(v))
        return bad(reply, path, "is no number");
    *ret = json_number_value(v);
    return TERN_OK;
}

static tern_code read_time(drone_reply *reply, const char *path, const json_t *v, int64_t *ret)
{
    if (json_is_string(v) && drone_time_read_zoned(json_string_value(v), ret) == 0)
        return TERN_OK;
    return bad(reply, path, "is no time like \"2026-11-23T22:10:00Z\"");
}

static tern_code read_object(drone_reply *reply, const char *path, json_t *o, const member *members,
                             size_t n, draft *d);

static tern_code read_member(drone_reply *reply, const char *path, json_t *v, const member *m,
                             draft *d)
{
    static const char *const sizes[] = { "", "small", "medium", "large" };
    static const char *const confirmations[] = { "", "fingerprint", "picture", "voice", "none" };
    void *at = (char *)d + m->offset;

    switch (m->kind) {
    case TEXT:
        if (!json_is_string(v))
            return bad(reply, path, "is no text");
        *(char **)at = drone_reply_strdup(reply, json_string_value(v));
        return *(char **)at ? TERN_OK : drone_reply_nomem(reply);
    case NUMBER:
        return read_number(reply, path, v, at);
    case WHOLE:
        if (!json_is_integer(v))
            return bad(reply, path, "is no whole number");
        *(int64_t *)at = json_integer_value(v);
        return TERN_OK;
    case FLAG:
        if (!json_is_boolean(v))
            return bad(reply, path, "is neither true nor false");
        *(protobuf_c_boolean *)at = json_is_true(v);
        return TERN_OK;
    case TIME:
        return read_time(reply, path, v, at);
    case SIZE:
        return read_choice(reply, path, v, sizes, COUNT(sizes), "is not small, medium or large",
                           at);
    case CONFIRMATION:
        return read_choice(reply, path, v, confirmations, COUNT(confirmations),
                           "is not fingerprint, picture, voice or none", at);
    case OBJECT:
        break;
    }
    return read_object(reply, path, v, m->object, m->n, d);
}

static const member *member_named(const member *members, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(members[i].name, name) == 0)
            return &members[i];
    return NULL;
}

/* A name comes from outside: what a message cannot show is left out. */
static tern_code unknown(drone_reply *reply, const char *path, const char *name)
{
    if (!drone_text_is_printable(name))
        name = "a member with an unprintable name";
    return drone_reply_fail(reply, TERN_INVALID_ARGUMENT, "%s.%.64s: there is no such field", path,
                            name);
}

static tern_code read_object(drone_reply *reply, const char *path, json_t *o, const member *members,
                             size_t n, draft *d)
{
    char inner[PATH_BYTES_MAX];
    void *it;

    if (!json_is_object(o))
        return bad(reply, path, "is no object");
    for (it = json_object_iter(o); it; it = json_object_iter_next(o, it)) {
        const member *m = member_named(members, n, json_object_iter_key(it));
        if (!m)
            return unknown(reply, path, json_object_iter_key(it));
        snprintf(inner, sizeof(inner), "%s.%s", path, m->name);
        tern_code code = read_member(reply, inner, json_object_iter_value(it), m, d);
        if (code != TERN_OK)
            return code;
    }
    for (size_t i = 0; i < n; i++) {
        if (!members[i].needed || json_object_get(o, members[i].name))
            continue;
        snprintf(inner, sizeof(inner), "%s.%s", path, members[i].name);
        return bad(reply, inner, "is missing");
    }
    return TERN_OK;
}

static draft *draft_new(drone_reply *reply)
{
    draft *d = drone_reply_alloc(reply, sizeof(*d));
    if (!d)
        return NULL;
    drone__scheduler__v1__delivery_request__init(&d->delivery);
    drone__common__v1__owner__init(&d->owner);
    drone__common__v1__route__init(&d->route);
    drone__common__v1__location__init(&d->pickup);
    drone__common__v1__location__init(&d->dropoff);
    drone__common__v1__package__init(&d->package);
    d->delivery.owner = &d->owner;
    d->delivery.route = &d->route;
    d->delivery.package = &d->package;
    d->delivery.confirmation = DRONE__COMMON__V1__CONFIRMATION_TYPE__CONFIRMATION_TYPE_NONE;
    d->route.pickup = &d->pickup;
    d->route.dropoff = &d->dropoff;
    return d;
}

static tern_code read_document(drone_reply *reply, const char *body, size_t len,
                               const member *members, size_t n, draft **ret)
{
    json_error_t error;
    if (len == 0)
        return bad(reply, "$", "the request has no body; it needs a JSON object");
    json_t *v = json_loadb(body, len, JSON_REJECT_DUPLICATES, &error);
    if (!v) {
        drone_text_clean(error.text);
        return drone_reply_fail(reply, TERN_INVALID_ARGUMENT,
                                "$: is no JSON: line %d, column %d: %.120s", error.line,
                                error.column, error.text);
    }
    *ret = draft_new(reply);
    tern_code code = *ret ? read_object(reply, "$", v, members, n, *ret) : drone_reply_nomem(reply);
    json_decref(v);
    return code;
}

/* --- checking --------------------------------------------------------------------------------- */

/* Tells the field that a check has named as the client knows it. */
static tern_code told(drone_reply *reply, tern_code code)
{
    const char *text = reply->status.message;
    const char *colon = strstr(text, ": ");
    char why[TERN_STATUS_MESSAGE_MAX];

    if (code == TERN_OK || !colon)
        return code;
    size_t len = (size_t)(colon - text);
    for (size_t i = 0; i < COUNT(paths); i++) {
        const char *field = text;
        size_t field_len = len;
        /* A schedule's route is "delivery.route", an update's is "route". */
        if (strncmp(paths[i][0], "route.", 6) == 0 && strncmp(text, "delivery.route.", 15) == 0) {
            field += 9;
            field_len -= 9;
        }
        if (field_len != strlen(paths[i][0]) || strncmp(field, paths[i][0], field_len) != 0)
            continue;
        /* The one reason that names another field. */
        bool pickup = strcmp(colon, ": is not later than pickup_at_ms") == 0;
        snprintf(why, sizeof(why), "%s", pickup ? ": is not later than pickupTime" : colon);
        return drone_reply_fail(reply, code, "%s%s", paths[i][1], why);
    }
    return code;
}

tern_code drone_document_schedule(drone_reply *reply, const char *body, size_t len, const char *key,
                                  Drone__Scheduler__V1__ScheduleDeliveryRequest **ret)
{
    draft *d = NULL;
    tern_code code = read_document(reply, body, len, schedule_members, COUNT(schedule_members), &d);
    if (code != TERN_OK)
        return code;
    Drone__Scheduler__V1__ScheduleDeliveryRequest *req = drone_reply_alloc(reply, sizeof(*req));
    char *copy = drone_reply_strdup(reply, key);
    if (!req || !copy)
        return drone_reply_nomem(reply);
    drone__scheduler__v1__schedule_delivery_request__init(req);
    req->delivery = &d->delivery;
    req->idempotency_key = copy;
    *ret = req;
    return told(reply, drone_check_schedule(reply, req));
}

tern_code drone_document_update(drone_reply *reply, const char *body, size_t len, const char *key,
                                const char *delivery_id,
                                Drone__Scheduler__V1__UpdateDeliveryRequest **ret)
{
    draft *d = NULL;
    tern_code code = read_document(reply, body, len, update_members, COUNT(update_members), &d);
    if (code != TERN_OK)
        return code;
    Drone__Scheduler__V1__UpdateDeliveryRequest *req = drone_reply_alloc(reply, sizeof(*req));
    char *copy = drone_reply_strdup(reply, key);
    char *id = drone_reply_strdup(reply, delivery_id);
    if (!req || !copy || !id)
        return drone_reply_nomem(reply);
    drone__scheduler__v1__update_delivery_request__init(req);
    req->delivery_id = id;
    req->idempotency_key = copy;
    req->route = &d->route;
    req->expedited = d->delivery.expedited;
    req->confirmation = d->delivery.confirmation;
    *ret = req;
    return told(reply, drone_check_update(reply, req));
}

tern_code drone_document_cancel(drone_reply *reply, const char *key, const char *delivery_id,
                                Drone__Scheduler__V1__CancelDeliveryRequest **ret)
{
    Drone__Scheduler__V1__CancelDeliveryRequest *req = drone_reply_alloc(reply, sizeof(*req));
    char *copy = drone_reply_strdup(reply, key);
    char *id = drone_reply_strdup(reply, delivery_id);
    if (!req || !copy || !id)
        return drone_reply_nomem(reply);
    drone__scheduler__v1__cancel_delivery_request__init(req);
    req->delivery_id = id;
    req->idempotency_key = copy;
    *ret = req;
    return told(reply, drone_check_cancel(reply, req));
}
