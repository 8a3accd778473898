/* See fault.h. */
#include "policy/fault.h"

#include <assert.h>
#include <stddef.h>

#include "base/time.h"

/* Digits of a header that is a number: more are no number of ours. */
#define DIGITS_MAX 9u

void tern__fault_init(tern__fault *f, const tern__fault_options *o)
{
    assert(o->delay_percentage.denominator > 0 || o->delay_kind == TERN__FAULT_OFF);
    assert(o->abort_percentage.denominator > 0 || o->abort_kind == TERN__FAULT_OFF);
    *f = (tern__fault){ .opt = *o };
}

tern_code tern__fault_code_of_http(uint32_t http_status)
{
    switch (http_status) {
    case 400:
        return TERN_INTERNAL;
    case 401:
        return TERN_UNAUTHENTICATED;
    case 403:
        return TERN_PERMISSION_DENIED;
    case 404:
        return TERN_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return TERN_UNAVAILABLE;
    default:
        return TERN_UNKNOWN;
    }
}

/* The number that the value is; false: it is none, or there is no value. */
static bool number_of(const char *value, uint32_t *ret)
{
    uint32_t v = 0;
    size_t n = 0;
    if (!value)
        return false;
    for (; value[n] >= '0' && value[n] <= '9' && n < DIGITS_MAX; n++)
        v = v * 10 + (uint32_t)(value[n] - '0');
    if (n == 0 || value[n] != '\0')
        return false;
    *ret = v;
    return true;
}

static bool drawn(tern__fault_percentage p, tern__rng *rng)
{
    return p.numerator > 0 && tern__rng_below(rng, p.denominator) < p.numerator;
}

/* The call's own percentage, which can only be lower than the configured one. */
static tern__fault_percentage capped(tern__fault_percentage p, tern__fault_kind kind,
                                     const char *header)
{
    uint32_t own;
    if (kind == TERN__FAULT_BY_HEADER && number_of(header, &own) && own < p.numerator)
        p.numerator = own;
    return p;
}

/* The delay that this call would get, ns; 0: none. */
static int64_t delay_for(const tern__fault_options *o, const tern__fault_headers *h)
{
    uint32_t ms;
    if (o->delay_kind == TERN__FAULT_FIXED)
        return o->delay_ns;
    if (o->delay_kind == TERN__FAULT_BY_HEADER && number_of(h->delay, &ms))
        return tern__ms_to_ns(ms);
    return 0;
}

/* The code that this call would get; false: none. An HTTP status goes before, as in Envoy. */
static bool code_for(const tern__fault_options *o, const tern__fault_headers *h, tern_code *ret)
{
    uint32_t number;
    *ret = o->abort_code;
    if (o->abort_kind != TERN__FAULT_BY_HEADER)
        return o->abort_kind == TERN__FAULT_FIXED;
    if (number_of(h->abort_http, &number) && number >= 200 && number < 600) {
        *ret = tern__fault_code_of_http(number);
        return true;
    }
    if (number_of(h->abort_grpc, &number) && number <= TERN_UNAUTHENTICATED) {
        *ret = (tern_code)number;
        return true;
    }
    return false;
}

tern__fault_decision tern__fault_decide(tern__fault *f, const tern__fault_headers *h,
                                        tern__rng *rng)
{
    static const tern__fault_headers none = { 0 };
    const tern__fault_options *o = &f->opt;
    tern__fault_decision d = { .active = false };
    h = h ? h : &none;

    int64_t delay = delay_for(o, h);
    if (delay > 0 && drawn(capped(o->delay_percentage, o->delay_kind, h->delay_percentage), rng))
        d.delay_ns = delay;
    d.abort = code_for(o, h, &d.code) &&
              drawn(capped(o->abort_percentage, o->abort_kind, h->abort_percentage), rng);
    if (d.delay_ns == 0 && !d.abort)
        return (tern__fault_decision){ .active = false };
    if (f->active >= o->active_max) {
        f->n_spared++;
        return (tern__fault_decision){ .active = false };
    }
    f->active++;
    f->n_delayed += d.delay_ns > 0;
    f->n_aborted += d.abort;
    d.active = true;
    return d;
}

void tern__fault_end(tern__fault *f)
{
    assert(f->active > 0);
    f->active--;
}
