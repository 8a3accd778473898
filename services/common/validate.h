/* Checks of the fields of requests. Each returns TERN_OK, or INVALID_ARGUMENT with a message that
 * begins with the field's name ("route.pickup.latitude: 91 is outside -90..90"). A caller returns
 * at the first one that fails. Pure. */
#ifndef DRONE_COMMON_VALIDATE_H
#define DRONE_COMMON_VALIDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "common/reply.h"
#include <drone/common/v1/common.pb-c.h>

/* Whether `s` is valid UTF-8 without control characters. */
bool drone_text_is_printable(const char *s);

/* Makes a text that comes from elsewhere so: each byte that does not belong there becomes "?". */
void drone_text_clean(char *s);

/* An id: 1..DRONE_ID_BYTES_MAX characters of A-Z a-z 0-9 . _ : / - */
tern_code drone_check_id(drone_reply *reply, const char *field, const char *value);

/* An id, or empty. */
tern_code drone_check_id_or_empty(drone_reply *reply, const char *field, const char *value);

/* Printable UTF-8 of at most `bytes_max` bytes; may be empty. */
tern_code drone_check_text(drone_reply *reply, const char *field, const char *value,
                           size_t bytes_max);

/* A whole number, min..max. */
tern_code drone_check_int(drone_reply *reply, const char *field, int64_t value, int64_t min,
                          int64_t max);

/* A value of an enum that is known and not 0. */
tern_code drone_check_enum(drone_reply *reply, const char *field, int value,
                           const ProtobufCEnumDescriptor *type);

/* The messages of drone.common.v1; NULL (absent) is refused. `field` is the path of the message. */
tern_code drone_check_location(drone_reply *reply, const char *field,
                               const Drone__Common__V1__Location *value);
tern_code drone_check_package(drone_reply *reply, const char *field,
                              const Drone__Common__V1__Package *value);
tern_code drone_check_route(drone_reply *reply, const char *field,
                            const Drone__Common__V1__Route *value);
tern_code drone_check_owner(drone_reply *reply, const char *field,
                            const Drone__Common__V1__Owner *value);
tern_code drone_check_change(drone_reply *reply, const char *field,
                             const Drone__Common__V1__Change *value);
tern_code drone_check_page_size(drone_reply *reply, const char *field, int32_t value);

#endif
