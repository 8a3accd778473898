/* See script.h. Queues of answers by path, and the records of attempts. A record is given out as a
 * snapshot, because the serving thread goes on writing it. */
#include "testing/script.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/time.h"
#include "io/clock.h"
#include "testing/serve.h"
#include "wire/metadata.h"

#define LIST_CAP_MIN ((size_t)8)

/* What was given out, with its memory. */
typedef struct snapshot {
    tern_testing_call call;
    tern_metadata metadata;
    tern__arena arena;
    tern__list node;
} snapshot;

/* --- answers ---------------------------------------------------------------------------------- */

static void reply_free(tern__testing_reply *r)
{
    if (!r)
        return;
    tern__list_remove(&r->all);
    tern__arena_deinit(&r->arena);
    free(r);
}

static const tern_metadata *copy_metadata(tern__arena *a, const tern_metadata *from, bool *bad)
{
    if (!from)
        return NULL;
    tern_metadata *to = tern__arena_alloc(a, sizeof *to);
    if (!to) {
        *bad = true;
        return NULL;
    }
    tern__metadata_init(to, a);
    *bad |= tern__metadata_append_all(to, from) != 0;
    return to;
}

static const void *copy_bytes(tern__arena *a, const void *from, size_t len, bool *bad)
{
    if (!from)
        return NULL;
    void *to = tern__arena_strndup(a, from, len);
    *bad |= !to;
    return to;
}

/* NULL: out of memory. */
static tern__testing_reply *reply_new(const tern_testing_answer *from)
{
    tern__testing_reply *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    tern__list_init(&r->all);
    tern__arena *a = &r->arena;
    tern__arena_init(a, NULL, 0, 0);
    size_t size = from->size < sizeof r->what ? from->size : sizeof r->what;
    memcpy(&r->what, from, size);
    tern_testing_answer *w = &r->what;
    bool bad = false;
    tern_testing_message *replies = NULL;
    if (w->n_replies) {
        replies = tern__arena_zalloc(a, w->n_replies * sizeof *replies);
        bad |= !replies;
    }
    for (size_t i = 0; replies && i < w->n_replies; i++) {
        replies[i] = w->replies[i];
        replies[i].data = copy_bytes(a, replies[i].data, replies[i].len, &bad);
    }
    w->replies = replies;
    w->message = copy_bytes(a, w->message, w->message ? strlen(w->message) : 0, &bad);
    w->pushback = copy_bytes(a, w->pushback, w->pushback ? strlen(w->pushback) : 0, &bad);
    w->details = copy_bytes(a, w->details, w->details_len, &bad);
    w->initial_metadata = copy_metadata(a, w->initial_metadata, &bad);
    w->trailing_metadata = copy_metadata(a, w->trailing_metadata, &bad);
    r->left = w->times ? w->times : 1;
    if (bad) {
        reply_free(r);
        return NULL;
    }
    return r;
}

/* Why the answer cannot be meant; NULL: it can. */
static const char *what_is_wrong(const tern_testing_answer *a)
{
    if (a->size < offsetof(tern_testing_answer, action) + sizeof a->action)
        return "its size is not set: begin with TERN_TESTING_ANSWER_INIT";
    if ((unsigned)a->action > TERN_TESTING_GOAWAY)
        return "there is no such action";
    if ((unsigned)a->when > TERN_TESTING_PER_MESSAGE)
        return "there is no such time to act (when)";
    if ((unsigned)a->code > TERN_UNAUTHENTICATED)
        return "the code is none of gRPC's, 0 to 16";
    if (a->n_replies && !a->replies)
        return "n_replies is not 0, but replies is NULL";
    if (a->action == TERN_TESTING_GOAWAY && (a->n_replies || a->headers))
        return "a GOAWAY that leaves the attempt out cannot come with replies or headers";
    if (a->when == TERN_TESTING_PER_MESSAGE && a->delay_ms)
        return "replies per message cannot be delayed";
    for (size_t i = 0; i < a->n_replies; i++) {
        if (a->replies[i].len > TERN_TESTING_MESSAGE_BYTES_MAX)
            return "a reply is longer than TERN_TESTING_MESSAGE_BYTES_MAX";
        if (a->replies[i].len && !a->replies[i].data)
            return "a reply has a length, but no data";
    }
    return NULL;
}

