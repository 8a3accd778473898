/* See timeout.h. A span is rounded up to three significant digits, at most 1 % too long, and
 * written in the coarsest unit that is exact. Without rounding, the microseconds that pass between
 * the call and the header would give every request a header value of its own: no use to HPACK nor
 * to a reader. */
#include "wire/timeout.h"

#include <errno.h>
#include <string.h>

#define DIGITS_MAX 8u
#define DIGITS_SIGNIFICANT_LIMIT UINT64_C(1000) /* three digits */
#define VALUE_MAX UINT64_C(99999999)

static const struct unit {
    char name;
    uint64_t ns;
} units[] = {
    {'H', UINT64_C(3600000000000)}, {'M', UINT64_C(60000000000)}, {'S', UINT64_C(1000000000)},
    {'m', UINT64_C(1000000)},       {'u', UINT64_C(1000)},        {'n', 1},
};
#define N_UNITS (sizeof units / sizeof units[0])
/* Seconds and finer: powers of ten, so that rounding in them keeps digits round. */
#define FIRST_DECIMAL 2u

static uint64_t div_up(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

/* Every call with a deadline comes here: one division. */
static uint64_t round_up(uint64_t ns)
{
    /* From a second on it is this much at least. */
    uint64_t scale = ns < UINT64_C(1000000000) ? 1 : UINT64_C(10000000);
    while (ns > (DIGITS_SIGNIFICANT_LIMIT - 1) * scale)
        scale *= 10;
    return div_up(ns, scale) * scale;
}

static size_t write_value(uint64_t value, char unit, char *out)
{
    size_t n = 1;
    for (uint64_t limit = 10; value >= limit; limit *= 10)
        n++;
    for (size_t i = n; i-- > 0; value /= 10)
        out[i] = (char)('0' + value % 10);
    out[n] = unit;
    out[n + 1] = '\0';
    return n + 1;
}

size_t tern__timeout_encode(int64_t ns, char out[TERN__TIMEOUT_TEXT_MAX])
{
    uint64_t span = round_up(ns < 1 ? 1 : (uint64_t)ns);
    for (size_t i = FIRST_DECIMAL; i < N_UNITS; i++) {
        if (span % units[i].ns == 0 && span / units[i].ns <= VALUE_MAX)
            return write_value(span / units[i].ns, units[i].name, out);
    }
    /* More than 99999999 seconds. */
    uint64_t minutes = div_up(span, units[1].ns);
    if (minutes <= VALUE_MAX)
        return write_value(minutes, 'M', out);
    uint64_t hours = div_up(span, units[0].ns);
    return write_value(hours < VALUE_MAX ? hours : VALUE_MAX, 'H', out);
}

int tern__timeout_decode(const char *s, size_t len, int64_t *ret_ns)
{
    if (len < 2 || len > DIGITS_MAX + 1)
        return -EINVAL;
    uint64_t value = 0;
    for (size_t i = 0; i < len - 1; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -EINVAL;
        value = value * 10 + (uint64_t)(s[i] - '0');
    }
    for (size_t i = 0; i < N_UNITS; i++) {
        if (s[len - 1] != units[i].name)
            continue;
        *ret_ns =
            value > (uint64_t)INT64_MAX / units[i].ns ? INT64_MAX : (int64_t)(value * units[i].ns);
        return 0;
    }
    return -EINVAL;
}
