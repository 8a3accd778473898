/* See fault_config.h. JSON becomes options first, so that both are checked by the same rules. */
#include "io/fault_config.h"

#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "policy/service_config_json.h"

static tern_code invalid(tern_status *err, const char *what, uint32_t value, const char *rule)
{
    return tern_status_set(err, TERN_INVALID_ARGUMENT, "%s is %u, %s", what, value, rule);
}

static tern_code check_share(tern_fault_share s, const char *what, tern_status *err)
{
    if (s.denominator != 0 && s.denominator != 100 && s.denominator != 10000 &&
        s.denominator != 1000000)
        return tern_status_set(err, TERN_INVALID_ARGUMENT,
                               "the denominator of %s is %u, it must be 100, 10000 or 1000000",
                               what, s.denominator);
    uint32_t of = s.denominator ? s.denominator : 100;
    if (s.numerator > of)
        return tern_status_set(err, TERN_INVALID_ARGUMENT, "%s is %u of %u: more than all", what,
                               s.numerator, of);
    return TERN_OK;
}

static tern_code check(const tern_fault_options *o, tern_status *err)
{
    if (o->size != sizeof *o)
        return tern_status_set(err, TERN_INVALID_ARGUMENT,
                               "tern_fault_options.size is %zu, this library's is %zu: begin with "
                               "TERN_FAULT_OPTIONS_INIT",
                               o->size, sizeof *o);
    if ((unsigned)o->delay > TERN_FAULT_BY_HEADER)
        return invalid(err, "delay", (unsigned)o->delay, "which is no value of tern_fault_source");
    if ((unsigned)o->abort > TERN_FAULT_BY_HEADER)
        return invalid(err, "abort", (unsigned)o->abort, "which is no value of tern_fault_source");
    if ((unsigned)o->abort_code > TERN_UNAUTHENTICATED)
        return invalid(err, "abort_code", (unsigned)o->abort_code, "which is no code of gRPC");
    tern_code code = check_share(o->delay_share, "delay_share", err);
    return code == TERN_OK ? check_share(o->abort_share, "abort_share", err) : code;
}

static tern__fault_kind kind_of(tern_fault_source s)
{
    static const tern__fault_kind kinds[] = { TERN__FAULT_OFF, TERN__FAULT_FIXED,
                                              TERN__FAULT_BY_HEADER };
    return kinds[s];
}

static tern__fault_percentage percentage_of(tern_fault_share s)
{
    return (tern__fault_percentage){ s.numerator, s.denominator ? s.denominator : 100 };
}

tern_code tern__fault_config_init(tern__fault_config *ret, const tern_fault_options *o,
                                  tern_status *reterr)
{
    static const tern_fault_options none = TERN_FAULT_OPTIONS_INIT;
    o = o ? o : &none;
    tern_code code = check(o, reterr);
    if (code != TERN_OK)
        return code;
    size_t len = o->method ? strlen(o->method) + 1 : 0;
    char *method = len ? malloc(len) : NULL;
    if (o->method && !method)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                               "out of memory for the options of faults");
    if (method)
        memcpy(method, o->method, len);
    *ret = (tern__fault_config){
        .opt = { .delay_kind = kind_of(o->delay),
                 .abort_kind = kind_of(o->abort),
                 .delay_ns = tern__ms_to_ns(o->delay_ms),
                 .abort_code = o->abort_code,
                 .delay_percentage = percentage_of(o->delay_share),
                 .abort_percentage = percentage_of(o->abort_share),
                 .active_max = o->active_max ? o->active_max : UINT32_MAX },
        .method = method,
    };
    return TERN_OK;
}

void tern__fault_config_deinit(tern__fault_config *c)
{
    free(c->method);
    c->method = NULL;
}

