/* Service configs from text, for tests: parsed whole, or refused with the message that is wanted.
 */
#ifndef TERN__TESTS_CONFIG_TEXT_H
#define TERN__TESTS_CONFIG_TEXT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/service_config.h"

/* Owned by the caller. */
static inline tern__service_config *config_of(const char *text)
{
    tern__service_config *c = NULL;
    tern_status st;
    tern_code code = tern__service_config_parse(text, strlen(text), &c, &st);
    if (code != TERN_OK)
        fail_msg("%s\nrefused: %s", text, st.message);
    return c;
}

static inline void refused(const char *text, const char *message)
{
    tern__service_config *c = NULL;
    tern_status st = { .code = TERN_OK };
    tern_code code = tern__service_config_parse(text, strlen(text), &c, &st);
    if (code != TERN_INVALID_ARGUMENT || st.code != code || c || strcmp(st.message, message) != 0)
        fail_msg("%s\nis %d: %s\n   not: %s", text, (int)code, code ? st.message : "accepted",
                 message);
    assert_int_equal(tern__service_config_parse(text, strlen(text), &c, NULL), code);
}

static inline const tern__method_config *method_of(const tern__service_config *c, const char *path)
{
    return tern__service_config_method(c, path, strlen(path));
}

#endif
