/* Where the messages for one Consume or Subscribe call go: a list that the engine fills and the
 * parked call empties, whenever its client has taken what was sent before.
 *
 * Two own it, the call and the engine, each on its own thread; the last one frees it. */
#ifndef DRONE_MESSAGES_OUTLET_H
#define DRONE_MESSAGES_OUTLET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/server.h>

#define DRONE_OUTLET_PARCELS_MAX 1024      /* on the list: what credit or feeding allow at most */
#define DRONE_OUTLET_SEND_BYTES (64 << 10) /* sent at a time; the rest waits for the client */

/* One message or event on its way: a packed Delivered or Event. */
typedef struct drone_parcel {
    struct drone_parcel *next;
    size_t len;
    uint8_t data[]; /* field 1 of ConsumeResponse or SubscribeResponse, with tag and length */
} drone_parcel;

typedef struct drone_outlet drone_outlet;

/* For this call, which is parked from now on: return TERN_OK from its handler. NULL when out of
 * memory. Owned by the call and by the caller. */
drone_outlet *drone_outlet_new(tern_server_call *call);

/* The engine's side: gives up its part. */
void drone_outlet_release(drone_outlet *o);
/* Puts a parcel on the list, which owns it; false when the call is over (it is freed then). */
bool drone_outlet_push(drone_outlet *o, drone_parcel *p);
/* Whether the call is over. */
bool drone_outlet_is_over(drone_outlet *o);
/* How many parcels could be pushed before the list is full. */
size_t drone_outlet_room(drone_outlet *o);
/* Ends the call with this code, after what is on the list; `why` is static. */
void drone_outlet_end(drone_outlet *o, tern_code code, const char *why);

/* A parcel with room for `len` bytes; NULL when out of memory. */
drone_parcel *drone_parcel_new(size_t len);

#endif