bool tern__fault_config_covers(const tern__fault_config *c, const char *path)
{
    size_t len = c->method ? strlen(c->method) : 0;
    if (!c->method || strcmp(c->method, path) == 0)
        return true;
    return c->method[0] != '/' && path[0] == '/' && strncmp(path + 1, c->method, len) == 0 &&
           path[1 + len] == '/';
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void read_share(tern__json_reader *r, tern__json *o, tern_fault_share *ret)
{
    static const char *const fields[] = { "numerator", "denominator", NULL };
    tern__json *p = tern__json_object_of(r, o, "percentage");
    if (!p)
        return;
    size_t before = tern__json_enter(r, "percentage");
    tern__json_no_others(r, p, fields);
    const char *of = tern__json_string(r, p, "denominator");
    if (strcmp(of, "") == 0 || strcmp(of, "HUNDRED") == 0)
        ret->denominator = 100;
    else if (strcmp(of, "TEN_THOUSAND") == 0)
        ret->denominator = 10000;
    else if (strcmp(of, "MILLION") == 0)
        ret->denominator = 1000000;
    else
        tern__json_fault(r, "denominator", "must be HUNDRED, TEN_THOUSAND or MILLION, is \"%.40s\"",
                         of);
    ret->numerator =
        (uint32_t)tern__json_int(r, p, "numerator", (tern__json_bounds){ .max = ret->denominator });
    tern__json_leave(r, before);
}

/* How many of the fields are there: exactly one must be. */
static void exactly_one(tern__json_reader *r, tern__json *o, const char *const names[])
{
    int n = 0;
    for (const char *const *name = names; *name; name++)
        n += tern__json_has(r, o, *name);
    if (n != 1)
        tern__json_fault(r, NULL, "must have %sone of the fields that say what happens",
                         n ? "only " : "");
}

static void read_delay(tern__json_reader *r, tern__json *root, tern_fault_options *ret)
{
    static const char *const fields[] = { "fixedDelay", "headerDelay", "percentage", NULL };
    static const char *const kinds[] = { "fixedDelay", "headerDelay", NULL };
    tern__json *o = tern__json_object_of(r, root, "delay");
    if (!o)
        return;
    size_t before = tern__json_enter(r, "delay");
    tern__json_no_others(r, o, fields);
    exactly_one(r, o, kinds);
    ret->delay = tern__json_object_of(r, o, "headerDelay") ? TERN_FAULT_BY_HEADER
                                                           : TERN_FAULT_FIXED;
    if (ret->delay == TERN_FAULT_FIXED) {
        const tern__json_bounds bounds = { .min = 1, .max = UINT32_MAX * TERN__NS_PER_MS };
        int64_t ns = tern__json_duration(r, o, "fixedDelay", bounds);
        ret->delay_ms = (uint32_t)((ns + TERN__NS_PER_MS - 1) / TERN__NS_PER_MS);
    }
    read_share(r, o, &ret->delay_share);
    tern__json_leave(r, before);
}

static void read_abort(tern__json_reader *r, tern__json *root, tern_fault_options *ret)
{
    static const char *const fields[] = { "httpStatus", "grpcStatus", "headerAbort", "percentage",
                                          NULL };
    static const char *const kinds[] = { "httpStatus", "grpcStatus", "headerAbort", NULL };
    tern__json *o = tern__json_object_of(r, root, "abort");
    if (!o)
        return;
    size_t before = tern__json_enter(r, "abort");
    tern__json_no_others(r, o, fields);
    exactly_one(r, o, kinds);
    ret->abort = tern__json_object_of(r, o, "headerAbort") ? TERN_FAULT_BY_HEADER
                                                           : TERN_FAULT_FIXED;
    if (tern__json_has(r, o, "httpStatus")) {
        const tern__json_bounds bounds = { .min = 200, .max = 599 };
        ret->abort_code =
            tern__fault_code_of_http((uint32_t)tern__json_int(r, o, "httpStatus", bounds));
    } else {
        const tern__json_bounds bounds = { .max = TERN_UNAUTHENTICATED };
        ret->abort_code = (tern_code)tern__json_int(r, o, "grpcStatus", bounds);
    }
    read_share(r, o, &ret->abort_share);
    tern__json_leave(r, before);
}

tern_code tern__fault_config_parse(tern__fault_config *ret, const char *json, size_t len,
                                   tern_status *reterr)
{
    static const char *const fields[] = { "delay", "abort", "maxActiveFaults", "method", NULL };
    tern_fault_options o = TERN_FAULT_OPTIONS_INIT;
    tern__fault_config c = { .method = NULL };
    tern__json_reader r;
    bool made = false;
    tern__json *root = tern__json_open(&r, json, len, reterr);
    if (root) {
        tern__json_no_others(&r, root, fields);
        read_delay(&r, root, &o);
        read_abort(&r, root, &o);
        const tern__json_bounds any = { .max = UINT32_MAX - 1 };
        uint32_t max = (uint32_t)tern__json_int(&r, root, "maxActiveFaults", any);
        const char *method = tern__json_string(&r, root, "method");
        o.method = *method ? method : NULL;
        if (r.code == TERN_OK) {
            tern_code code = tern__fault_config_init(&c, &o, reterr);
            made = code == TERN_OK;
            if (!made)
                r.code = code; /* the words are in *reterr */
        }
        if (tern__json_has(&r, root, "maxActiveFaults"))
            c.opt.active_max = max; /* 0, said in so many words, is none at all */
    }
    tern_code code = tern__json_close(&r);
    if (code == TERN_OK && made)
        *ret = c;
    else
        tern__fault_config_deinit(&c);
    return code;
}
