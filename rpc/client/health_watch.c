/* See health_watch.h. */
#include "client/health_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "base/log.h"
#include "base/time.h"
#include "client/channel.h"
#include "client/cluster_health.h"
#include "client/drive.h"
#include "client/endpoint.h"
#include "io/clock.h"
#include "io/random.h"
#include "wire/health.h"

/* After a connection was gone that was about to be used. */
#define LOOK_AGAIN_NS (100 * TERN__NS_PER_MS)

static const tern_method watch_method = { .path = "/grpc.health.v1.Health/Watch",
                                          .kind = TERN_KIND_SERVER_STREAMING };

void tern__health_watch_stir(tern__health_watch *w)
{
    pthread_mutex_lock(&w->end_lock);
    if (!w->closed)
        tern__reactor_post(w->loop, &w->op);
    pthread_mutex_unlock(&w->end_lock);
}

static void on_stream(tern__client_stream *s)
{
    tern__health_watch_stir(TERN__CONTAINER(s, tern__health_watch, s));
}

/* --- the stream ------------------------------------------------------------------------------- */

/* All with the watch's lock held. */

/* Lets go of a stream that is done. */
static void let_go(tern__health_watch *w)
{
    tern__transport_unref(w->t);
    w->t = NULL;
    tern__head_deinit(&w->head);
    tern__buf_deinit(&w->taken);
    tern__buf_deinit(&w->body.in);
    tern__waiter_deinit(&w->s.waiter);
    tern__waiter_deinit(&w->body.sender);
    tern__client_stream_deinit(&w->s);
    free(w->message);
    w->message = NULL;
}

/* With the transport's lock: gives back what was received and not looked at. */
static void drop_payload(tern__health_watch *w)
{
    if (!w->body.in.len)
        return;
    tern__h2_release(w->t->h2, NULL, w->body.in.len);
    tern__buf_consume(&w->body.in, w->body.in.len);
    w->t->unflushed |= tern__h2_wants_take(w->t->h2);
}

/* Ends the stream from this side. */
static void end_stream(tern__health_watch *w)
{
    tern__transport *t = w->t;
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    w->s.wake = NULL;
    if (!w->s.done) {
        w->s.cancelled = true;
        tern__drive_give_up(t, &w->s,
                            w->s.h2.id ? TERN__FATE_IN_DOUBT : TERN__FATE_NEVER_SENT);
    }
    drop_payload(w);
    tern__drive_async_end(t);
    tern__drive_pass_lead(t);
    pthread_mutex_unlock(&t->lock);
    let_go(w);
}

static bool make_message(tern__health_watch *w, const char *service, size_t *ret_len)
{
    uint32_t len = (uint32_t)strlen(service);
    w->message = malloc(TERN__MESSAGE_PREFIX_LEN + TERN__HEALTH_REQUEST_OVERHEAD + len);
    if (!w->message)
        return false;
    size_t n = tern__health_request_write(service, len, w->message + TERN__MESSAGE_PREFIX_LEN);
    tern__message_prefix_write(w->message, (uint32_t)n, false);
    *ret_len = TERN__MESSAGE_PREFIX_LEN + n;
    return true;
}

static bool has_places(tern__transport *t)
{
    pthread_mutex_lock(&t->lock);
    bool enough = t->dead || tern__h2_peer_streams_max(t->h2) > 1;
    pthread_mutex_unlock(&t->lock);
    return enough;
}

/* Begins on `t`, whose reference is taken over. False: no memory, or nothing to be said. */
static bool begin_stream(tern__health_watch *w, tern__transport *t, const char *service)
{
    static const tern_call_options plain = TERN_CALL_OPTIONS_INIT;
    const tern_channel *ch = w->ep->cluster->ch;
    tern_status why;
    size_t len;
    memset(&w->body, 0, sizeof w->body);
    tern__client_stream_init(&w->s, TERN_LIMIT_HEALTH_RESPONSE_BYTES, false);
    w->s.body = &w->body;
    tern__waiter_init(&w->s.waiter);
    tern__waiter_init(&w->body.sender);
    w->t = t;
    tern_code code = tern__head_init(&w->head, ch, &watch_method, &plain, TERN__TIME_NEVER, &why);
    if (code != TERN_OK || !make_message(w, service, &len)) {
        let_go(w);
        return false;
    }
    w->request = (tern__request){
        .fields = w->head.fields,
        .n_fields = w->head.n_fields,
        .message = w->message,
        .len = len,
        .last = true,
        .lazy = true,
        .now = tern__clock_coarse(),
        .deadline = TERN__TIME_NEVER,
    };
    w->s.wake = on_stream;
    pthread_mutex_lock(&t->lock);
    tern__reactor_begin(t);
    tern__drive_start(t, &w->s, &w->request);
    tern__drive_pass_lead(t);
    pthread_mutex_unlock(&t->lock);
    return true;
}

