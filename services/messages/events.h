/* Topics: emit, subscribe, advance. Handlers; they run on the event loop and never block. */
#ifndef DRONE_MESSAGES_EVENTS_H
#define DRONE_MESSAGES_EVENTS_H

#include <drone/messages/v1/messages.tern.h>

tern_code drone_handle_emit(void *self, tern_server_call *call,
                            const Drone__Messages__V1__EmitRequest *req,
                            Drone__Messages__V1__EmitResponse *res);
tern_code drone_handle_subscribe(void *self,
                                 drone_messages_v1_message_service_subscribe_stream *stream,
                                 const Drone__Messages__V1__SubscribeRequest *req);
tern_code drone_handle_advance(void *self, tern_server_call *call,
                               const Drone__Messages__V1__AdvanceRequest *req,
                               Drone__Messages__V1__AdvanceResponse *res);

#endif
