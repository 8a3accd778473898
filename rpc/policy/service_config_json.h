/* Reads typed values out of JSON as proto3 maps them (protobuf.dev, "ProtoJSON"), and says where
 * the fault is when they are not what they must be: "methodConfig[2].retryPolicy.maxAttempts: must
 * be above 1, is 1". The only part of the runtime that knows the JSON library.
 *
 * A reader remembers the first fault; after it every function does nothing and returns its default,
 * so that what is read need be checked once, at the end. null is the same as absent, everywhere but
 * in an array. */
#ifndef TERN__POLICY_SERVICE_CONFIG_JSON_H
#define TERN__POLICY_SERVICE_CONFIG_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/export.h>
#include <tern/status.h>

#include "policy/code_set.h"

struct json_t;
typedef struct json_t tern__json;

#define TERN__JSON_PATH_MAX 512u
#define TERN__JSON_ASKED_MAX 256u  /* names of fields that are asked for; beyond, nothing is told */
#define TERN__JSON_OPAQUE_MAX 16u  /* objects that somebody else reads */
#define TERN__JSON_IGNORED_MAX 300u /* bytes of the list of what is ignored */

typedef struct tern__json_reader {
    tern__json *root;
    tern_code code; /* TERN_OK: no fault yet */
    tern_status *err;
    size_t path_len;
    char path[TERN__JSON_PATH_MAX]; /* of the object that is being read */
    const char *asked[TERN__JSON_ASKED_MAX];
    const tern__json *opaque[TERN__JSON_OPAQUE_MAX];
    uint32_t n_asked, n_opaque;
} tern__json_reader;

/* What a number or a duration may be. */
typedef struct tern__json_bounds {
    int64_t min, max, dflt; /* dflt: when it is absent */
    bool required;
} tern__json_bounds;

typedef struct tern__json_real_bounds {
    double min, dflt;
    bool above; /* min itself is too little */
    bool required;
} tern__json_real_bounds;

/* Parses text[0..len). NULL: a fault, which is in *err (may be NULL) already; the reader must be
 * closed all the same. The root is an object, or an array. */
tern__json *tern__json_open(tern__json_reader *r, const char *text, size_t len, tern_status *err);
tern__json *tern__json_open_array(tern__json_reader *r, const char *text, size_t len,
                                  tern_status *err);
/* Frees what was parsed; strings that were handed out are gone. The fault's code, or TERN_OK. */
tern_code tern__json_close(tern__json_reader *r);

/* A fault of field `key` of the object that is being read (NULL: of that itself). */
void tern__json_fault(tern__json_reader *r, const char *key, const char *fmt, ...)
    TERN_PRINTF(3, 4);
void tern__json_out_of_memory(tern__json_reader *r);

/* Goes to a field or an element for what is read next, and back to where it was. */
size_t tern__json_enter(tern__json_reader *r, const char *key);
size_t tern__json_enter_at(tern__json_reader *r, size_t index);
void tern__json_leave(tern__json_reader *r, size_t before);

/* Whether the field is there, and not null. */
bool tern__json_has(tern__json_reader *r, tern__json *obj, const char *key);
/* A field that must be an object, or an array, if it is there. NULL: it is not. */
tern__json *tern__json_object_of(tern__json_reader *r, tern__json *obj, const char *key);
tern__json *tern__json_array_of(tern__json_reader *r, tern__json *obj, const char *key);
/* Elements of an array, 0 for NULL; one of them, which must be an object, or a string. */
size_t tern__json_len(tern__json *array);
tern__json *tern__json_element(tern__json_reader *r, tern__json *array, size_t index);
const char *tern__json_string_at(tern__json_reader *r, tern__json *array, size_t index);
/* The key of an object's only field; NULL: it has another number of fields. */
const char *tern__json_only_key(tern__json *obj);
/* What it says, as text without spaces, to be freed; NULL: out of memory, which is a fault. */
char *tern__json_text(tern__json_reader *r, tern__json *obj);
/* How many fields an object has, 0 for NULL; their names, one after the other (from NULL to NULL),
 * in the order of the text. */
size_t tern__json_fields(tern__json *obj);
const char *tern__json_next_key(tern__json_reader *r, tern__json *obj, const char *key);
/* A fault if the object has a field that is not among the names, whose list ends with NULL. */
void tern__json_no_others(tern__json_reader *r, tern__json *obj, const char *const names[]);

/* Its fields are nobody's business but somebody else's. */
void tern__json_opaque(tern__json_reader *r, const tern__json *obj);
/* Below `root`, the fields whose names nobody has asked for: their paths, in one line, cut if there
 * are many; "" if there are none. Of lists of policies, of which the first that is known counts,
 * the others are left out. */
void tern__json_ignored(tern__json_reader *r, tern__json *root, char ret[TERN__JSON_IGNORED_MAX]);

bool tern__json_bool(tern__json_reader *r, tern__json *obj, const char *key, bool dflt);
/* "" and absent are the same in proto3: NULL is never returned. Borrowed until close. */
const char *tern__json_string(tern__json_reader *r, tern__json *obj, const char *key);
/* A whole number, in digits or in a string of them. */
int64_t tern__json_int(tern__json_reader *r, tern__json *obj, const char *key,
                       tern__json_bounds bounds);
double tern__json_real(tern__json_reader *r, tern__json *obj, const char *key,
                       tern__json_real_bounds bounds);
/* "1.5s", as ns; what does not fit is INT64_MAX. Bounds are ns, too. */
int64_t tern__json_duration(tern__json_reader *r, tern__json *obj, const char *key,
                            tern__json_bounds bounds);
/* An array of codes, by number or by name. */
tern__code_set tern__json_codes(tern__json_reader *r, tern__json *obj, const char *key,
                                bool required);

#endif
