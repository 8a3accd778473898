/* See service_config_json.h.
 *
 * jansson is a good parser of JSON with two habits that a library must guard against. It recurses
 * as deep as its input nests (to 2,048): the nesting is counted before it sees the text. And it
 * does not look whether the buffer in which it collects a token could be made larger: out of
 * memory, a long name or number would be cut without a word. So the document is given to it inside
 * an array, behind a string as long as itself: once that string has come through whole, no token
 * makes the buffer grow any more. What an allocation that fails elsewhere makes of a token is an
 * error.
 *
 * (jansson seeds the hash of its objects from the system once in a process, at the first object. It
 * is left to: a seed of our own would make the hashes of the whole program predictable.) */
#include "policy/service_config_json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include <tern/limits.h>

#include "base/time.h"
#include "base/utf8.h"

/* Bytes of a string of the user's, and of jansson's own words, that are shown in a fault. */
#define QUOTE_BYTES 60u
#define WORDS_BYTES 150u
/* Seconds of the longest google.protobuf.Duration: 10,000 years. */
#define DURATION_SECONDS_MAX INT64_C(315576000000)

/* --- faults and places ------------------------------------------------------------------------ */

static void set_error(tern__json_reader *r, tern_code code, const char *place, const char *what)
{
    r->code = code;
    if (!r->err)
        return;
    r->err->code = code;
    (void)snprintf(r->err->message, sizeof r->err->message, "%s%s%s", place, *place ? ": " : "",
                   what);
}

void tern__json_fault(tern__json_reader *r, const char *key, const char *fmt, ...)
{
    if (r->code != TERN_OK)
        return;
    size_t before = r->path_len;
    char what[384];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (key)
        (void)tern__json_enter(r, key);
    set_error(r, TERN_INVALID_ARGUMENT, r->path, what);
    tern__json_leave(r, before);
}

void tern__json_out_of_memory(tern__json_reader *r)
{
    if (r->code == TERN_OK)
        set_error(r, TERN_RESOURCE_EXHAUSTED, "", "out of memory for a service config");
}

/* A path that has become too long is cut at its end. */
static void extend(tern__json_reader *r, int written)
{
    size_t room = sizeof r->path - r->path_len;
    if (written > 0)
        r->path_len += (size_t)written < room ? (size_t)written : room - 1;
}

size_t tern__json_enter(tern__json_reader *r, const char *key)
{
    size_t before = r->path_len;
    extend(r, snprintf(r->path + before, sizeof r->path - before, "%s%s", before ? "." : "", key));
    return before;
}

size_t tern__json_enter_at(tern__json_reader *r, size_t index)
{
    size_t before = r->path_len;
    extend(r, snprintf(r->path + before, sizeof r->path - before, "[%zu]", index));
    return before;
}

void tern__json_leave(tern__json_reader *r, size_t before)
{
    r->path_len = before;
    r->path[before] = '\0';
}

/* At most `most` bytes of `s` as they may stand in a message: whole characters, nothing that a
 * terminal obeys. `out` has 4 bytes more. */
static const char *quote(const char *s, size_t most, char *out)
{
    size_t len = strnlen(s, most + 1);
    bool cut = len > most;
    len = cut ? tern__utf8_trim(s, most) : len;
    for (size_t i = 0; i < len; i++)
        out[i] = (unsigned char)s[i] < 0x20 || s[i] == 0x7f ? '?' : s[i];
    memcpy(out + len, cut ? "..." : "", cut ? 4 : 1);
    return out;
}

/* --- parsing ---------------------------------------------------------------------------------- */

/* What jansson is fed: ["pad", document]. */
typedef struct feed {
    const char *text;
    size_t len, at; /* at: in the whole, in front of which there are head_len bytes */
    size_t head_len;
} feed;

/* Byte `at` of the whole. */
static char feed_byte(const feed *f, size_t at)
{
    if (at < f->head_len) {
        if (at < 2)
            return at ? '"' : '[';
        return at + 2 < f->head_len ? 'p' : at + 1 < f->head_len ? '"' : ',';
    }
    at -= f->head_len;
    return at < f->len ? f->text[at] : ']';
}

static size_t feed_next(void *buffer, size_t room, void *ctx)
{
    feed *f = ctx;
    size_t n = 0, end = f->head_len + f->len + 1;
    for (char *out = buffer; n < room && f->at < end; n++)
        out[n] = feed_byte(f, f->at++);
    return n;
}

