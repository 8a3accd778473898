/* See answer.h. */
#include "ingestion/answer.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "common/validate.h"

void drone_answer_deinit(drone_answer *a)
{
    free(a->body);
    a->body = NULL;
}

/* Takes the value over. */
static void set_json(drone_answer *a, unsigned status, json_t *v)
{
    drone_answer_deinit(a);
    a->status = status;
    a->body = v ? json_dumps(v, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(v);
}

/* --- failures --------------------------------------------------------------------------------- */

static const char *title_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *title;
    } titles[] = {
        { 400, "The request is malformed" },   { 404, "There is no such thing" },
        { 405, "The method is not for this" }, { 409, "The request contradicts an earlier one" },
        { 413, "The body is too large" },      { 415, "The body is no JSON" },
        { 503, "Too busy, or not all there" },
    };
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        if (titles[i].status == status)
            return titles[i].title;
    return "Something went wrong here";
}

void drone_answer_problem(drone_answer *a, unsigned status, const char *detail)
{
    set_json(a, status,
             json_pack("{s:s, s:I, s:s}", "title", title_of(status), "status", (json_int_t)status,
                       "detail", detail));
    a->problem = true;
    a->retry = status == 503;
}

void drone_answer_failure(drone_answer *a, tern_code code, const char *detail)
{
    unsigned status = 503;
    switch (code) {
    case TERN_INVALID_ARGUMENT:
        status = 400;
        break;
    case TERN_NOT_FOUND:
        status = 404;
        break;
    case TERN_ABORTED:
    case TERN_FAILED_PRECONDITION:
    case TERN_ALREADY_EXISTS:
        status = 409;
        break;
    case TERN_INTERNAL:
    case TERN_DATA_LOSS:
    case TERN_UNIMPLEMENTED:
        status = 500;
        break;
    default:
        break;
    }
    drone_answer_problem(a, status, detail);
}

/* --- good ends -------------------------------------------------------------------------------- */

/* Of an id's characters only these stand in a path as they are. */
static void write_location(drone_answer *a, const char *id)
{
    char *to = a->location, *end = a->location + sizeof(a->location) - 4;
    to += sprintf(to, "/api/deliveryrequests/");
    for (; *id && to < end; id++) {
        if (isalnum((unsigned char)*id) || strchr("._:-", *id))
            *to++ = *id;
        else
            to += sprintf(to, "%%%02X", (unsigned)(unsigned char)*id);
    }
    *to = '\0';
}

void drone_answer_accepted(drone_answer *a, const char *delivery_id, bool replayed)
{
    set_json(a, 202, json_pack("{s:s, s:s}", "deliveryId", delivery_id, "state", "accepted"));
    write_location(a, delivery_id);
    a->replayed = replayed;
}

void drone_answer_waiting(drone_answer *a, const char *delivery_id)
{
    set_json(a, 200, json_pack("{s:s, s:s}", "deliveryId", delivery_id, "state", "accepted"));
}

/* "STATE_HEADED_TO_PICKUP" is "headedToPickup". */
static json_t *enum_name(const ProtobufCEnumDescriptor *type, int value, const char *prefix)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(type, value);
    char name[48];
    size_t n = 0;
    bool upper = false;
    if (!v)
        return json_string("unknown");
    for (const char *s = v->name + strlen(prefix); *s && n + 1 < sizeof(name); s++) {
        if (*s == '_')
            upper = true;
        else {
            name[n++] = (char)(upper ? toupper((unsigned char)*s) : tolower((unsigned char)*s));
            upper = false;
        }
    }
    name[n] = '\0';
    return json_string(name);
}

static json_t *time_text(int64_t ms)
{
    char text[DRONE_TIME_SIZE];
    drone_time_write(ms, text);
    return json_string(text);
}