/* What came goes to `taken`. Whether the stream is done. */
static bool take_payload(tern__health_watch *w)
{
    tern__transport *t = w->t;
    pthread_mutex_lock(&t->lock);
    tern__drive_granted(t, &w->s, &w->request);
    if (w->body.in.len) {
        tern__buf former = w->taken; /* empty */
        w->taken = w->body.in;
        w->body.in = former;
        tern__h2_release(t->h2, &w->s.h2, w->taken.len);
        t->unflushed |= tern__h2_wants_take(t->h2);
    }
    bool done = w->s.done;
    tern__drive_pass_lead(t);
    pthread_mutex_unlock(&t->lock);
    return done;
}

static void hear(tern__health_watch *w, uint32_t status)
{
    tern__health_check_said(&w->check, status == TERN__HEALTH_SERVING);
    w->why[0] = '\0';
    if (status != TERN__HEALTH_SERVING)
        snprintf(w->why, sizeof w->why, "grpc.health.v1 says %s",
                 tern__health_status_name(status));
}

/* What the server says: TERN_OK, or what is wrong with it. */
static tern_code read_answers(tern__health_watch *w)
{
    const uint8_t *p = tern__buf_head(&w->taken);
    size_t left = w->taken.len;
    tern_code code = TERN_OK;
    while (left && code == TERN_OK) {
        size_t len;
        bool owned;
        uint32_t status;
        int rv = tern__message_reader_feed(&w->s.reader, &p, &left);
        if (rv == TERN__MESSAGE_MORE)
            break;
        if (rv < 0 || w->s.reader.compressed) {
            code = rv == -ENOMEM ? TERN_RESOURCE_EXHAUSTED : TERN_INTERNAL;
            break;
        }
        uint8_t *message = tern__message_reader_take(&w->s.reader, &len, &owned);
        if (tern__health_response_read(message, len, &status))
            code = TERN_INTERNAL;
        else
            hear(w, status);
        if (owned)
            free(message);
    }
    tern__buf_consume(&w->taken, w->taken.len);
    return code;
}

/* --- the op ----------------------------------------------------------------------------------- */

static void tell_unimplemented(tern__health_watch *w, const char *why)
{
    if (w->told)
        return;
    w->told = true;
    TERN__LOG(TERN_LOG_WARNING, "%s: its health cannot be watched: %s: it counts as healthy",
              w->ep->name, why);
    tern__registry_tell(&w->ep->sub.entity, TERN__SEVERITY_WARNING,
                        "its health cannot be watched: %s: it counts as healthy", why);
}

static void ended(tern__health_watch *w, tern_code code, int64_t now)
{
    if (code == TERN_UNIMPLEMENTED)
        tell_unimplemented(w, "it does not implement grpc.health.v1.Health/Watch");
    tern__health_check_ended(&w->check, code, now, &w->rng);
    w->why[0] = '\0';
    if (code != TERN_UNIMPLEMENTED)
        snprintf(w->why, sizeof w->why, "the watch of its health ended with %s: %.180s",
                 tern_code_name(code), w->s.status.message);
}

/* Looks at the stream that is open. */
static void look_at_stream(tern__health_watch *w, int64_t now)
{
    bool done = take_payload(w);
    tern_code code = read_answers(w);
    if (code != TERN_OK)
        tern_status_set(&w->s.status, code, "what it answers is no HealthCheckResponse");
    else if (!done)
        return;
    else
        code = w->s.status.code;
    ended(w, code, now);
    end_stream(w);
}

