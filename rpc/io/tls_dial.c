/* Whom a channel means to talk to (tern__tls_dial in tls.h). The name is the one that the program
 * wrote, never one that name resolution gave: a lookup that lies must not choose who is trusted. */
#include <stdio.h>
#include <string.h>

#include "io/tls_session.h"

/* The host of "host", "host:port", "[v6]:port" or a bare IPv6 address. */
static void host_of(const char *authority, char out[TERN__HOST_MAX])
{
    const char *at = strrchr(authority, '@'); /* userinfo is no part of the host */
    const char *from = at ? at + 1 : authority;
    size_t len = strlen(from);
    const char *colon = strchr(from, ':');
    if (*from == '[') {
        const char *end = strchr(++from, ']');
        len = end ? (size_t)(end - from) : strlen(from);
    } else if (colon && !strchr(colon + 1, ':')) {
        len = (size_t)(colon - from);
    }
    snprintf(out, TERN__HOST_MAX, "%.*s", (int)(len < TERN__HOST_MAX ? len : TERN__HOST_MAX - 1),
             from);
}

tern_code tern__tls_dial_init(tern__tls_dial *d, tern_tls_client *creds, const char *authority,
                              const tern__target *target, tern_status *reterr)
{
    memset(d, 0, sizeof *d);
    if (!creds)
        return TERN_OK;
    const char *given = tern__tls_client_name(creds);
    bool ip = target->literal && target->addresses.at[0].u.sa.sa_family != AF_UNIX;
    if (given)
        snprintf(d->name, sizeof d->name, "%s", given);
    else if (authority)
        host_of(authority, d->name);
    else if (!ip)
        host_of(target->authority, d->name);
    /* The final dot of a full name is the resolver's business (RFC 6066, 3). */
    size_t len = strlen(d->name);
    if (len > 1 && d->name[len - 1] == '.')
        d->name[len - 1] = '\0';
    if (!d->name[0] && !ip)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "the authority names no host: TLS cannot tell whose certificate to "
                               "expect");
    d->tickets = tern__tls_tickets_new();
    if (!d->tickets)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for TLS");
    d->creds = tern_tls_client_ref(creds);
    return TERN_OK;
}

void tern__tls_dial_hold(tern__tls_dial *d)
{
    if (!d->creds)
        return;
    tern_tls_client_ref(d->creds);
    tern__tls_tickets_ref(d->tickets);
}

void tern__tls_dial_deinit(tern__tls_dial *d)
{
    tern_tls_client_unref(d->creds);
    tern__tls_tickets_unref(d->tickets);
    memset(d, 0, sizeof *d);
}