/* Nesting of text[0..len), brackets within strings aside. */
static size_t depth_of(const char *text, size_t len)
{
    size_t depth = 0, deepest = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            deepest = ++depth > deepest ? depth : deepest;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return deepest;
}

/* The document alone is parsed once more for its error, whose place the wrapping displaces. */
static void parse_failed(tern__json_reader *r, const char *text, size_t len)
{
    json_error_t e;
    char what[WORDS_BYTES + 80], shown[WORDS_BYTES + 4];
    json_t *again = json_loadb(text, len, JSON_REJECT_DUPLICATES, &e);
    if (again || !e.text[0] || json_error_code(&e) == json_error_out_of_memory) {
        json_decref(again);
        tern__json_out_of_memory(r);
        return;
    }
    (void)snprintf(what, sizeof what, "line %d, column %d: not valid JSON: %s", e.line, e.column,
                   quote(e.text, WORDS_BYTES, shown));
    set_error(r, TERN_INVALID_ARGUMENT, "", what);
}

/* The array of two, when everything came through whole. */
static json_t *parse(const char *text, size_t len, json_error_t *e)
{
    feed f = { .text = text, .len = len, .head_len = len + 4 };
    memset(e, 0, sizeof *e); /* jansson sets no code where it finds no fault */
    json_t *both = json_load_callback(feed_next, &f, JSON_REJECT_DUPLICATES, e);
    if (both && json_is_array(both) && json_array_size(both) == 2 &&
        json_string_length(json_array_get(both, 0)) == len)
        return both;
    json_decref(both);
    return NULL;
}

/* The root, of whatever kind. */
static tern__json *open_any(tern__json_reader *r, const char *text, size_t len, tern_status *err)
{
    *r = (tern__json_reader){ .err = err };
    if (len > TERN_LIMIT_SERVICE_CONFIG_BYTES) {
        tern__json_fault(r, NULL, "%zu bytes are more than TERN_LIMIT_SERVICE_CONFIG_BYTES (%u)",
                         len, TERN_LIMIT_SERVICE_CONFIG_BYTES);
        return NULL;
    }
    size_t depth = depth_of(text, len);
    if (depth > TERN_LIMIT_SERVICE_CONFIG_DEPTH) {
        tern__json_fault(r, NULL,
                         "it nests %zu levels deep, more than TERN_LIMIT_SERVICE_CONFIG_DEPTH (%u)",
                         depth, TERN_LIMIT_SERVICE_CONFIG_DEPTH);
        return NULL;
    }
    json_error_t e;
    r->root = parse(text, len, &e);
    if (!r->root)
        parse_failed(r, text, len);
    return json_array_get(r->root, 1);
}

tern__json *tern__json_open(tern__json_reader *r, const char *text, size_t len, tern_status *err)
{
    tern__json *document = open_any(r, text, len, err);
    if (!document || json_is_object(document))
        return document;
    tern__json_fault(r, NULL, "a service config must be a JSON object");
    return NULL;
}

tern__json *tern__json_open_array(tern__json_reader *r, const char *text, size_t len,
                                  tern_status *err)
{
    tern__json *document = open_any(r, text, len, err);
    if (!document || json_is_array(document))
        return document;
    tern__json_fault(r, NULL, "choices of service configs must be a JSON array");
    return NULL;
}

tern_code tern__json_close(tern__json_reader *r)
{
    json_decref(r->root);
    r->root = NULL;
    return r->code;
}

/* --- fields ----------------------------------------------------------------------------------- */

static bool was_asked(const tern__json_reader *r, const char *key)
{
    for (uint32_t i = 0; i < r->n_asked; i++)
        if (r->asked[i] == key || strcmp(r->asked[i], key) == 0)
            return true;
    return r->n_asked == TERN__JSON_ASKED_MAX;
}

/* `key` lives as long as the document. */
static void ask(tern__json_reader *r, const char *key)
{
    if (!was_asked(r, key))
        r->asked[r->n_asked++] = key;
}

/* The field, or NULL: absent, null, or there was a fault before. */
static tern__json *field(tern__json_reader *r, tern__json *obj, const char *key)
{
    ask(r, key);
    tern__json *v = r->code == TERN_OK ? json_object_get(obj, key) : NULL;
    return json_is_null(v) ? NULL : v;
}

static tern__json *wanted(tern__json_reader *r, tern__json *obj, const char *key, bool required)
{
    tern__json *v = field(r, obj, key);
    if (!v && required)
        tern__json_fault(r, key, "is missing, and required");
    return v;
}

bool tern__json_has(tern__json_reader *r, tern__json *obj, const char *key)
{
    return field(r, obj, key) != NULL;
}