static void put_carrier(json_t *v, const char *drone_id, const char *order_id)
{
    if (drone_id[0])
        json_object_set_new(v, "droneId", json_string(drone_id));
    if (order_id[0])
        json_object_set_new(v, "orderId", json_string(order_id));
}

void drone_answer_request(drone_answer *a, const Drone__Scheduler__V1__DeliveryStatus *s)
{
    json_t *v = json_object();
    json_object_set_new(v, "deliveryId", json_string(s->delivery_id));
    json_object_set_new(
        v, "state", enum_name(&drone__scheduler__v1__state__descriptor, (int)s->state, "STATE_"));
    json_object_set_new(v, "revision", json_integer(s->revision));
    put_carrier(v, s->drone_id, s->order_id);
    if (s->failed_step || s->message[0]) {
        json_t *failure = json_object();
        if (s->failed_step) {
            json_object_set_new(
                failure, "step",
                enum_name(&drone__scheduler__v1__step__descriptor, (int)s->failed_step, "STEP_"));
            json_object_set_new(failure, "code",
                                json_string(tern_code_name((tern_code)s->failed_code)));
        }
        json_object_set_new(failure, "message", json_string(s->message));
        json_object_set_new(v, "failure", failure);
    }
    json_object_set_new(v, "acceptedAt", time_text(s->accepted_at_ms));
    if (s->ended_at_ms)
        json_object_set_new(v, "endedAt", time_text(s->ended_at_ms));
    set_json(a, 200, v);
}

static json_t *place(const Drone__Common__V1__Location *l)
{
    return l ? json_pack("{s:f, s:f, s:f}", "latitude", l->latitude, "longitude", l->longitude,
                         "altitude", l->altitude_m)
             : json_null();
}

static json_t *stage_of(const Drone__Delivery__V1__Delivery *d)
{
    return enum_name(&drone__delivery__v1__stage__descriptor, (int)d->stage, "STAGE_");
}

static json_t *owner_of(const Drone__Delivery__V1__Delivery *d)
{
    return d->owner ? json_pack("{s:s, s:s}", "userId", d->owner->user_id, "accountId",
                                d->owner->account_id)
                    : json_null();
}

void drone_answer_delivery(drone_answer *a, const Drone__Delivery__V1__Delivery *d)
{
    json_t *v = json_object();
    json_object_set_new(v, "deliveryId", json_string(d->delivery_id));
    json_object_set_new(v, "stage", stage_of(d));
    json_object_set_new(v, "revision", json_integer(d->revision));
    json_object_set_new(v, "owner", owner_of(d));
    json_object_set_new(v, "packageId", json_string(d->package_id));
    if (d->route) {
        json_object_set_new(v, "pickupLocation", place(d->route->pickup));
        json_object_set_new(v, "dropoffLocation", place(d->route->dropoff));
        json_object_set_new(v, "pickupTime", time_text(d->route->pickup_at_ms));
        json_object_set_new(v, "deadline", time_text(d->route->deadline_ms));
    }
    json_object_set_new(v, "expedited", json_boolean(d->expedited));
    json_object_set_new(v, "confirmationRequired",
                        enum_name(&drone__common__v1__confirmation_type__descriptor,
                                  (int)d->confirmation, "CONFIRMATION_TYPE_"));
    put_carrier(v, d->drone_id, d->order_id);
    set_json(a, 200, v);
}

void drone_answer_status(drone_answer *a, const Drone__Delivery__V1__Delivery *d)
{
    json_t *v = json_object();
    json_object_set_new(v, "deliveryId", json_string(d->delivery_id));
    json_object_set_new(v, "stage", stage_of(d));
    set_json(a, 200, v);
}

void drone_answer_owner(drone_answer *a, const Drone__Delivery__V1__Delivery *d)
{
    set_json(a, 200, owner_of(d));
}

void drone_answer_text(drone_answer *a, const char *json)
{
    drone_answer_deinit(a);
    a->status = 200;
    a->body = strdup(json);
}
