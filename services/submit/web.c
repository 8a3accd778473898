/* See web.h. */
#include "submit/web.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/names.h"
#include "common/time.h"

/* Of an answer; one of the door's has less than 4 KiB. */
#define ANSWER_BYTES_MAX 65536
#define PATH "/api/deliveryrequests"

struct drone_web {
    CURL *curl;
    char url[256];
    char answer[ANSWER_BYTES_MAX];
    size_t len;
};

static size_t on_answer(char *data, size_t size, size_t n, void *ctx)
{
    drone_web *w = ctx;
    (void)size; /* always 1 */
    if (n >= sizeof(w->answer) - w->len)
        return 0;
    memcpy(w->answer + w->len, data, n);
    w->len += n;
    w->answer[w->len] = '\0';
    return n;
}

int drone_web_init(void)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -ENOMEM;
}

drone_web *drone_web_new(const char *url)
{
    drone_web *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->curl = curl_easy_init();
    size_t len = strlen(url);
    snprintf(w->url, sizeof(w->url), "%.*s", (int)(len && url[len - 1] == '/' ? len - 1 : len),
             url);
    if (w->curl)
        return w;
    free(w);
    return NULL;
}

void drone_web_free(drone_web *w)
{
    if (!w)
        return;
    curl_easy_cleanup(w->curl);
    free(w);
}

/* --- one exchange ----------------------------------------------------------------------------- */

static tern_code code_of(long status)
{
    switch (status) {
    case 200:
    case 202:
        return TERN_OK;
    case 400:
        return TERN_INVALID_ARGUMENT;
    case 404:
        return TERN_NOT_FOUND;
    case 409:
        return TERN_ABORTED;
    case 503:
        return TERN_UNAVAILABLE;
    default:
        return TERN_UNKNOWN;
    }
}

/* Puts the reason of an answer that is a failure into *reterr. */
static tern_code refused(const drone_web *w, long status, tern_status *reterr)
{
    json_t *v = json_loads(w->answer, 0, NULL);
    const char *detail = json_string_value(json_object_get(v, "detail"));
    tern_code code = tern_status_set(reterr, code_of(status), "HTTP %ld: %.400s", status,
                                     detail ? detail : "no reason is given");
    json_decref(v);
    return code;
}

static tern_code perform(drone_web *w, struct curl_slist *headers, tern_status *reterr)
{
    long status = 0;
    w->len = 0;
    w->answer[0] = '\0';
    curl_easy_setopt(w->curl, CURLOPT_HTTPHEADER, headers);
    CURLcode rc = curl_easy_perform(w->curl);
    curl_slist_free_all(headers);
    if (rc == CURLE_OPERATION_TIMEDOUT)
        return tern_status_set(reterr, TERN_DEADLINE_EXCEEDED, "%s: no answer", w->url);
    if (rc != CURLE_OK)
        return tern_status_set(reterr, TERN_UNAVAILABLE, "%s: %s", w->url, curl_easy_strerror(rc));
    curl_easy_getinfo(w->curl, CURLINFO_RESPONSE_CODE, &status);
    return code_of(status) == TERN_OK ? TERN_OK : refused(w, status, reterr);
}

