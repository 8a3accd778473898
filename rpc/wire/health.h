/* The two messages of grpc.health.v1 that a client needs (gRFC A17): HealthCheckRequest, which has
 * the service's name, and HealthCheckResponse, which has its status. */
#ifndef TERN__WIRE_HEALTH_H
#define TERN__WIRE_HEALTH_H

#include <stddef.h>
#include <stdint.h>

/* HealthCheckResponse.ServingStatus. */
enum {
    TERN__HEALTH_UNKNOWN = 0,
    TERN__HEALTH_SERVING = 1,
    TERN__HEALTH_NOT_SERVING = 2,
    TERN__HEALTH_SERVICE_UNKNOWN = 3
};

/* What tern__health_request_write() writes beside the name, at most. */
#define TERN__HEALTH_REQUEST_OVERHEAD 6u

/* A HealthCheckRequest; ret has room for the name and the overhead. Returns its length. */
size_t tern__health_request_write(const char *service, uint32_t len, uint8_t *ret);

/* The status of a HealthCheckResponse; one that is not known here is UNKNOWN. 0, or -EBADMSG: it is
 * none. */
int tern__health_response_read(const void *bytes, size_t len, uint32_t *ret_status);

/* For people. Static. */
const char *tern__health_status_name(uint32_t status);

#endif