tern__json *tern__json_object_of(tern__json_reader *r, tern__json *obj, const char *key)
{
    tern__json *v = field(r, obj, key);
    if (!v || json_is_object(v))
        return v;
    tern__json_fault(r, key, "must be an object");
    return NULL;
}

tern__json *tern__json_array_of(tern__json_reader *r, tern__json *obj, const char *key)
{
    tern__json *v = field(r, obj, key);
    if (!v || json_is_array(v))
        return v;
    tern__json_fault(r, key, "must be an array");
    return NULL;
}

size_t tern__json_len(tern__json *array)
{
    return json_array_size(array);
}

tern__json *tern__json_element(tern__json_reader *r, tern__json *array, size_t index)
{
    tern__json *v = r->code == TERN_OK ? json_array_get(array, index) : NULL;
    if (!v || json_is_object(v))
        return v;
    tern__json_fault(r, NULL, "must be an object");
    return NULL;
}

const char *tern__json_string_at(tern__json_reader *r, tern__json *array, size_t index)
{
    tern__json *v = r->code == TERN_OK ? json_array_get(array, index) : NULL;
    if (v && !json_is_string(v))
        tern__json_fault(r, NULL, "must be a string");
    return json_is_string(v) ? json_string_value(v) : "";
}

char *tern__json_text(tern__json_reader *r, tern__json *obj)
{
    char *text = json_dumps(obj, JSON_COMPACT);
    if (!text)
        tern__json_out_of_memory(r);
    return text;
}

void tern__json_no_others(tern__json_reader *r, tern__json *obj, const char *const names[])
{
    char shown[QUOTE_BYTES + 4];
    for (void *at = json_object_iter(obj); at; at = json_object_iter_next(obj, at)) {
        const char *key = json_object_iter_key(at);
        size_t i = 0;
        while (names[i] && strcmp(names[i], key) != 0)
            i++;
        if (!names[i])
            tern__json_fault(r, NULL, "\"%s\" is none of its fields",
                             quote(key, QUOTE_BYTES, shown));
    }
}

const char *tern__json_only_key(tern__json *obj)
{
    if (json_object_size(obj) != 1)
        return NULL;
    return json_object_iter_key(json_object_iter(obj));
}

size_t tern__json_fields(tern__json *obj)
{
    return json_object_size(obj);
}

const char *tern__json_next_key(tern__json_reader *r, tern__json *obj, const char *key)
{
    void *at = key ? json_object_iter_next(obj, json_object_iter_at(obj, key))
                   : json_object_iter(obj);
    if (at)
        ask(r, json_object_iter_key(at));
    return json_object_iter_key(at);
}

/* --- what nobody asked for -------------------------------------------------------------------- */

void tern__json_opaque(tern__json_reader *r, const tern__json *obj)
{
    if (r->n_opaque < TERN__JSON_OPAQUE_MAX)
        r->opaque[r->n_opaque++] = obj;
}

static bool is_opaque(const tern__json_reader *r, const tern__json *obj)
{
    for (uint32_t i = 0; i < r->n_opaque; i++)
        if (r->opaque[i] == obj)
            return true;
    return r->n_opaque == TERN__JSON_OPAQUE_MAX;
}

static void tell_ignored(tern__json_reader *r, const char *key, char *out)
{
    char shown[QUOTE_BYTES + 4];
    size_t used = strlen(out), before = tern__json_enter(r, quote(key, QUOTE_BYTES, shown));
    size_t room = TERN__JSON_IGNORED_MAX - used, need = strlen(r->path) + (used ? 2 : 0);
    if (need + sizeof ", ..." <= room)
        (void)snprintf(out + used, room, "%s%s", used ? ", " : "", r->path);
    else if (used && strcmp(out + used - 3, "...") != 0)
        (void)snprintf(out + used, room, ", ...");
    tern__json_leave(r, before);
}

/* Whether the field `key` is a list of policies. */
static bool lists_policies(const char *key)
{
    return strcmp(key, "loadBalancingConfig") == 0 || strcmp(key, "childPolicy") == 0;
}

