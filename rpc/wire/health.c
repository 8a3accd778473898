/* See health.h. */
#include "wire/health.h"

#include <errno.h>
#include <string.h>

#include "wire/protobuf.h"

/* string service = 1; ServingStatus status = 1; */
#define SERVICE_KEY (1 << 3 | TERN__PB_BYTES)
#define STATUS_NUMBER 1

size_t tern__health_request_write(const char *service, uint32_t len, uint8_t *ret)
{
    size_t n = 0;
    if (len == 0)
        return 0; /* proto3: what is empty is not written */
    ret[n++] = SERVICE_KEY;
    uint32_t rest = len;
    for (; rest >= 0x80; rest >>= 7)
        ret[n++] = (uint8_t)(rest | 0x80);
    ret[n++] = (uint8_t)rest;
    memcpy(ret + n, service, len);
    return n + len;
}

int tern__health_response_read(const void *bytes, size_t len, uint32_t *ret_status)
{
    tern__pb_input in = tern__pb_begin(bytes, len);
    uint64_t status = TERN__HEALTH_UNKNOWN;
    while (tern__pb_left(&in)) {
        uint32_t number;
        unsigned type;
        if (tern__pb_key(&in, &number, &type))
            return -EBADMSG;
        int rv = number == STATUS_NUMBER && type == TERN__PB_VARINT ? tern__pb_varint(&in, &status)
                                                                    : tern__pb_skip(&in, type);
        if (rv)
            return rv;
    }
    *ret_status = status <= TERN__HEALTH_SERVICE_UNKNOWN ? (uint32_t)status : TERN__HEALTH_UNKNOWN;
    return 0;
}

const char *tern__health_status_name(uint32_t status)
{
    static const char *const names[] = { "UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN" };
    return names[status <= TERN__HEALTH_SERVICE_UNKNOWN ? status : TERN__HEALTH_UNKNOWN];
}
