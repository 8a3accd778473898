/* Subscribers and their progress. See topics.h. */
#include "messages/topics.h"

#include <stdlib.h>
#include <string.h>

drone_topic *drone_topics_get(drone_topics *ts, const char *name)
{
    for (size_t i = 0; i < ts->n; i++)
        if (strcmp(ts->topics[i]->name, name) == 0)
            return ts->topics[i];
    if (ts->n == DRONE_TOPICS_MAX || strlen(name) > DRONE_ID_BYTES_MAX)
        return NULL;
    drone_topic *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    strcpy(t->name, name);
    TAILQ_INIT(&t->subscribers);
    ts->topics[ts->n++] = t;
    return t;
}

void drone_topics_free(drone_topics *ts)
{
    for (size_t i = 0; i < ts->n; i++) {
        drone_subscriber *s;
        while ((s = TAILQ_FIRST(&ts->topics[i]->subscribers)))
            drone_subscriber_free(s);
        free(ts->topics[i]);
    }
    ts->n = 0;
}

drone_subscriber *drone_topic_find(drone_topic *t, const char *name)
{
    drone_subscriber *s;
    TAILQ_FOREACH(s, &t->subscribers, link)
    if (s->name[0] && strcmp(s->name, name) == 0)
        return s;
    return NULL;
}

drone_subscriber *drone_subscriber_new(drone_topic *t, const char *name, int64_t cursor)
{
    drone_subscriber *s = t->n_subscribers < DRONE_SUBSCRIBERS_MAX &&
                                  strlen(name) <= DRONE_ID_BYTES_MAX
                              ? calloc(1, sizeof(*s))
                              : NULL;
    if (!s)
        return NULL;
    strcpy(s->name, name);
    s->topic = t;
    s->cursor = s->sent = cursor;
    TAILQ_INSERT_TAIL(&t->subscribers, s, link);
    t->n_subscribers++;
    return s;
}

void drone_subscriber_free(drone_subscriber *s)
{
    if (s->outlet)
        drone_outlet_release(s->outlet);
    TAILQ_REMOVE(&s->topic->subscribers, s, link);
    s->topic->n_subscribers--;
    free(s);
}

void drone_subscriber_connect(drone_subscriber *s, drone_outlet *outlet, uint32_t in_flight_max)
{
    if (s->outlet) {
        drone_outlet_end(s->outlet, TERN_ABORTED, "another subscriber of this name has come");
        drone_outlet_release(s->outlet);
    }
    s->outlet = outlet;
    s->in_flight_max = in_flight_max;
    s->n_in_flight = 0;
    if (s->name[0])
        s->sent = s->cursor;
}

void drone_subscriber_disconnect(drone_subscriber *s)
{
    if (!s->name[0]) {
        drone_subscriber_free(s);
        return;
    }
    drone_outlet_release(s->outlet);
    s->outlet = NULL;
}

size_t drone_subscriber_room(drone_subscriber *s)
{
    if (!s->outlet || s->sent >= s->topic->last)
        return 0;
    if (!s->name[0])
        return drone_outlet_room(s->outlet);
    return s->n_in_flight < s->in_flight_max ? s->in_flight_max - s->n_in_flight : 0;
}

void drone_subscriber_sent(drone_subscriber *s, int64_t sequence)
{
    s->sent = sequence;
    if (s->name[0])
        s->in_flight[(s->first + s->n_in_flight++) % DRONE_IN_FLIGHT_MAX] = sequence;
}

void drone_subscriber_advance(drone_subscriber *s, int64_t sequence)
{
    if (sequence > s->cursor)
        s->cursor = sequence;
    if (s->sent < s->cursor)
        s->sent = s->cursor;
    while (s->n_in_flight > 0 && s->in_flight[s->first] <= sequence) {
        s->first = (s->first + 1) % DRONE_IN_FLIGHT_MAX;
        s->n_in_flight--;
    }
}

int64_t drone_topic_floor(const drone_topic *t)
{
    int64_t floor = t->last;
    const drone_subscriber *s;
    TAILQ_FOREACH(s, &t->subscribers, link)
    {
        int64_t needs = s->name[0] ? s->cursor : s->sent;
        if (needs < floor)
            floor = needs;
    }
    return floor;
}
