/* See revision.h. */
#include "common/revision.h"

#include <inttypes.h>

drone_create drone_revision_create(const char *what, const Drone__Common__V1__Change *change,
                                   bool replay, drone_stored stored, drone_reply *reply,
                                   tern_code *ret_code)
{
    const char *id = change->delivery_id;
    switch (stored.life) {
    case DRONE_LIFE_NONE:
        return DRONE_CREATE_INSERT;
    case DRONE_LIFE_UNDONE:
    case DRONE_LIFE_TOMBSTONE:
        if (change->revision > stored.revision) {
            return DRONE_CREATE_REPLACE;
        }
        *ret_code = drone_reply_fail(reply, TERN_FAILED_PRECONDITION,
                                     "the %s of delivery %s was undone up to revision %" PRId64
                                     " before this request of revision %" PRId64 " came",
                                     what, id, stored.revision, change->revision);
        return DRONE_CREATE_REFUSE;
    case DRONE_LIFE_LIVE:
        break;
    }
    if (change->revision > stored.revision) {
        return DRONE_CREATE_REPLACE;
    }
    if (change->revision == stored.revision && replay) {
        return DRONE_CREATE_REPEAT;
    }
    if (change->revision == stored.revision) {
        *ret_code = drone_reply_fail(reply, TERN_ABORTED,
                                     "the %s of delivery %s has revision %" PRId64
                                     " already, by another idempotency key; raise the revision",
                                     what, id, stored.revision);
    } else {
        *ret_code = drone_reply_fail(reply, TERN_ABORTED,
                                     "the %s of delivery %s has the newer revision %" PRId64
                                     ", this request is of revision %" PRId64,
                                     what, id, stored.revision, change->revision);
    }
    return DRONE_CREATE_REFUSE;
}

drone_undo drone_revision_undo(const char *what, const Drone__Common__V1__Change *change,
                               drone_stored stored, drone_reply *reply, tern_code *ret_code)
{
    switch (stored.life) {
    case DRONE_LIFE_NONE:
        return DRONE_UNDO_TOMBSTONE;
    case DRONE_LIFE_UNDONE:
        return DRONE_UNDO_RAISE_DONE;
    case DRONE_LIFE_TOMBSTONE:
        return DRONE_UNDO_RAISE_NOTHING;
    case DRONE_LIFE_LIVE:
        break;
    }
    if (change->revision >= stored.revision) {
        return DRONE_UNDO_UNDO;
    }
    *ret_code = drone_reply_fail(reply, TERN_ABORTED,
                                 "the %s of delivery %s has the newer revision %" PRId64
                                 ", this request undoes up to revision %" PRId64,
                                 what, change->delivery_id, stored.revision, change->revision);
    return DRONE_UNDO_REFUSE;
}

Drone__Common__V1__Undone drone_undo_outcome(drone_undo undo)
{
    return undo == DRONE_UNDO_UNDO || undo == DRONE_UNDO_RAISE_DONE
               ? DRONE__COMMON__V1__UNDONE__UNDONE_DONE
               : DRONE__COMMON__V1__UNDONE__UNDONE_NOTHING;
}
