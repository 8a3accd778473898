/* See race.h. */
#include "client/race.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/time.h"
#include "io/clock.h"
#include "io/socket.h"

/* How often a wait looks whether its context was cancelled. */
#define SLICE_NS (50 * TERN__NS_PER_MS)

void tern__address_interleave(const tern__address_list *in, tern__address_list *out)
{
    out->n = 0;
    sa_family_t first = in->n ? in->at[0].u.sa.sa_family : AF_UNSPEC;
    uint32_t same = 0, other = 0; /* where to look for the first family's next, for the others' */
    while (out->n < in->n) {
        bool turn = out->n % 2 == 0;
        while (same < in->n && in->at[same].u.sa.sa_family != first)
            same++;
        while (other < in->n && in->at[other].u.sa.sa_family == first)
            other++;
        if (same < in->n && (turn || other >= in->n))
            out->at[out->n++] = in->at[same++];
        else
            out->at[out->n++] = in->at[other++];
    }
}

void tern__race_init(tern__race *r, const tern__address_list *list, int64_t stagger)
{
    tern__address_interleave(list, &r->list);
    for (uint32_t i = 0; i < TERN_LIMIT_ADDRESSES; i++)
        r->fds[i] = -1;
    r->next = r->n_pending = 0;
    r->next_at = 0;
    r->stagger = stagger;
}

static void give_up(tern__race *r, uint32_t i)
{
    close(r->fds[i]);
    r->fds[i] = -1;
    r->n_pending--;
}

void tern__race_deinit(tern__race *r)
{
    for (uint32_t i = 0; i < r->next; i++)
        if (r->fds[i] >= 0)
            give_up(r, i);
}

uint32_t tern__race_left(const tern__race *r) { return r->n_pending + (r->list.n - r->next); }

static void failed(const tern__race *r, uint32_t i, int error, tern_status *reterr)
{
    char where[TERN__ADDRESS_TEXT_MAX];
    tern__address_text(&r->list.at[i], where);
    tern_status_set(reterr, TERN_UNAVAILABLE, "cannot connect to %s: %s", where, strerror(error));
}

/* Begins the next attempt. Its socket if it is connected at once, else -1. */
static int begin(tern__race *r, int64_t now, tern_status *reterr)
{
    bool pending;
    uint32_t i = r->next++;
    int fd = tern__socket_connect(&r->list.at[i], &pending);
    if (fd < 0) {
        failed(r, i, -fd, reterr);
        return -1; /* the next one's turn is now, still */
    }
    if (!pending)
        return fd;
    r->fds[i] = fd;
    r->n_pending++;
    r->next_at = tern__time_add(now, r->stagger);
    return -1;
}

/* Waits until an attempt has an outcome or it is the next one's turn. The socket of one that has
 * connected and its place, or -1. */
static int await(tern__race *r, int64_t until, int64_t slice, uint32_t *ret_at,
                 tern_status *reterr)
{
    struct pollfd p[TERN_LIMIT_ADDRESSES];
    uint32_t at[TERN_LIMIT_ADDRESSES], n = 0;
    for (uint32_t i = 0; i < r->next; i++)
        if (r->fds[i] >= 0) {
            p[n] = (struct pollfd){ .fd = r->fds[i], .events = POLLOUT };
            at[n++] = i;
        }
    if (tern__clock_poll(p, n, until, slice) <= 0)
        return -1;
    for (uint32_t k = 0; k < n; k++) {
        if (!p[k].revents)
            continue;
        int error = tern__socket_error(p[k].fd);
        if (error == 0) {
            r->fds[at[k]] = -1;
            r->n_pending--;
            *ret_at = at[k];
            return p[k].fd;
        }
        failed(r, at[k], -error, reterr);
        give_up(r, at[k]);
        r->next_at = 0;
    }
    return -1;
}

/* The bounds are reached: of which address is to be told? Of one that did not answer. */
static int stop(const tern__race *r, int error, tern_status *reterr)
{
    for (uint32_t i = 0; i < r->next; i++)
        if (r->fds[i] >= 0)
            failed(r, i, error, reterr);
    return -1;
}

int tern__race_next(tern__race *r, const tern__race_bounds *bounds,
                    const tern__address **ret_address, tern_status *reterr)
{
    while (tern__race_left(r)) {
        int64_t now = tern__clock_now();
        uint32_t at = r->next;
        int fd;
        if (now >= bounds->deadline)
            return stop(r, ETIMEDOUT, reterr);
        if (tern_context_error(bounds->context) != TERN_OK)
            return stop(r, ECANCELED, reterr);
        if (r->next < r->list.n && (now >= r->next_at || !r->n_pending)) {
            fd = begin(r, now, reterr);
        } else {
            int64_t until = r->next < r->list.n ? tern__time_min(bounds->deadline, r->next_at)
                                                : bounds->deadline;
            fd = await(r, until, bounds->context ? SLICE_NS : 0, &at, reterr);
        }
        if (fd >= 0) {
            *ret_address = &r->list.at[at];
            return fd;
        }
    }
    return -1;
}
