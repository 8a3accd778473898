/* Load reports as servers send them (gRFC A51): xds.data.orca.v3.OrcaLoadReport in the trailer
 * "endpoint-load-metrics-bin", or as messages of the OpenRCA service. Of it the numbers are read
 * and written that load balancing goes by; its maps of named metrics are skipped. */
#ifndef TERN__WIRE_ORCA_H
#define TERN__WIRE_ORCA_H

#include <stddef.h>

#define TERN__ORCA_TRAILER "endpoint-load-metrics-bin"

/* As it was sent: nothing here has been checked to be a sensible number. 0: not given. */
typedef struct tern__orca_load {
    double cpu_utilization, mem_utilization, application_utilization; /* 1.0: all of it */
    double rps, eps;                                                  /* calls, errors a second */
} tern__orca_load;

/* Bytes that a report needs at most. */
#define TERN__ORCA_BYTES_MAX 45u

/* 0, or -EBADMSG: these bytes are no such message; *ret is not touched. */
int tern__orca_read(const void *bytes, size_t len, tern__orca_load *ret);
/* Returns how many bytes it wrote; 0: there is nothing to report. */
size_t tern__orca_write(const tern__orca_load *load, unsigned char ret[TERN__ORCA_BYTES_MAX]);

/* What weighted_round_robin takes for the utilization (A58): the application's, or else the
 * CPU's. */
static inline double tern__orca_utilization(const tern__orca_load *load)
{
    return load->application_utilization > 0 ? load->application_utilization
                                             : load->cpu_utilization;
}

#endif
