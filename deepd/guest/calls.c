/* The table of calls: found by id and by channel, opened, attached, released, freed. */
#include "guest.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { BUCKETS = 1024 };

struct table table = {.epoll = -1};
static struct call *by_id[BUCKETS], *by_channel[BUCKETS], *graves;

uint64_t now_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static uint32_t bucket_of(const uint8_t *id) { return get32(id) % BUCKETS; }

struct call *call_by_id(const uint8_t *id)
{
    if (id_is_zero(id))
        return NULL;
    struct call *call = by_id[bucket_of(id)];
    while (call && memcmp(call->id, id, ID_SIZE) != 0)
        call = call->next_by_id;
    return call;
}

struct call *call_by_channel(uint32_t channel)
{
    struct call *call = by_channel[channel % BUCKETS];
    while (call && call->channel != channel)
        call = call->next_by_channel;
    return call;
}

static void leave_id(struct call *call)
{
    struct call **link = &by_id[bucket_of(call->id)];
    while (*link && *link != call)
        link = &(*link)->next_by_id;
    if (*link)
        *link = call->next_by_id;
}

void call_detach(struct call *call)
{
    if (!call->attached)
        return;
    struct call **link = &by_channel[call->channel % BUCKETS];
    while (*link != call)
        link = &(*link)->next_by_channel;
    *link = call->next_by_channel;
    call->attached = false;
}

void call_attach(struct call *call, uint32_t channel)
{
    struct call *former = call_by_channel(channel);
    if (former && former != call)
        call_detach(former);
    call_detach(call);
    call->channel = channel;
    call->attached = true;
    call->exit_sent = call->input.told = false;
    call->next_by_channel = by_channel[channel % BUCKETS];
    by_channel[channel % BUCKETS] = call;
    call_ready(call);
}

static void join_live(struct call *call)
{
    call->previous_live = NULL;
    call->next_live = table.live;
    if (table.live)
        table.live->previous_live = call;
    table.live = call;
}

void call_leave_live(struct call *call)
{
    if (table.live != call && !call->previous_live)
        return; /* it is just a result */
    if (call->previous_live)
        call->previous_live->next_live = call->next_live;
    else
        table.live = call->next_live;
    if (call->next_live)
        call->next_live->previous_live = call->previous_live;
    call->previous_live = call->next_live = NULL;
}

void call_ready(struct call *call)
{
    if (call->queued || !call->attached)
        return;
    call->queued = true;
    call->next_ready = NULL;
    if (table.ready)
        table.ready_last->next_ready = call;
    else
        table.ready = call;
    table.ready_last = call;
}

/* ---- from OPEN to RELEASE */

enum opened call_open(uint32_t channel, struct request *request, const char **why)
{
    *why = "";
    bool anonymous = id_is_zero(request->id);
    if (!anonymous && (call_by_id(request->id) || id_was_released(request->id)))
        return SEEN;
    *why = "too many calls are open";
    if (table.open_calls >= MAX_OPEN_CALLS)
        return TOO_MANY;
    *why = "too many results wait for release";
    if (table.results >= MAX_RESULTS)
        return TOO_MANY;
    *why = "too many released calls have left something running";
    if (table.left_behind >= MAX_LEFT_BEHIND)
        return TOO_MANY;
    *why = "out of memory";
    struct call *call = calloc(1, sizeof *call);
    if (!call)
        return TOO_MANY;
    *why = "";
    memcpy(call->id, request->id, ID_SIZE);
    call->anonymous = anonymous;
    call->kind = request->kind;
    call->is_file = request->kind != K_EXECUTE;
    call->grace_ms = request->grace_ms;
    call->output_kill = request->output_kill == UINT64_MAX ? 0 : request->output_kill;
    call->started = now_us();
    if (request->timeout_ms)
        call->deadline = call->started + (uint64_t)request->timeout_ms * 1000;
    call->input.wanted = request_takes_stdin(request);
    for (enum role role = 0; role < ROLES; role++)
        call_set_source(call, role, -1);
    if (!anonymous) {
        call->next_by_id = by_id[bucket_of(call->id)];
        by_id[bucket_of(call->id)] = call;
    }
    join_live(call);
    table.open_calls++;
    call_attach(call, channel);
    launch(call, request);
    return ACCEPTED;
}

void calls_detach_all(void)
{
    for (struct call *call = table.ready, *next; call; call = next) {
        next = call->next_ready;
        call->queued = false;
    }
    table.ready = table.ready_last = NULL;
    for (int bucket = 0; bucket < BUCKETS; bucket++)
        while (by_channel[bucket]) {
            struct call *call = by_channel[bucket];
            call_detach(call);
            if (call->anonymous) {
                call_kill(call, KILLED, 0, "");
                call->drops = true;
                call_set_released(call);
            }
        }
}

/* An ended call whose output is acknowledged is just a result. */
void call_settle(struct call *call)
{
    if (call->state != CALL_FINISHED || call->is_result || call->released || call->output.acked < call->output.size)
        return;
    output_free(&call->output);
    call->is_result = true;
    table.open_calls--;
    table.results++;
}

/* Free it once nothing needs it; the memory goes at the end of the turn, as events may still name it. */
void call_bury_when_over(struct call *call)
{
    if (call->dead || call->worker || call->state != CALL_FINISHED)
        return;
    for (enum role role = 0; role < ROLES; role++)
        call_close_source(call, role);
    call_leave_live(call);
    if (!call->released)
        return;
    call_detach(call);
    call->dead = true;
    call->next_live = graves;
    graves = call;
}

void calls_bury(void)
{
    struct call **link = &graves;
    while (*link) {
        struct call *call = *link;
        if (call->queued) { /* the queue lets go of it first */
            link = &call->next_live;
            continue;
        }
        *link = call->next_live;
        output_free(&call->output);
        input_free(&call->input);
        if (call->passed)
            close(call->passed);
        free(call);
    }
}

void call_set_released(struct call *call)
{
    if (call->released)
        return;
    if (call->is_result)
        table.results--;
    else
        table.open_calls--;
    call->released = true;
    if (call->worker) {
        call->left_behind = true;
        table.left_behind++;
    }
    output_free(&call->output);
    call->output.sent = call->output.acked = call->output.size;
    call_bury_when_over(call);
}

void call_release(struct call *call)
{
    if (call->state != CALL_FINISHED)
        return;
    leave_id(call);
    id_remember(call->id);
    call_detach(call);
    call_set_released(call);
}

bool calls_idle(void)
{
    for (struct call *call = table.live; call; call = call->next_live)
        if (call->state != CALL_FINISHED)
            return false;
    return true;
}
