/* Choices among service configs (gRFC A2, "Canarying Changes"), as a DNS record has them:
 *
 *     [{"clientLanguage": ["c"], "percentage": 10, "clientHostname": ["host1"],
 *       "serviceConfig": {...}}, {"serviceConfig": {...}}]
 *
 * The first choice whose criteria match is taken; one that is absent or empty matches everybody.
 * Here, unlike in a config, a field that is not known makes the whole list invalid: it may be a
 * criterion that was meant to keep this client out. The criteria of every choice are checked, but
 * only the config that is chosen (A21). */
#include <string.h>
#include <strings.h>

#include "policy/service_config_parts.h"

#define LANGUAGE "c"

/* Whether a list of strings is absent, empty, or has `wanted` (NULL: nothing is it) in it. */
static bool list_matches(tern__json_reader *r, tern__json *choice, const char *key,
                         const char *wanted, int (*differ)(const char *, const char *))
{
    tern__json *list = tern__json_array_of(r, choice, key);
    bool found = tern__json_len(list) == 0;
    size_t before = tern__json_enter(r, key);
    for (size_t i = 0; i < tern__json_len(list); i++) {
        size_t here = tern__json_enter_at(r, i);
        const char *s = tern__json_string_at(r, list, i);
        found |= wanted && differ(s, wanted) == 0;
        tern__json_leave(r, here);
    }
    tern__json_leave(r, before);
    return found;
}

/* The config of this choice if it matches. */
static tern__json *read_choice(tern__json_reader *r, tern__json *choice,
                               const tern__config_client *who)
{
    static const char *const fields[] = { "clientLanguage", "percentage", "clientHostname",
                                          "serviceConfig", NULL };
    tern__json_no_others(r, choice, fields);
    bool matches = list_matches(r, choice, "clientLanguage", LANGUAGE, strcasecmp);
    matches &= list_matches(r, choice, "clientHostname", who->hostname, strcmp);
    const tern__json_bounds percent = { .max = 100, .dflt = 100 };
    matches &= who->draw < tern__json_int(r, choice, "percentage", percent);
    tern__json *config = tern__json_object_of(r, choice, "serviceConfig");
    if (!config)
        tern__json_fault(r, "serviceConfig", "is missing, and required");
    return matches ? config : NULL;
}

tern__json *tern__service_config_choice(tern__json_reader *r, tern__json *choices,
                                        const tern__config_client *who)
{
    tern__json *chosen = NULL;
    size_t chosen_at = 0;
    for (size_t i = 0; i < tern__json_len(choices) && r->code == TERN_OK; i++) {
        size_t before = tern__json_enter_at(r, i);
        tern__json *choice = tern__json_element(r, choices, i);
        tern__json *config = choice ? read_choice(r, choice, who) : NULL;
        if (config && !chosen) {
            chosen = config;
            chosen_at = i;
        }
        tern__json_leave(r, before);
    }
    if (!chosen || r->code != TERN_OK)
        return NULL;
    (void)tern__json_enter_at(r, chosen_at);
    (void)tern__json_enter(r, "serviceConfig");
    return chosen;
}
