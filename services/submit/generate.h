/* Own requests for demonstrations and benchmarks: the same seed gives the same rows. Trips
 * within and around New York City, most of them short, some to the airports and beyond, which
 * no drone flies; most packages light, some that no drone lifts. Pure. */
#ifndef DRONE_SUBMIT_GENERATE_H
#define DRONE_SUBMIT_GENERATE_H

#include <stdint.h>

#include "submit/row.h"

/* Fills *ret with row `index` (from 0) of the sequence that belongs to `seed`. Rows can be
 * asked for in any order. They are requested over 24 hours, beginning at 1970-01-01T00:00. */
void drone_generate_row(uint64_t seed, uint64_t index, drone_row *ret);

/* A well-mixed number for a seed and an index: what every random choice here is drawn from. */
uint64_t drone_mix64(uint64_t seed, uint64_t index);

#endif