/* Arrays nest as deep as TERN_LIMIT_SERVICE_CONFIG_DEPTH. */
static void look_through(tern__json_reader *r, tern__json *v, bool policies, char *out)
{
    json_t *element;
    size_t i;
    if (json_is_array(v))
        json_array_foreach(v, i, element) {
            size_t before = tern__json_enter_at(r, i);
            look_through(r, element, policies, out);
            tern__json_leave(r, before);
        }
    if (!json_is_object(v) || is_opaque(r, v))
        return;
    for (void *at = json_object_iter(v); at; at = json_object_iter_next(v, at)) {
        const char *key = json_object_iter_key(at);
        if (!was_asked(r, key)) {
            if (!policies)
                tell_ignored(r, key, out);
            continue;
        }
        size_t before = tern__json_enter(r, key);
        look_through(r, json_object_iter_value(at), lists_policies(key), out);
        tern__json_leave(r, before);
    }
}

void tern__json_ignored(tern__json_reader *r, tern__json *root, char ret[TERN__JSON_IGNORED_MAX])
{
    ret[0] = '\0';
    look_through(r, root, false, ret);
}

bool tern__json_bool(tern__json_reader *r, tern__json *obj, const char *key, bool dflt)
{
    tern__json *v = field(r, obj, key);
    if (!v)
        return dflt;
    if (!json_is_boolean(v))
        tern__json_fault(r, key, "must be true or false");
    return json_is_true(v);
}

