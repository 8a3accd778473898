/* A row: one delivery to be requested, as a file or the generator gives it, before it is
 * shifted to now and turned into a ScheduleDelivery. */
#ifndef DRONE_SUBMIT_ROW_H
#define DRONE_SUBMIT_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for an id: 64 characters and a NUL. */
#define DRONE_ROW_ID_SIZE 65u
/* Room for a tag: 128 bytes and a NUL. */
#define DRONE_ROW_TAG_SIZE 129u
/* Room for the reason why a line is bad. */
#define DRONE_ROW_ERROR_SIZE 256u

/* Package sizes and kinds of confirmation carry the numbers of drone/common/v1/common.proto. */
typedef struct drone_row {
    unsigned long line;        /* of the file, from 1; for generated rows their number */
    int64_t requested_at_ms;   /* since 1970, in the file's own time */
    int64_t deadline_after_ms; /* from requested_at_ms on; more than 0 */
    double pickup_latitude, pickup_longitude, pickup_altitude_m;
    double dropoff_latitude, dropoff_longitude, dropoff_altitude_m;
    bool expedited;
    int confirmation;
    int size;
    int64_t weight_g;
    char tag[DRONE_ROW_TAG_SIZE];
    /* Empty: chosen by whoever submits. */
    char account_id[DRONE_ROW_ID_SIZE];
    char user_id[DRONE_ROW_ID_SIZE];
    char package_id[DRONE_ROW_ID_SIZE];
    char idempotency_key[DRONE_ROW_ID_SIZE];
} drone_row;

/* Sets what a file need not say: confirmation none, small package of 500 g, deadline in 2 hours. */
void drone_row_init(drone_row *row);

/* Checks the ranges that the services check as well, so that a bad line is named before anything is
 * sent. Returns 0, or -EBADMSG with the reason, which begins with the field's name. */
int drone_row_check(const drone_row *row, char reterr[DRONE_ROW_ERROR_SIZE]);

/* Weight and size of `units` parcels: 800 g each; one is small, up to three are medium. */
void drone_row_set_units(drone_row *row, int64_t units);

#endif
