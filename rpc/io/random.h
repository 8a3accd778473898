/* Seeds from the operating system for the pseudo-random sources of the layers below. */
#ifndef TERN__IO_RANDOM_H
#define TERN__IO_RANDOM_H

#include <stdint.h>

uint64_t tern__random_seed(void);

#endif
