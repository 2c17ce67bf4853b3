/* A call's streams: read while it runs, to their end when it is over, and for what it left running. */
#include "guest.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SCRATCH = 64 << 10 };
#define ALL_LEFT UINT64_MAX

void call_set_source(struct call *call, enum role role, int fd)
{
    call->sources[role] = (struct source){call, role, fd, 0};
}

void call_want(struct call *call, enum role role, uint32_t events)
{
    struct source *source = &call->sources[role];
    if (source->fd < 0 || source->events == events)
        return;
    struct epoll_event event = {.events = events, .data.ptr = source};
    int how = !source->events ? EPOLL_CTL_ADD : events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
    if (epoll_ctl(table.epoll, how, source->fd, &event) == 0)
        source->events = events;
    else if (events && call->state == CALL_RUNNING)
        call_kill(call, KILLED, 0, "no memory to watch it");
}

/* Taken out of epoll by hand: a worker that was just forked may still hold the same open file. */
void call_close_source(struct call *call, enum role role)
{
    struct source *source = &call->sources[role];
    if (source->fd < 0)
        return;
    call_want(call, role, 0);
    close(source->fd);
    source->fd = -1;
    source->events = 0;
}

/* ---- the end of a call */

static void decide_code(struct call *call)
{
    switch (call->how) {
    case RUNS:
        call->how = WIFSIGNALED(call->wait_status) ? SIGNALLED : EXITED;
        call->code = (uint32_t)(WIFSIGNALED(call->wait_status) ? 128 + WTERMSIG(call->wait_status)
                                                               : WEXITSTATUS(call->wait_status));
        break;
    case TIMED_OUT: case KILLED: case OUTPUT:
        call->code = 128 + (call->last_signal ? call->last_signal : SIGKILL);
        break;
    default:
        break;
    }
}

static void finish(struct call *call)
{
    decide_code(call);
    call->state = CALL_FINISHED;
    call->wall = call->ended - call->started;
    call->drops = true;
    call->quiet = 0;
    input_free(&call->input);
    call_close_source(call, ROLE_IN);
    for (enum role role = ROLE_OUT; role <= ROLE_ERR; role++) /* what is left running must not block */
        call_want(call, role, EPOLLIN);
    call_settle(call);
    call_ready(call);
    call_bury_when_over(call);
    spare_rest(now_us());
}

static bool stream_is_done(const struct call *call, enum role role)
{
    return call->sources[role].fd < 0 || call->drops || call->left[role - ROLE_OUT] == 0;
}

void call_check_end(struct call *call)
{
    if (call->state == CALL_ENDING && stream_is_done(call, ROLE_OUT) && stream_is_done(call, ROLE_ERR))
        finish(call);
}

static void drop_some(struct call *call, enum role role)
{
    static uint8_t scratch[SCRATCH];
    ssize_t got = read(call->sources[role].fd, scratch, sizeof scratch);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        call_close_source(call, role);
}

static size_t most_to_read(const struct call *call, uint64_t left)
{
    uint64_t most = call->state == CALL_ENDING ? left : ALL_LEFT;
    if (call->output_kill && call->output_kill + 1 - call->output.size < most)
        most = call->output_kill + 1 - call->output.size; /* one more shows that it is over */
    return most > SIZE_MAX ? SIZE_MAX : (size_t)most;
}

static void count_read(struct call *call, enum role role, size_t got)
{
    uint64_t *left = &call->left[role - ROLE_OUT];
    if (call->state == CALL_ENDING && *left != ALL_LEFT)
        *left -= got;
    if (call->quiet)
        call->quiet = now_us() + PTY_QUIET_MS * 1000;
    if (call->output_kill && call->output.size > call->output_kill) {
        call->drops = true;
        if (call->state == CALL_RUNNING)
            call_kill(call, OUTPUT, 0, "it printed more than it may");
        else if (call->how == RUNS)
            call->how = OUTPUT;
    }
    call_ready(call);
}

static void pull(struct call *call, enum role role)
{
    struct source *source = &call->sources[role];
    if (source->fd < 0)
        return;
    if (call->drops) {
        drop_some(call, role);
        call_check_end(call);
        return;
    }
    if (call->state == CALL_ENDING && call->left[role - ROLE_OUT] == 0) {
        call_want(call, role, 0); /* until the other stream is done too */
        return;
    }
    uint8_t stream = role == ROLE_OUT ? 1 : 2;
    ssize_t got = output_read(&call->output, source->fd, stream, most_to_read(call, call->left[role - ROLE_OUT]));
    if (got > 0)
        count_read(call, role, (size_t)got);
    else if (got == 0 || (errno != EAGAIN && errno != EINTR && errno != ENOBUFS))
        call_close_source(call, role); /* a terminal says EIO */
    if (!call->drops && output_room(&call->output) == 0)
        call_want(call, role, 0);
    call_check_end(call);
}

/* Nobody writes to it any more, and all that was written has been read. */
static void close_ended(struct call *call, enum role role)
{
    call_close_source(call, role);
    call_check_end(call);
}

static void read_again(struct call *call)
{
    if (call->drops || output_room(&call->output) == 0)
        return;
    for (enum role role = ROLE_OUT; role <= ROLE_ERR; role++)
        if (call->state == CALL_RUNNING || call->left[role - ROLE_OUT])
            call_want(call, role, EPOLLIN);
}

void call_ack(struct call *call, uint64_t offset)
{
    output_ack(&call->output, offset);
    read_again(call);
    call_settle(call);
}

static uint64_t waiting_in(const struct call *call, enum role role)
{
    int size = 0;
    if (call->sources[role].fd < 0 || call->drops)
        return 0;
    if (call->is_file || call->is_pty)
        return ALL_LEFT;
    return ioctl(call->sources[role].fd, FIONREAD, &size) == 0 && size > 0 ? (uint64_t)size : 0;
}

/* Its main process is over (and its tree, when it was killed): what is in its pipes now is still its output. */
void call_begin_ending(struct call *call)
{
    if (call->state != CALL_RUNNING)
        return;
    call->state = CALL_ENDING;
    call->deadline = 0;
    if (!call->ended)
        call->ended = now_us();
    input_close(call);
    for (enum role role = ROLE_OUT; role <= ROLE_ERR; role++)
        call->left[role - ROLE_OUT] = waiting_in(call, role);
    if (call->is_pty) {
        call->quiet = call->ended + PTY_QUIET_MS * 1000;
        call->linger = call->ended + PTY_LINGER_MS * 1000;
    }
    for (enum role role = ROLE_OUT; role <= ROLE_ERR; role++)
        if (call->state == CALL_ENDING && call->left[role - ROLE_OUT])
            pull(call, role);
    call_check_end(call);
}

void call_event(struct source *source, uint32_t events)
{
    struct call *call = source->call;
    if (source->fd < 0 || call->dead)
        return;
    switch (source->role) {
    case ROLE_CTL: call_read_control(call); break;
    case ROLE_IN:
        if (events & EPOLLERR)
            input_close(call);
        else
            input_push(call);
        break;
    default:
        if ((events & (EPOLLIN | EPOLLHUP)) == EPOLLHUP)
            close_ended(call, source->role);
        else
            pull(call, source->role);
    }
}
