/* Names of DNS, as the driver of a resolver: hosts, looked up by the system's resolver
 * (getaddrinfo) or by c-ares (io/dns.h), SRV records, and service configs in TXT records (gRFC
 * A2). */
#ifndef TERN__CLIENT_NAMES_H
#define TERN__CLIENT_NAMES_H

#include "client/resolver.h"

/* For host and port of a target, or for the SRV record `host`. `server`: whom to ask,
 * "127.0.0.1:53"; "": those of the system. RESOURCE_EXHAUSTED: out of memory. */
tern_code tern__names_open(const tern__target *target, bool srv, const char *server,
                           const tern_channel_options *opts, tern__resolver **ret,
                           tern_status *reterr);

#endif
