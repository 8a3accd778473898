/* Queues of work: enqueue, consume, settle. Handlers; they run on the event loop and never
 * block. */
#ifndef DRONE_MESSAGES_WORK_H
#define DRONE_MESSAGES_WORK_H

#include <drone/messages/v1/messages.tern.h>

tern_code drone_handle_enqueue(void *self, tern_server_call *call,
                               const Drone__Messages__V1__EnqueueRequest *req,
                               Drone__Messages__V1__EnqueueResponse *res);
tern_code drone_handle_consume(void *self, drone_messages_v1_message_service_consume_stream *stream,
                               const Drone__Messages__V1__ConsumeRequest *req);
tern_code drone_handle_settle(void *self, tern_server_call *call,
                              const Drone__Messages__V1__SettleRequest *req,
                              Drone__Messages__V1__SettleResponse *res);

#endif