static bool same_path(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static tern__testing_route *find_route(tern__testing_script *s, const char *path)
{
    for (tern__list *n = s->routes.next; n != &s->routes; n = n->next) {
        tern__testing_route *r = TERN__CONTAINER(n, tern__testing_route, node);
        if (same_path(r->path, path))
            return r;
    }
    return NULL;
}

static tern__testing_route *make_route(tern__testing_script *s, const char *path)
{
    tern__testing_route *r = find_route(s, path);
    if (r)
        return r;
    r = calloc(1, sizeof *r);
    if (r && path && !(r->path = strdup(path))) {
        free(r);
        r = NULL;
    }
    if (r)
        tern__list_append(&s->routes, &r->node);
    return r;
}

static tern_code put(tern_testing_server *ts, const char *path, const tern_testing_answer *answer,
                     bool otherwise, tern_status *reterr)
{
    tern__testing_script *s = &ts->script;
    const char *wrong = answer ? what_is_wrong(answer) : NULL;
    if (path && *path != '/')
        wrong = "a path begins with a slash: \"/pkg.Service/Method\"";
    if (!answer && !otherwise)
        wrong = "there is none";
    if (wrong)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "answer for %s: %s",
                               path ? path : "any path", wrong);
    tern__testing_reply *r = answer ? reply_new(answer) : NULL;
    pthread_mutex_lock(&s->lock);
    const char *lacking = answer && !r ? "out of memory" : NULL;
    if (!otherwise && r && r->left > TERN_TESTING_ANSWERS_MAX - s->n_waiting)
        lacking = "more than TERN_TESTING_ANSWERS_MAX would wait for attempts";
    tern__testing_route *route = lacking ? NULL : make_route(s, path);
    if (!route) {
        pthread_mutex_unlock(&s->lock);
        reply_free(r);
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "answer for %s: %s",
                               path ? path : "any path", lacking ? lacking : "out of memory");
    }
    if (r)
        tern__list_append(&s->replies, &r->all);
    if (otherwise) {
        route->otherwise = r;
    } else {
        if (route->last)
            route->last->next = r;
        else
            route->first = r;
        route->last = r;
        s->n_waiting += r->left;
    }
    pthread_mutex_unlock(&s->lock);
    return TERN_OK;
}

static const tern_testing_answer *take(tern__testing_script *s, const char *path)
{
    tern__testing_route *route = find_route(s, path);
    if (!route)
        return NULL;
    tern__testing_reply *r = route->first;
    if (!r)
        return route->otherwise ? &route->otherwise->what : NULL;
    s->n_waiting--;
    if (--r->left == 0) {
        route->first = r->next;
        if (!route->first)
            route->last = NULL;
    }
    return &r->what;
}

const tern_testing_answer *tern__testing_script_next(tern__testing_script *s, const char *path)
{
    pthread_mutex_lock(&s->lock);
    const tern_testing_answer *a = take(s, path);
    if (!a)
        a = take(s, NULL);
    pthread_mutex_unlock(&s->lock);
    return a;
}

tern_code tern_testing_server_add(tern_testing_server *ts, const char *path,
                                  const tern_testing_answer *answer, tern_status *reterr)
{
    return put(ts, path, answer, false, reterr);
}

tern_code tern_testing_server_set_default(tern_testing_server *ts, const char *path,
                                          const tern_testing_answer *answer, tern_status *reterr)
{
    return put(ts, path, answer, true, reterr);
}

bool tern_testing_reply(tern_testing_server *ts, const char *path, const void *message, size_t len)
{
    tern_testing_message m = { .data = message, .len = len };
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    a.replies = &m;
    a.n_replies = 1;
    return put(ts, path, &a, false, NULL) == TERN_OK;
}

bool tern_testing_fail(tern_testing_server *ts, const char *path, tern_code code,
                       const char *message)
{
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    a.code = code;
    a.message = message;
    return put(ts, path, &a, false, NULL) == TERN_OK;
}

