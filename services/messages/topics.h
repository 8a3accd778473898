/* The topics of the message service in memory: who subscribes, and how far each has come. Only the
 * store's writing thread calls it. */
#ifndef DRONE_MESSAGES_TOPICS_H
#define DRONE_MESSAGES_TOPICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/queue.h>

#include "common/names.h"
#include "messages/outlet.h"

#define DRONE_TOPICS_MAX 64        /* a further one is refused */
#define DRONE_SUBSCRIBERS_MAX 1024 /* of one topic, live or durable; a further one is refused */
#define DRONE_TOPIC_EVENTS_MAX 10000000 /* kept for a slow durable one; then emitting is refused */
#define DRONE_LIVE_LAG_MAX 100000       /* events behind the last: a live one is ended */
#define DRONE_IN_FLIGHT_MAX 1024        /* of consumers and durable subscribers */

typedef struct drone_topic drone_topic;

typedef struct drone_subscriber {
    TAILQ_ENTRY(drone_subscriber) link;
    drone_topic *topic;
    char name[DRONE_ID_BYTES_MAX + 1]; /* "": live */
    char key[DRONE_ID_BYTES_MAX + 1];  /* of a live one: only these; "": all */
    drone_outlet *outlet;              /* NULL: a durable one that is not connected */
    int64_t cursor;                    /* of a durable one: done up to here */
    int64_t sent;                      /* up to here */
    uint32_t in_flight_max;
    uint32_t n_in_flight, first; /* of a durable one: the ring of what is sent and not done */
    int64_t in_flight[DRONE_IN_FLIGHT_MAX];
} drone_subscriber;

TAILQ_HEAD(drone_subscriber_list, drone_subscriber);

struct drone_topic {
    char name[DRONE_ID_BYTES_MAX + 1];
    int64_t last;   /* sequence of the newest event; 0: there was none */
    int64_t count;  /* events in the store */
    int64_t pruned; /* of these, by a tick whose commit is on the way */
    size_t n_subscribers;
    struct drone_subscriber_list subscribers;
};

typedef struct drone_topics {
    drone_topic *topics[DRONE_TOPICS_MAX];
    size_t n;
} drone_topics;

/* The topic of this name, made if need be; NULL when it would be one too many, or out of memory. */
drone_topic *drone_topics_get(drone_topics *ts, const char *name);
/* Frees all, and gives up the outlets. */
void drone_topics_free(drone_topics *ts);

/* The durable subscriber of this name, or NULL. */
drone_subscriber *drone_topic_find(drone_topic *t, const char *name);
/* A subscriber that has seen everything up to `cursor`; NULL when it is one too many, or out of
 * memory. */
drone_subscriber *drone_subscriber_new(drone_topic *t, const char *name, int64_t cursor);
/* Takes it away, gives up its outlet and frees it. */
void drone_subscriber_free(drone_subscriber *s);
/* A durable one is connected anew: what was in flight is sent again. The former call, if there is
 * one, ends with ABORTED. */
void drone_subscriber_connect(drone_subscriber *s, drone_outlet *outlet, uint32_t in_flight_max);
/* Its call is over: a durable one stays, a live one is freed. */
void drone_subscriber_disconnect(drone_subscriber *s);

/* How many events may be sent to it now. */
size_t drone_subscriber_room(drone_subscriber *s);
/* An event is sent to it, or passed over (a live one with another key). */
void drone_subscriber_sent(drone_subscriber *s, int64_t sequence);
/* A durable one is done with this and all before it. */
void drone_subscriber_advance(drone_subscriber *s, int64_t sequence);

/* What nobody needs any more: events up to this sequence. */
int64_t drone_topic_floor(const drone_topic *t);

#endif
