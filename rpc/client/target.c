/* See target.h. */
#include "client/target.h"

#include <string.h>

#include "client/names.h"
#include "client/plugged.h"

tern_code tern__target_open(const char *text, const tern_channel_options *opts, tern__target *ret,
                            tern__resolver **ret_resolver, tern_status *reterr)
{
    (void)opts;
    const tern_resolver_driver *driver = tern__plugged_find(text);
    *ret_resolver = NULL;
    if (driver) {
        memset(ret, 0, sizeof *ret);
        return tern__plugged_open(driver, text, ret, ret_resolver, reterr);
    }
    tern_code code = tern__target_parse(text, ret, reterr);
    if (code == TERN_OK && !ret->literal)
        code = tern__names_open(ret, ret_resolver, reterr);
    return code;
}