/* Opens a watch that is due. */
static void open_watch(tern__health_watch *w, const char *service, int64_t now)
{
    tern__transport *t = tern__subchannel_any(&w->ep->sub);
    if (!t || !tern__transport_usable(t)) {
        tern__transport_unref(t);
        w->check.open_at = tern__time_add(now, LOOK_AGAIN_NS);
        tern__cluster_stir(w->ep->cluster); /* which has not found out yet */
        return;
    }
    tern__health_check_opened(&w->check, now);
    if (!has_places(t)) {
        tell_unimplemented(w, "it permits one stream at a time");
        tern__health_check_spare(&w->check);
        w->why[0] = '\0';
        tern__transport_unref(t);
    } else if (!begin_stream(w, t, service)) {
        tern_status_set(&w->s.status, TERN_RESOURCE_EXHAUSTED, "out of memory for the watch");
        ended(w, TERN_RESOURCE_EXHAUSTED, now);
    }
}

/* Follows what the cluster wants: whether there is a connection, and whom to ask about. */
static void follow_cluster(tern__health_watch *w, const tern__health_wanted *wanted)
{
    bool other = wanted->connection != w->connection, gone = w->t && !tern__transport_usable(w->t);
    if (!wanted->connected || other || gone || wanted->epoch != w->epoch)
        end_stream(w);
    if (!wanted->connected || other) {
        tern__health_check_lost(&w->check);
        w->told = false;
        w->why[0] = '\0';
    }
    if (wanted->connected && w->check.state == TERN__LB_IDLE)
        tern__health_check_connected(&w->check);
    else if (wanted->epoch != w->epoch || gone)
        tern__health_check_restart(&w->check);
    w->epoch = wanted->epoch;
    w->connection = wanted->connection;
}

/* With the lock. */
static void look(tern__health_watch *w, const tern__health_wanted *wanted)
{
    int64_t now = tern__clock_now();
    follow_cluster(w, wanted);
    if (w->t)
        look_at_stream(w, now);
    if (wanted->connected && !w->check.watching && now >= w->check.open_at)
        open_watch(w, wanted->config->health_check_service, now);
    if (wanted->connected)
        tern__cluster_health_changed(w->ep, w->connection, w->check.state,
                                     w->why[0] ? w->why : NULL);
    tern__reactor_set_timer(w->loop, &w->op,
                            wanted->connected ? w->check.open_at : TERN__TIME_NEVER);
}

static void run(tern__op *op)
{
    tern__health_watch *w = TERN__CONTAINER(op, tern__health_watch, op);
    tern__health_wanted wanted;
    pthread_mutex_lock(&w->lock);
    pthread_mutex_lock(&w->end_lock);
    bool closed = w->closed;
    pthread_mutex_unlock(&w->end_lock);
    tern__cluster_health_wanted(w->ep, &wanted);
    if (!closed)
        look(w, &wanted);
    pthread_mutex_unlock(&w->lock);
    tern__service_config_unref(wanted.config);
}

/* --- life ------------------------------------------------------------------------------------- */

tern__health_watch *tern__health_watch_new(tern__endpoint *ep)
{
    const tern__cluster *c = ep->cluster;
    tern__health_watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    tern__op_init(&w->op, run);
    w->ep = ep;
    w->loop = c->loop;
    pthread_mutex_init(&w->end_lock, NULL);
    pthread_mutex_init(&w->lock, NULL);
    tern__rng_seed(&w->rng, tern__random_seed());
    tern__health_check_init(&w->check, tern__ms_to_ns(c->options.backoff_ms),
                            tern__ms_to_ns(c->options.backoff_ms_max));
    return w;
}

void tern__health_watch_stop(tern__health_watch *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    end_stream(w);
    pthread_mutex_lock(&w->end_lock);
    w->closed = true;
    pthread_mutex_unlock(&w->end_lock);
    pthread_mutex_unlock(&w->lock);
    tern__reactor_cancel(w->loop, &w->op);
}

void tern__health_watch_free(tern__health_watch *w)
{
    if (!w)
        return;
    pthread_mutex_destroy(&w->lock);
    pthread_mutex_destroy(&w->end_lock);
    free(w);
}
