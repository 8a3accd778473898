/* What the Package service does. A package is in one delivery at a time: putting it into a second
 * one is FAILED_PRECONDITION until the first has released it. */
#include "package/package.h"

#include <string.h>

#include "common/revision.h"
#include "common/validate.h"
#include "package/statements.h"

typedef Drone__Package__V1__PutPackageRequest put_request;
typedef Drone__Package__V1__ReleasePackageRequest release_request;
typedef Drone__Package__V1__GetPackageRequest get_request;
typedef Drone__Common__V1__Package package_message;

typedef struct package_row {
    drone_stored stored;
    const char *package_id; /* texts are borrowed until the operation ends */
    const char *tag;
    int64_t weight_g;
    int size;
} package_row;

static tern_code find(const drone_operation_call *c, const char *delivery_id, package_row *ret)
{
    sqlite3_stmt *stmt = drone_store_stmt(c->store, PACKAGE_FIND);
    int rc = drone_sql_step(stmt, "t", delivery_id);
    if (rc < 0) {
        return drone_reply_store(c->reply, c->store);
    }
    *ret = (package_row){ .package_id = "", .tag = "" };
    if (rc > 0) {
        ret->stored.life = (drone_life)sqlite3_column_int(stmt, 0);
        ret->stored.revision = sqlite3_column_int64(stmt, 1);
        ret->package_id = drone_sql_text(stmt, 2);
        ret->size = sqlite3_column_int(stmt, 3);
        ret->weight_g = sqlite3_column_int64(stmt, 4);
        ret->tag = drone_sql_text(stmt, 5);
    }
    return TERN_OK;
}

static tern_code answer(const drone_operation_call *c, const char *delivery_id,
                        const package_row *row)
{
    Drone__Package__V1__DeliveryPackage *res = c->response;
    package_message *p = drone_reply_alloc(c->reply, sizeof *p);
    if (p == NULL) {
        return drone_reply_nomem(c->reply);
    }
    drone__common__v1__package__init(p);
    p->package_id = drone_reply_strdup(c->reply, row->package_id);
    p->tag = drone_reply_strdup(c->reply, row->tag);
    p->size = (Drone__Common__V1__PackageSize)row->size;
    p->weight_g = row->weight_g;
    res->package = p;
    res->delivery_id = drone_reply_strdup(c->reply, delivery_id);
    res->revision = row->stored.revision;
    res->state = row->stored.life == DRONE_LIFE_LIVE
                     ? DRONE__PACKAGE__V1__PACKAGE_STATE__PACKAGE_STATE_RESERVED
                     : DRONE__PACKAGE__V1__PACKAGE_STATE__PACKAGE_STATE_RELEASED;
    if (p->package_id == NULL || p->tag == NULL || res->delivery_id == NULL) {
        return drone_reply_nomem(c->reply);
    }
    return TERN_OK;
}

static tern_code put_check(const void *request, drone_reply *reply)
{
    const put_request *r = request;
    tern_code code = drone_check_change(reply, "change", r->change);
    return code != TERN_OK ? code : drone_check_package(reply, "package", r->package);
}

/* Refuses a package that another delivery has. */
static tern_code check_holder(const drone_operation_call *c, const char *package_id)
{
    sqlite3_stmt *stmt = drone_store_stmt(c->store, PACKAGE_HOLDER);
    int rc = drone_sql_step(stmt, "t", package_id);
    if (rc < 0) {
        return drone_reply_store(c->reply, c->store);
    }
    if (rc > 0 && strcmp(drone_sql_text(stmt, 0), c->change->delivery_id) != 0) {
        return drone_reply_fail(c->reply, TERN_FAILED_PRECONDITION, "package %s is in delivery %s",
                                package_id, drone_sql_text(stmt, 0));
    }
    return TERN_OK;
}