/* Begins anew: nothing of an earlier exchange but its connection. `id` NULL: the collection. */
static void prepare(drone_web *w, const char *method, const char *id, int64_t timeout_ms)
{
    char url[sizeof(w->url) + sizeof(PATH) + DRONE_ID_BYTES_MAX * 3 + 2];
    char *escaped = id ? curl_easy_escape(w->curl, id, 0) : NULL;
    snprintf(url, sizeof(url), "%s" PATH "%s%s", w->url, id ? "/" : "", escaped ? escaped : "");
    curl_free(escaped);
    curl_easy_reset(w->curl);
    curl_easy_setopt(w->curl, CURLOPT_URL, url);
    curl_easy_setopt(w->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(w->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(w->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(w->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(w->curl, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(w->curl, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(w->curl, CURLOPT_WRITEDATA, w);
}

/* A copy that free_unpacked() frees. */
static tern_code give(const Drone__Scheduler__V1__DeliveryStatus *s,
                      Drone__Scheduler__V1__DeliveryStatus **ret, tern_status *reterr)
{
    size_t len = drone__scheduler__v1__delivery_status__get_packed_size(s);
    uint8_t *bytes = malloc(len ? len : 1);
    *ret = NULL;
    if (bytes) {
        drone__scheduler__v1__delivery_status__pack(s, bytes);
        *ret = drone__scheduler__v1__delivery_status__unpack(NULL, len, bytes);
    }
    free(bytes);
    return *ret ? TERN_OK : tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
}

/* --- changes ---------------------------------------------------------------------------------- */

/* Sends a document, which it takes over (NULL: none). */
static tern_code change(drone_web *w, const char *key, json_t *document,
                        Drone__Scheduler__V1__DeliveryStatus **ret, tern_status *reterr)
{
    Drone__Scheduler__V1__DeliveryStatus accepted = DRONE__SCHEDULER__V1__DELIVERY_STATUS__INIT;
    char header[sizeof("Idempotency-Key: ") + DRONE_ID_BYTES_MAX];
    char *body = document ? json_dumps(document, JSON_COMPACT) : NULL;

    json_decref(document);
    snprintf(header, sizeof(header), "Idempotency-Key: %.*s", DRONE_ID_BYTES_MAX, key);
    struct curl_slist *headers = curl_slist_append(NULL, header);
    if (body) {
        headers = curl_slist_append(headers, "Content-Type: application/json");
        headers = curl_slist_append(headers, "Expect:");
        curl_easy_setopt(w->curl, CURLOPT_POSTFIELDS, body);
    }
    tern_code code = perform(w, headers, reterr);
    free(body);
    accepted.state = DRONE__SCHEDULER__V1__STATE__STATE_RUNNING;
    return code == TERN_OK ? give(&accepted, ret, reterr) : code;
}

static json_t *place(const Drone__Common__V1__Location *l)
{
    return json_pack("{s:f, s:f, s:f}", "latitude", l->latitude, "longitude", l->longitude,
                     "altitude", l->altitude_m);
}

static json_t *time_text(int64_t ms)
{
    char text[DRONE_TIME_SIZE];
    drone_time_write(ms, text);
    return json_string(text);
}

/* The members that a schedule and an update have in common. */
static json_t *changeable(const Drone__Common__V1__Route *route, bool expedited, int confirmation)
{
    static const char *const confirmations[] = { "none", "fingerprint", "picture", "voice",
                                                 "none" };
    return json_pack("{s:o, s:o, s:o, s:o, s:b, s:s}", "pickupLocation", place(route->pickup),
                     "dropoffLocation", place(route->dropoff), "pickupTime",
                     time_text(route->pickup_at_ms), "deadline", time_text(route->deadline_ms),
                     "expedited", (int)expedited, "confirmationRequired",
                     confirmations[confirmation > 0 && confirmation < 5 ? confirmation : 0]);
}

tern_code drone_web_schedule(drone_web *w, int64_t timeout_ms,
                             const Drone__Scheduler__V1__ScheduleDeliveryRequest *req,
                             Drone__Scheduler__V1__DeliveryStatus **ret, tern_status *reterr)
{
    static const char *const sizes[] = { "small", "small", "medium", "large" };
    const Drone__Scheduler__V1__DeliveryRequest *d = req->delivery;
    const Drone__Common__V1__Package *p = d->package;
    json_t *v = changeable(d->route, d->expedited, (int)d->confirmation);

    json_object_set_new(
        v, "owner",
        json_pack("{s:s, s:s}", "userId", d->owner->user_id, "accountId", d->owner->account_id));
    json_object_set_new(v, "packageInfo",
                        json_pack("{s:s, s:s, s:I, s:s}", "packageId", p->package_id, "size",
                                  sizes[(int)p->size > 0 && (int)p->size < 4 ? (int)p->size : 0],
                                  "weightGrams", (json_int_t)p->weight_g, "tag", p->tag));
    prepare(w, "POST", NULL, timeout_ms);
    return change(w, req->idempotency_key, v, ret, reterr);
}

tern_code drone_web_update(drone_web *w, int64_t timeout_ms,
                           const Drone__Scheduler__V1__UpdateDeliveryRequest *req,
                           Drone__Scheduler__V1__DeliveryStatus **ret, tern_status *reterr)
{
    prepare(w, "PATCH", req->delivery_id, timeout_ms);
    return change(w, req->idempotency_key,
                  changeable(req->route, req->expedited, (int)req->confirmation), ret, reterr);
}

tern_code drone_web_cancel(drone_web *w, int64_t timeout_ms,
                           const Drone__Scheduler__V1__CancelDeliveryRequest *req,
                           Drone__Scheduler__V1__DeliveryStatus **ret, tern_status *reterr)
{
    prepare(w, "DELETE", req->delivery_id, timeout_ms);
    return change(w, req->idempotency_key, NULL, ret, reterr);
}

/* --- questions -------------------------------------------------------------------------------- */

static int state_of(const char *name)
{
    static const char *const names[] = {
        "",           "running",   "scheduled", "compensating", "compensated",
        "cancelling", "cancelled", "parked"
    };
    for (int i = 1; name && i < (int)(sizeof(names) / sizeof(names[0])); i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return DRONE__SCHEDULER__V1__STATE__STATE_RUNNING; /* "accepted": on its way there */
}

tern_code drone_web_get(drone_web *w, int64_t timeout_ms, const char *delivery_id,
                        Drone__Scheduler__V1__DeliveryStatus **ret, tern_status *reterr)
{
    Drone__Scheduler__V1__DeliveryStatus s = DRONE__SCHEDULER__V1__DELIVERY_STATUS__INIT;
    char drone[DRONE_ID_BYTES_MAX + 1] = "", order[DRONE_ID_BYTES_MAX + 1] = "";
    const char *text;

    prepare(w, "GET", delivery_id, timeout_ms);
    tern_code code = perform(w, NULL, reterr);
    if (code != TERN_OK)
        return code;
    json_t *v = json_loads(w->answer, 0, NULL);
    if (!json_is_object(v)) {
        json_decref(v);
        return tern_status_set(reterr, TERN_UNKNOWN, "%s: the answer is no JSON object", w->url);
    }
    s.state = (Drone__Scheduler__V1__State)state_of(json_string_value(json_object_get(v, "state")));
    s.revision = json_integer_value(json_object_get(v, "revision"));
    if ((text = json_string_value(json_object_get(v, "droneId"))))
        snprintf(drone, sizeof(drone), "%s", text);
    if ((text = json_string_value(json_object_get(v, "orderId"))))
        snprintf(order, sizeof(order), "%s", text);
    json_decref(v);
    s.drone_id = drone;
    s.order_id = order;
    return give(&s, ret, reterr);
}