const char *tern__json_string(tern__json_reader *r, tern__json *obj, const char *key)
{
    tern__json *v = field(r, obj, key);
    if (v && !json_is_string(v))
        tern__json_fault(r, key, "must be a string");
    return json_is_string(v) ? json_string_value(v) : "";
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* A number that came as one, or in a string, which ProtoJSON has the same grammar for. */
typedef struct number {
    enum { NO_NUMBER, WHOLE, REAL } kind;
    int64_t whole;
    double real;
} number;

static number number_in(tern__json *v)
{
    if (json_is_integer(v))
        return (number){ WHOLE, json_integer_value(v), (double)json_integer_value(v) };
    if (!json_is_real(v))
        return (number){ .kind = NO_NUMBER };
    double d = json_real_value(v);
    /* 1e3 and 5.0 are whole numbers, too. Beyond 2^53 a double no longer says which. */
    if (d >= -9007199254740992.0 && d <= 9007199254740992.0 && (double)(int64_t)d == d)
        return (number){ WHOLE, (int64_t)d, d };
    return (number){ REAL, 0, d };
}

/* Whether s is a number as JSON writes it. */
static bool number_like(const char *s)
{
    s += *s == '-';
    size_t whole = strspn(s, "0123456789");
    if (whole == 0 || (whole > 1 && *s == '0'))
        return false;
    s += whole;
    if (*s == '.') {
        size_t fraction = strspn(s + 1, "0123456789");
        if (fraction == 0)
            return false;
        s += 1 + fraction;
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '+' || *s == '-';
        size_t exponent = strspn(s, "0123456789");
        if (exponent == 0)
            return false;
        s += exponent;
    }
    return *s == '\0';
}

static number number_of(tern__json_reader *r, tern__json *v)
{
    const char *s = json_string_value(v);
    if (!s)
        return number_in(v);
    if (!number_like(s))
        return (number){ .kind = NO_NUMBER };
    json_error_t e;
    json_t *both = parse(s, json_string_length(v), &e);
    if (!both && json_error_code(&e) != json_error_numeric_overflow)
        tern__json_out_of_memory(r);
    number n = number_in(json_array_get(both, 1));
    json_decref(both);
    return n;
}

int64_t tern__json_int(tern__json_reader *r, tern__json *obj, const char *key,
                       tern__json_bounds bounds)
{
    tern__json *v = wanted(r, obj, key, bounds.required);
    if (!v)
        return bounds.dflt;
    number n = number_of(r, v);
    if (n.kind != WHOLE)
        tern__json_fault(r, key, "must be a whole number");
    else if (n.whole < bounds.min && bounds.min == 0)
        tern__json_fault(r, key, "must not be negative, is %lld", (long long)n.whole);
    else if (n.whole < bounds.min)
        tern__json_fault(r, key, "must be above %lld, is %lld", (long long)bounds.min - 1,
                         (long long)n.whole);
    else if (n.whole > bounds.max)
        tern__json_fault(r, key, "must be at most %lld, is %lld", (long long)bounds.max,
                         (long long)n.whole);
    else
        return n.whole;
    return bounds.dflt;
}

double tern__json_real(tern__json_reader *r, tern__json *obj, const char *key,
                       tern__json_real_bounds bounds)
{
    tern__json *v = wanted(r, obj, key, bounds.required);
    if (!v)
        return bounds.dflt;
    number n = number_of(r, v);
    if (n.kind == NO_NUMBER)
        tern__json_fault(r, key, "must be a number");
    else if (bounds.above ? !(n.real > bounds.min) : !(n.real >= bounds.min))
        tern__json_fault(r, key, "must be %s %g, is %g", bounds.above ? "above" : "at least",
                         bounds.min, n.real);
    else
        return n.real;
    return bounds.dflt;
}

/* --- durations -------------------------------------------------------------------------------- */

/* Digits at *s, at most `most` of them, to *ret; how many there were. */
static size_t digits(const char **s, size_t most, int64_t *ret)
{
    size_t n = 0;
    *ret = 0;
    for (; n < most && **s >= '0' && **s <= '9'; n++, (*s)++)
        *ret = *ret * 10 + (**s - '0');
    return n;
}

/* "-?digits(.digits)?s" as ns. False: it is something else, or longer than a Duration can be. */
static bool duration_of(const char *s, int64_t *ret)
{
    int64_t seconds, fraction = 0;
    bool negative = *s == '-';
    s += negative;
    if (digits(&s, 12, &seconds) == 0 || seconds > DURATION_SECONDS_MAX)
        return false;
    if (*s == '.') {
        s++;
        size_t n = digits(&s, 9, &fraction);
        if (n == 0)
            return false;
        for (; n < 9; n++)
            fraction *= 10;
    }
    if (strcmp(s, "s") != 0)
        return false;
    int64_t ns = seconds >= INT64_MAX / TERN__NS_PER_S ? INT64_MAX
                                                       : seconds * TERN__NS_PER_S + fraction;
    *ret = negative ? -ns : ns;
    return true;
}

int64_t tern__json_duration(tern__json_reader *r, tern__json *obj, const char *key,
                            tern__json_bounds bounds)
{
    char shown[QUOTE_BYTES + 4];
    tern__json *v = wanted(r, obj, key, bounds.required);
    if (!v)
        return bounds.dflt;
    int64_t ns;
    if (!json_is_string(v) || !duration_of(json_string_value(v), &ns))
        tern__json_fault(r, key, "must be a duration in seconds, such as \"1.5s\"");
    else if (ns < bounds.min && bounds.min <= 1)
        tern__json_fault(r, key, "must %s, is \"%s\"",
                         bounds.min ? "be above 0s" : "not be negative",
                         quote(json_string_value(v), QUOTE_BYTES, shown));
    else if (ns < bounds.min)
        tern__json_fault(r, key, "must be at least %gs, is \"%s\"",
                         (double)bounds.min / (double)TERN__NS_PER_S,
                         quote(json_string_value(v), QUOTE_BYTES, shown));
    else if (ns > bounds.max)
        tern__json_fault(r, key, "must be at most %gs, is \"%s\"",
                         (double)bounds.max / (double)TERN__NS_PER_S,
                         quote(json_string_value(v), QUOTE_BYTES, shown));
    else
        return ns;
    return bounds.dflt;
}

/* --- codes ------------------------------------------------------------------------------------ */

static tern__code_set one_code(tern__json_reader *r, tern__json *v)
{
    char shown[QUOTE_BYTES + 4];
    tern_code code;
    number n = json_is_string(v) ? (number){ .kind = NO_NUMBER } : number_in(v);
    if (n.kind == WHOLE && n.whole >= 0 && n.whole < (int64_t)TERN__CODES)
        return tern__code_set_of((tern_code)n.whole);
    if (n.kind != NO_NUMBER)
        tern__json_fault(r, NULL, "no status code has the number %g", n.real);
    else if (!json_is_string(v))
        tern__json_fault(r, NULL, "must be a status code, by name or number");
    else if (tern__code_find(json_string_value(v), &code))
        return tern__code_set_of(code);
    else
        tern__json_fault(r, NULL, "no status code is called \"%s\"",
                         quote(json_string_value(v), QUOTE_BYTES, shown));
    return 0;
}

tern__code_set tern__json_codes(tern__json_reader *r, tern__json *obj, const char *key,
                                bool required)
{
    if (!wanted(r, obj, key, required))
        return 0;
    tern__code_set set = 0;
    tern__json *array = tern__json_array_of(r, obj, key);
    if (array && required && json_array_size(array) == 0)
        tern__json_fault(r, key, "must not be empty");
    size_t before = tern__json_enter(r, key);
    for (size_t i = 0; i < json_array_size(array) && r->code == TERN_OK; i++) {
        size_t here = tern__json_enter_at(r, i);
        set |= one_code(r, json_array_get(array, i));
        tern__json_leave(r, here);
    }
    tern__json_leave(r, before);
    return set;
}