size_t tern_testing_server_unused(tern_testing_server *ts, const char *path)
{
    tern__testing_script *s = &ts->script;
    pthread_mutex_lock(&s->lock);
    size_t n = path ? 0 : s->n_waiting;
    tern__testing_route *route = path ? find_route(s, path) : NULL;
    for (tern__testing_reply *r = route ? route->first : NULL; r; r = r->next)
        n += r->left;
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* --- records ---------------------------------------------------------------------------------- */

tern__testing_record *tern__testing_record_new(void)
{
    tern__testing_record *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->timeout_ms = -1;
    r->metadata = tern_metadata_new();
    if (r->metadata)
        return r;
    free(r);
    return NULL;
}

void tern__testing_record_free(tern__testing_record *r)
{
    if (!r)
        return;
    tern_metadata_free(r->metadata);
    tern__buf_deinit(&r->bytes);
    free(r->messages);
    free(r->authority);
    free(r->path);
    free(r);
}

/* Room for one more of `size` bytes in a list of n; NULL: out of memory, the list is as it was. */
static void *grown(void *list, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return list;
    size_t more = *cap ? *cap * 2 : LIST_CAP_MIN;
    void *p = realloc(list, more * size);
    if (p)
        *cap = more;
    return p;
}

int tern__testing_record_file(tern__testing_script *s, tern__testing_record *r)
{
    int rv = -ENOBUFS;
    pthread_mutex_lock(&s->lock);
    if (s->n_records < TERN_TESTING_CALLS_MAX) {
        void *list = grown(s->records, s->n_records, &s->records_cap, sizeof *s->records);
        rv = list ? 0 : -ENOMEM;
        if (list) {
            s->records = list;
            s->records[s->n_records++] = r;
            pthread_cond_broadcast(&s->changed);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return rv;
}

int tern__testing_record_message(tern__testing_script *s, tern__testing_record *r,
                                 const tern_testing_message *m)
{
    int rv = -ENOMEM;
    pthread_mutex_lock(&s->lock);
    void *list = grown(r->messages, r->n_messages, &r->messages_cap, sizeof *r->messages);
    if (list)
        r->messages = list;
    if (list && tern__buf_append(&r->bytes, m->data ? m->data : "", m->len) == 0) {
        r->messages[r->n_messages].len = m->len;
        r->messages[r->n_messages++].compressed = m->compressed;
        pthread_cond_broadcast(&s->changed);
        rv = 0;
    }
    pthread_mutex_unlock(&s->lock);
    return rv;
}

void tern__testing_record_set(tern__testing_script *s, tern__testing_record *r, bool *flag)
{
    (void)r;
    pthread_mutex_lock(&s->lock);
    *flag = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* --- what the test sees ----------------------------------------------------------------------- */

static bool matches(const tern__testing_record *r, const char *path)
{
    return !path || strcmp(r->path, path) == 0;
}

static bool any(const tern__testing_record *r)
{
    (void)r;
    return true;
}

static bool whole(const tern__testing_record *r)
{
    return r->complete || r->ended;
}

static bool was_cancelled(const tern__testing_record *r)
{
    return r->cancelled;
}

static size_t count(const tern__testing_script *s, const char *path,
                    bool (*is)(const tern__testing_record *))
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_records; i++)
        n += matches(s->records[i], path) && is(s->records[i]);
    return n;
}

static bool wait_for(tern__testing_script *s, const char *path, size_t n, int64_t timeout_ms,
                     bool (*is)(const tern__testing_record *))
{
    int64_t until = tern__time_add(tern__clock_real(),
                                   tern__ms_to_ns(timeout_ms > 0 ? timeout_ms : 0));
    struct timespec at = tern__clock_timespec(until);
    pthread_mutex_lock(&s->lock);
    bool there;
    while (!(there = count(s, path, is) >= n))
        if (pthread_cond_timedwait(&s->changed, &s->lock, &at) == ETIMEDOUT)
            break;
    there = there || count(s, path, is) >= n;
    pthread_mutex_unlock(&s->lock);
    return there;
}

size_t tern_testing_server_count(tern_testing_server *ts, const char *path)
{
    pthread_mutex_lock(&ts->script.lock);
    size_t n = count(&ts->script, path, any);
    pthread_mutex_unlock(&ts->script.lock);
    return n;
}

bool tern_testing_server_wait(tern_testing_server *ts, const char *path, size_t n,
                              int64_t timeout_ms)
{
    return wait_for(&ts->script, path, n, timeout_ms, whole);
}

bool tern_testing_server_wait_cancelled(tern_testing_server *ts, const char *path, size_t n,
                                        int64_t timeout_ms)
{
    return wait_for(&ts->script, path, n, timeout_ms, was_cancelled);
}

unsigned tern_testing_server_connections(tern_testing_server *ts)
{
    pthread_mutex_lock(&ts->script.lock);
    unsigned n = ts->script.connections;
    pthread_mutex_unlock(&ts->script.lock);
    return n;
}

static void snapshot_free(snapshot *snap)
{
    tern__arena_deinit(&snap->arena);
    free(snap);
}

static snapshot *snapshot_new(const tern__testing_record *r)
{
    snapshot *snap = calloc(1, sizeof *snap);
    if (!snap)
        return NULL;
    tern__arena *a = &snap->arena;
    tern__arena_init(a, NULL, 0, 0);
    tern__metadata_init(&snap->metadata, a);
    const char *authority = r->authority ? r->authority : "";
    tern_testing_message *messages = tern__arena_zalloc(a, (r->n_messages + 1) * sizeof *messages);
    uint8_t *bytes = tern__arena_alloc(a, r->bytes.len + 1);
    snap->call = (tern_testing_call){
        .path = tern__arena_strndup(a, r->path, strlen(r->path)),
        .authority = tern__arena_strndup(a, authority, strlen(authority)),
        .metadata = &snap->metadata,
        .timeout_ms = r->timeout_ms,
        .previous_attempts = r->previous_attempts,
        .connection = r->connection,
        .messages = messages,
        .n_messages = r->n_messages,
        .complete = r->complete,
        .ended = r->ended,
        .cancelled = r->cancelled,
    };
    if (!messages || !bytes || !snap->call.path || !snap->call.authority ||
        tern__metadata_append_all(&snap->metadata, r->metadata)) {
        snapshot_free(snap);
        return NULL;
    }
    if (r->bytes.len)
        memcpy(bytes, tern__buf_head(&r->bytes), r->bytes.len);
    for (size_t i = 0; i < r->n_messages; i++) {
        messages[i] = (tern_testing_message){ .data = bytes,
                                              .len = r->messages[i].len,
                                              .compressed = r->messages[i].compressed };
        bytes += messages[i].len;
    }
    return snap;
}

const tern_testing_call *tern_testing_server_call(tern_testing_server *ts, const char *path,
                                                  size_t index)
{
    tern__testing_script *s = &ts->script;
    snapshot *snap = NULL;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_records; i++) {
        if (!matches(s->records[i], path) || index-- > 0)
            continue;
        snap = snapshot_new(s->records[i]);
        break;
    }
    if (snap)
        tern__list_append(&s->snapshots, &snap->node);
    pthread_mutex_unlock(&s->lock);
    return snap ? &snap->call : NULL;
}

size_t tern_testing_server_describe(tern_testing_server *ts, char *out, size_t cap)
{
    tern__testing_script *s = &ts->script;
    size_t n = 0;
    if (!cap)
        return 0;
    *out = '\0';
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_records; i++) {
        const tern__testing_record *r = s->records[i];
        int rv = snprintf(out + n, cap - n,
                          "  %zu: %s, connection %u, previous attempts %d, messages %zu "
                          "(%zu bytes), request %s, %s\n",
                          i, r->path, r->connection, r->previous_attempts, r->n_messages,
                          r->bytes.len, r->complete ? "complete" : "incomplete",
                          r->cancelled ? "cancelled by the client"
                          : r->ended   ? "ended"
                                       : "under way");
        if (rv < 0 || (size_t)rv >= cap - n) {
            out[n] = '\0'; /* whole lines only */
            break;
        }
        n += (size_t)rv;
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* --- life ------------------------------------------------------------------------------------- */

int tern__testing_script_init(tern__testing_script *s)
{
    pthread_condattr_t attr;
    int rv = pthread_condattr_init(&attr);
    if (rv)
        return -rv;
    rv = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (!rv)
        rv = pthread_cond_init(&s->changed, &attr);
    pthread_condattr_destroy(&attr);
    if (rv)
        return -rv;
    pthread_mutex_init(&s->lock, NULL);
    tern__list_init(&s->routes);
    tern__list_init(&s->replies);
    tern__list_init(&s->snapshots);
    return 0;
}

void tern__testing_script_deinit(tern__testing_script *s)
{
    for (tern__list *n; (n = tern__list_pop(&s->snapshots));)
        snapshot_free(TERN__CONTAINER(n, snapshot, node));
    for (tern__list *n; (n = tern__list_pop(&s->replies));)
        reply_free(TERN__CONTAINER(n, tern__testing_reply, all));
    for (tern__list *n; (n = tern__list_pop(&s->routes));) {
        tern__testing_route *r = TERN__CONTAINER(n, tern__testing_route, node);
        free(r->path);
        free(r);
    }
    for (size_t i = 0; i < s->n_records; i++)
        tern__testing_record_free(s->records[i]);
    free(s->records);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
}
