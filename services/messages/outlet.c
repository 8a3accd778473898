/* The list between engine and call. See outlet.h. */
#include "messages/outlet.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct drone_outlet {
    pthread_mutex_t lock;
    tern_server_call *call; /* NULL: over */
    drone_parcel *head, *tail;
    size_t n;
    unsigned owners;
    tern_code end; /* TERN_OK: not yet */
    const char *why;
};

static tern_code resume(void *ctx, tern_server_call *call);

drone_outlet *drone_outlet_new(tern_server_call *call)
{
    drone_outlet *o = calloc(1, sizeof(*o));
    if (!o)
        return NULL;
    pthread_mutex_init(&o->lock, NULL);
    o->call = call;
    o->owners = 2;
    tern_server_call_park(call, resume, o);
    return o;
}

static void free_list(drone_parcel *p)
{
    while (p) {
        drone_parcel *next = p->next;
        free(p);
        p = next;
    }
}

void drone_outlet_release(drone_outlet *o)
{
    pthread_mutex_lock(&o->lock);
    bool last = --o->owners == 0;
    pthread_mutex_unlock(&o->lock);
    if (!last)
        return;
    free_list(o->head);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

bool drone_outlet_push(drone_outlet *o, drone_parcel *p)
{
    pthread_mutex_lock(&o->lock);
    bool open = o->call && o->end == TERN_OK;
    if (open) {
        p->next = NULL;
        if (o->tail)
            o->tail->next = p;
        else
            o->head = p;
        o->tail = p;
        o->n++;
        tern_server_call_wake(o->call);
    }
    pthread_mutex_unlock(&o->lock);
    if (!open)
        free(p);
    return open;
}

bool drone_outlet_is_over(drone_outlet *o)
{
    pthread_mutex_lock(&o->lock);
    bool over = !o->call;
    pthread_mutex_unlock(&o->lock);
    return over;
}

size_t drone_outlet_room(drone_outlet *o)
{
    pthread_mutex_lock(&o->lock);
    size_t n = o->n;
    pthread_mutex_unlock(&o->lock);
    return n < DRONE_OUTLET_PARCELS_MAX ? DRONE_OUTLET_PARCELS_MAX - n : 0;
}

void drone_outlet_end(drone_outlet *o, tern_code code, const char *why)
{
    pthread_mutex_lock(&o->lock);
    if (o->call && o->end == TERN_OK) {
        o->end = code;
        o->why = why;
        tern_server_call_wake(o->call);
    }
    pthread_mutex_unlock(&o->lock);
}

drone_parcel *drone_parcel_new(size_t len)
{
    drone_parcel *p = malloc(sizeof(*p) + len);
    if (p) {
        p->next = NULL;
        p->len = len;
    }
    return p;
}

/* Takes parcels of about DRONE_OUTLET_SEND_BYTES off the list, at least one if there is one. */
static drone_parcel *take(drone_outlet *o, size_t *ret_len)
{
    drone_parcel *first = o->head, *last = NULL;
    size_t len = 0;
    for (drone_parcel *p = first; p && (!last || len + p->len <= DRONE_OUTLET_SEND_BYTES);
         p = p->next) {
        len += p->len;
        last = p;
        o->n--;
    }
    if (last) {
        o->head = last->next;
        if (!o->head)
            o->tail = NULL;
        last->next = NULL;
    }
    *ret_len = len;
    return first;
}

/* One response of all these: a repeated field is the sum of its parts. */
static bool send_all(tern_server_call *call, drone_parcel *first, size_t len)
{
    if (!first->next)
        return tern_server_call_send(call, first->data, first->len);
    uint8_t *message = malloc(len), *at = message;
    bool ok = message != NULL;
    for (drone_parcel *p = first; p; p = p->next) {
        if (!message) { /* then one by one */
            ok = tern_server_call_send(call, p->data, p->len);
            if (!ok)
                break;
            continue;
        }
        memcpy(at, p->data, p->len);
        at += p->len;
    }
    if (message)
        ok = tern_server_call_send(call, message, len);
    free(message);
    return ok;
}

static tern_code resume(void *ctx, tern_server_call *call)
{
    drone_outlet *o = ctx;
    size_t len = 0;
    tern_code code = tern_context_error(tern_server_call_context(call));

    pthread_mutex_lock(&o->lock);
    drone_parcel *first = code == TERN_OK ? take(o, &len) : NULL;
    if (code == TERN_OK && !first)
        code = o->end;
    if (code != TERN_OK)
        o->call = NULL; /* nobody wakes it from here on */
    else if (o->head || o->end != TERN_OK)
        tern_server_call_wake(call);
    pthread_mutex_unlock(&o->lock);

    if (code != TERN_OK) {
        if (o->why)
            tern_server_call_fail(call, code, "%s", o->why);
        drone_outlet_release(o);
        return code;
    }
    if (first) {
        send_all(call, first, len); /* if it fails, the call is over, and this comes once more */
        free_list(first);
    }
    tern_server_call_park(call, resume, o);
    return TERN_OK;
}
