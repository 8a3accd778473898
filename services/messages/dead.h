/* Dead letters: list, replay, drop; and the counters. Handlers; they run on the event loop and
 * never block. */
#ifndef DRONE_MESSAGES_DEAD_H
#define DRONE_MESSAGES_DEAD_H

#include <drone/messages/v1/messages.tern.h>

tern_code drone_handle_list_dead(void *self, tern_server_call *call,
                                 const Drone__Messages__V1__ListDeadLettersRequest *req,
                                 Drone__Messages__V1__ListDeadLettersResponse *res);
tern_code drone_handle_replay_dead(void *self, tern_server_call *call,
                                   const Drone__Messages__V1__ReplayDeadLetterRequest *req,
                                   Drone__Messages__V1__DeadLetter *res);
tern_code drone_handle_drop_dead(void *self, tern_server_call *call,
                                 const Drone__Messages__V1__DropDeadLetterRequest *req,
                                 Drone__Messages__V1__DeadLetter *res);
tern_code drone_handle_messages_stats(void *self, tern_server_call *call,
                                      const Drone__Messages__V1__GetStatsRequest *req,
                                      Drone__Messages__V1__Stats *res);

#endif
