/* Defaults of floating-point fields are the very numbers of the .proto. */
#include <math.h>
#include <stdio.h>

#include "floats.pb-c.h"

int main(void)
{
    Golden__Floats__Floats m = GOLDEN__FLOATS__FLOATS__INIT;
    int ok = isinf(m.f_inf) && m.f_inf > 0 && isinf(m.f_minus_inf) && m.f_minus_inf < 0 &&
             isnan(m.f_nan) && isinf(m.d_inf) && m.d_inf > 0 && isinf(m.d_minus_inf) &&
             m.d_minus_inf < 0 && isnan(m.d_nan) && m.digits == 1.23456789f &&
             m.more_digits == 0.1234567890123456789 && m.tiny == 1e-40f &&
             m.huge == 1.7976931348623157e308 && m.tenth == 0.1f;

    if (!ok)
        fprintf(stderr, "run_floats.c: a default is another number\n");
    return !ok;
}
