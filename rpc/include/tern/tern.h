/* Tern: gRPC for C. This header is all of the runtime that does not depend on a serializer;
 * generated headers bring <tern/stub.h> and protobuf-c with them. */
#ifndef TERN_TERN_H
#define TERN_TERN_H

#include <tern/async.h>
#include <tern/balancer.h>
#include <tern/call.h>
#include <tern/channel.h>
#include <tern/channelz.h>
#include <tern/compression.h>
#include <tern/context.h>
#include <tern/credentials.h>
#include <tern/fault.h>
#include <tern/health.h>
#include <tern/interceptor.h>
#include <tern/limits.h>
#include <tern/log.h>
#include <tern/metadata.h>
#include <tern/method.h>
#include <tern/overload.h>
#include <tern/reflection.h>
#include <tern/resolver.h>
#include <tern/server.h>
#include <tern/status.h>
#include <tern/stream.h>
#include <tern/tls.h>
#include <tern/version.h>

#endif
