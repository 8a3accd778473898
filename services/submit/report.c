/* The closing table. */
#include "submit/report.h"

#include <inttypes.h>

static int64_t since(int64_t now, int64_t last)
{
    return now >= last ? now - last : now;
}

void drone_call_meter_look(drone_call_meter *m, const drone_call_counts *now)
{
    /* Calls only grow: fewer of them mean a new process, whose counters all began at 0. */
    if (m->known && now->calls < m->last.calls)
        m->last = (drone_call_counts){ 0, 0, 0 };
    if (m->known) {
        m->sum.calls += since(now->calls, m->last.calls);
        m->sum.retries += since(now->retries, m->last.retries);
        m->sum.breaker_openings += since(now->breaker_openings, m->last.breaker_openings);
    }
    m->known = true;
    m->last = *now;
}

void drone_report_add(drone_report *r, const drone_sent *sent)
{
    r->ends[sent->end]++;
    r->updated += sent->updated;
    r->repeats += (uint64_t)sent->repeats;
    if (sent->us > 0)
        drone_latency_add(&r->latency, sent->us);
}

void drone_report_merge(drone_report *into, const drone_report *from)
{
    for (int i = 0; i < DRONE_N_ENDS; i++)
        into->ends[i] += from->ends[i];
    into->bad_lines += from->bad_lines;
    into->updated += from->updated;
    into->repeats += from->repeats;
    drone_latency_merge(&into->latency, &from->latency);
}

uint64_t drone_report_ended(const drone_report *r)
{
    uint64_t n = 0;
    for (int i = 0; i <= DRONE_END_PARKED; i++)
        n += r->ends[i];
    return n;
}

static double rate(const drone_report *r)
{
    return r->seconds > 0.0 ? (double)drone_report_ended(r) / r->seconds : 0.0;
}

static double ms(const drone_report *r, double percent)
{
    return drone_latency_percentile(&r->latency, percent) / 1000.0;
}

static void row(FILE *to, const char *name, uint64_t n)
{
    fprintf(to, "  %-24s %10" PRIu64 "\n", name, n);
}

void drone_report_print(const drone_report *r, FILE *to)
{
    row(to, "accepted", drone_report_ended(r) + r->ends[DRONE_END_UNDECIDED]);
    row(to, "  by drone", r->ends[DRONE_END_BY_DRONE]);
    row(to, "  by third party", r->ends[DRONE_END_BY_TRANSPORT]);
    row(to, "  compensated", r->ends[DRONE_END_COMPENSATED]);
    row(to, "  cancelled", r->ends[DRONE_END_CANCELLED]);
    row(to, "  parked", r->ends[DRONE_END_PARKED]);
    if (r->ends[DRONE_END_UNDECIDED] > 0)
        row(to, "  undecided", r->ends[DRONE_END_UNDECIDED]);
    if (r->ends[DRONE_END_UNANSWERED] > 0)
        row(to, "unanswered", r->ends[DRONE_END_UNANSWERED]);
    if (r->updated > 0)
        row(to, "rescheduled", r->updated);
    if (r->ends[DRONE_END_REFUSED] > 0)
        row(to, "refused", r->ends[DRONE_END_REFUSED]);
    if (r->bad_lines > 0)
        row(to, "bad lines", r->bad_lines);
    row(to, "requests repeated", r->repeats);
    if (r->calls_known) {
        row(to, "calls to services", (uint64_t)r->calls.calls);
        row(to, "retries", (uint64_t)r->calls.retries);
        row(to, "breaker openings", (uint64_t)r->calls.breaker_openings);
    }
    fprintf(to, "  %-24s %10.1f ms\n", "workflow p50", ms(r, 50));
    fprintf(to, "  %-24s %10.1f ms\n", "workflow p99", ms(r, 99));
    fprintf(to, "  %-24s %10.0f\n", "workflows per second", rate(r));
    fprintf(to, "  %-24s %10.1f s\n", "time", r->seconds);
    fflush(to);
}

void drone_report_print_json(const drone_report *r, FILE *to)
{
    fprintf(to,
            "{\"accepted\":%" PRIu64 ",\"by_drone\":%" PRIu64 ",\"by_transport\":%" PRIu64
            ",\"compensated\":%" PRIu64 ",\"cancelled\":%" PRIu64 ",\"parked\":%" PRIu64
            ",\"undecided\":%" PRIu64 ",\"unanswered\":%" PRIu64 ",\"refused\":%" PRIu64
            ",\"bad_lines\":%" PRIu64 ",\"rescheduled\":%" PRIu64 ",\"repeats\":%" PRIu64 ",",
            drone_report_ended(r) + r->ends[DRONE_END_UNDECIDED], r->ends[DRONE_END_BY_DRONE],
            r->ends[DRONE_END_BY_TRANSPORT], r->ends[DRONE_END_COMPENSATED],
            r->ends[DRONE_END_CANCELLED], r->ends[DRONE_END_PARKED], r->ends[DRONE_END_UNDECIDED],
            r->ends[DRONE_END_UNANSWERED], r->ends[DRONE_END_REFUSED], r->bad_lines, r->updated,
            r->repeats);
    if (r->calls_known)
        fprintf(to,
                "\"calls\":%" PRId64 ",\"retries\":%" PRId64 ",\"breaker_openings\":%" PRId64 ",",
                r->calls.calls, r->calls.retries, r->calls.breaker_openings);
    fprintf(to, "\"seconds\":%.3f,\"workflows_per_s\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
            r->seconds, rate(r), ms(r, 50), ms(r, 99));
    fflush(to);
}
