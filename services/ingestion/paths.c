/* See paths.h. */
#include "ingestion/paths.h"

#include <stdio.h>
#include <string.h>

#define REQUESTS "/api/deliveryrequests"
#define DELIVERIES "/api/deliveries/"

static drone_verb verb_of(const char *method)
{
    static const struct {
        const char *name;
        drone_verb verb;
    } verbs[] = {
        { "GET", DRONE_VERB_GET },     { "HEAD", DRONE_VERB_GET },      { "POST", DRONE_VERB_POST },
        { "PATCH", DRONE_VERB_PATCH }, { "DELETE", DRONE_VERB_DELETE },
    };
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(verbs[i].name, method) == 0)
            return verbs[i].verb;
    return DRONE_VERB_OTHER;
}

/* Whether `s` ends with "/<name>"; *len then is what stands before it. */
static bool ends_with(const char *s, const char *name, size_t *len)
{
    size_t n = strlen(name);
    if (*len <= n || s[*len - n - 1] != '/' || strncmp(s + *len - n, name, n) != 0)
        return false;
    *len -= n + 1;
    return true;
}

static void set_id(drone_path *p, const char *id, size_t len)
{
    size_t n = len < sizeof(p->id) - 1 ? len : sizeof(p->id) - 1;
    memcpy(p->id, id, n);
    p->id[n] = '\0';
}

static drone_resource resource_of(const char *path, drone_path *p)
{
    if (strcmp(path, "/openapi.json") == 0)
        return DRONE_RESOURCE_OPENAPI;
    if (strcmp(path, "/healthz") == 0)
        return DRONE_RESOURCE_LIVE;
    if (strcmp(path, "/readyz") == 0)
        return DRONE_RESOURCE_READY;
    if (strcmp(path, REQUESTS) == 0)
        return DRONE_RESOURCE_REQUESTS;
    if (strncmp(path, REQUESTS "/", strlen(REQUESTS) + 1) == 0) {
        const char *id = path + strlen(REQUESTS) + 1;
        set_id(p, id, strlen(id));
        return *id ? DRONE_RESOURCE_REQUEST : DRONE_RESOURCE_NONE;
    }
    if (strncmp(path, DELIVERIES, strlen(DELIVERIES)) != 0)
        return DRONE_RESOURCE_NONE;
    const char *id = path + strlen(DELIVERIES);
    size_t len = strlen(id);
    drone_resource r = len > 0 ? DRONE_RESOURCE_DELIVERY : DRONE_RESOURCE_NONE;
    if (ends_with(id, "status", &len))
        r = DRONE_RESOURCE_STATUS;
    else if (ends_with(id, "owner", &len))
        r = DRONE_RESOURCE_OWNER;
    set_id(p, id, len);
    return r;
}

void drone_path_read(const char *method, const char *path, drone_path *ret)
{
    *ret = (drone_path){ .verb = verb_of(method) };
    ret->resource = resource_of(path, ret);
    switch (ret->resource) {
    case DRONE_RESOURCE_REQUESTS:
        ret->allow = "POST";
        ret->allowed = ret->verb == DRONE_VERB_POST;
        break;
    case DRONE_RESOURCE_REQUEST:
        ret->allow = "GET, HEAD, PATCH, DELETE";
        ret->allowed = ret->verb == DRONE_VERB_GET || ret->verb == DRONE_VERB_PATCH ||
                       ret->verb == DRONE_VERB_DELETE;
        break;
    default:
        ret->allow = "GET, HEAD";
        ret->allowed = ret->verb == DRONE_VERB_GET;
    }
}