static tern_code put_run(const drone_operation_call *c)
{
    const package_message *p = ((const put_request *)c->request)->package;
    package_row row;
    tern_code code = find(c, c->change->delivery_id, &row);
    if (code != TERN_OK) {
        return code;
    }
    switch (drone_revision_create("package", c->change, c->replay, row.stored, c->reply, &code)) {
    case DRONE_CREATE_REFUSE:
        return code;
    case DRONE_CREATE_REPEAT:
        return answer(c, c->change->delivery_id, &row);
    case DRONE_CREATE_INSERT:
    case DRONE_CREATE_REPLACE:
        break;
    }
    code = check_holder(c, p->package_id);
    if (code != TERN_OK) {
        return code;
    }
    if (drone_sql_step(drone_store_stmt(c->store, PACKAGE_PUT), "ttiitii", c->change->delivery_id,
                       p->package_id, (int64_t)p->size, p->weight_g, p->tag,
                       (int64_t)DRONE_LIFE_LIVE, c->change->revision) < 0) {
        return drone_reply_store(c->reply, c->store);
    }
    const package_row now = { .stored = { DRONE_LIFE_LIVE, c->change->revision },
                              .package_id = p->package_id,
                              .tag = p->tag,
                              .weight_g = p->weight_g,
                              .size = (int)p->size };
    return answer(c, c->change->delivery_id, &now);
}

static tern_code release_check(const void *request, drone_reply *reply)
{
    return drone_check_change(reply, "change", ((const release_request *)request)->change);
}

static tern_code release_run(const drone_operation_call *c)
{
    Drone__Package__V1__ReleasePackageResponse *res = c->response;
    const char *id = c->change->delivery_id;
    package_row row;
    int rc = 0;
    tern_code code = find(c, id, &row);
    if (code != TERN_OK) {
        return code;
    }
    drone_undo undo = drone_revision_undo("package", c->change, row.stored, c->reply, &code);
    switch (undo) {
    case DRONE_UNDO_REFUSE:
        return code;
    case DRONE_UNDO_TOMBSTONE:
        rc = drone_sql_step(drone_store_stmt(c->store, PACKAGE_PUT), "ttiitii", id,
                            (const char *)NULL, (int64_t)0, (int64_t)0, (const char *)NULL,
                            (int64_t)DRONE_LIFE_TOMBSTONE, c->change->revision);
        break;
    case DRONE_UNDO_UNDO:
        rc = drone_sql_step(drone_store_stmt(c->store, PACKAGE_UNDO), "tii", id,
                            (int64_t)DRONE_LIFE_UNDONE, c->change->revision);
        break;
    case DRONE_UNDO_RAISE_DONE:
    case DRONE_UNDO_RAISE_NOTHING:
        rc = drone_sql_step(drone_store_stmt(c->store, PACKAGE_UNDO), "tii", id,
                            (int64_t)row.stored.life, c->change->revision);
        break;
    }
    res->outcome = drone_undo_outcome(undo);
    return rc < 0 ? drone_reply_store(c->reply, c->store) : TERN_OK;
}

static tern_code get_check(const void *request, drone_reply *reply)
{
    return drone_check_id(reply, "delivery_id", ((const get_request *)request)->delivery_id);
}

static tern_code get_run(const drone_operation_call *c)
{
    const get_request *r = c->request;
    package_row row;
    tern_code code = find(c, r->delivery_id, &row);
    if (code != TERN_OK) {
        return code;
    }
    if (row.stored.life == DRONE_LIFE_NONE || row.stored.life == DRONE_LIFE_TOMBSTONE) {
        return drone_reply_fail(c->reply, TERN_NOT_FOUND, "delivery %s has no package",
                                r->delivery_id);
    }
    return answer(c, r->delivery_id, &row);
}

const drone_operation drone_package_put = { .name = "PutPackage",
                                            .check = put_check,
                                            .run = put_run,
                                            .change_offset = offsetof(put_request, change) };
const drone_operation drone_package_release = { .name = "ReleasePackage",
                                                .check = release_check,
                                                .run = release_run,
                                                .change_offset =
                                                    offsetof(release_request, change) };
const drone_operation drone_package_get = { .name = "GetPackage",
                                            .check = get_check,
                                            .run = get_run,
                                            .change_offset = DRONE_NO_CHANGE,
                                            .reads_only = true };
