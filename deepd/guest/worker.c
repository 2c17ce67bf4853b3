/* What workers say, how they end, and how they are ended; and what is due when. */
#include "guest.h"

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

void call_set_note(struct call *call, const char *note)
{
    if (!call->note[0])
        snprintf(call->note, sizeof call->note, "%s", note);
}

static void hear(struct call *call, struct shim_message *message)
{
    message->note[MAX_NOTE - 1] = 0;
    switch (message->what) {
    case SHIM_EXITED:
        call->exited = true;
        call->wait_status = (int)message->value;
        call->ended = now_us();
        if (!call->killing)
            call_begin_ending(call);
        break;
    case SHIM_NOT_STARTED:
        call->how = NOT_STARTED;
        call->error = message->value;
        call->code = message->code;
        call->note[0] = 0;
        call_set_note(call, message->note);
        break;
    case SHIM_GONE:
        call->gone = true;
        call->last_signal = message->value;
        call->patience = 0;
        call_begin_ending(call);
        break;
    case APPLET_DONE:
        call->gone = true;
        call->error = message->value;
        call->code = message->code;
        if (call->how == RUNS)
            call->how = FILE_ENDED;
        call_set_note(call, message->note);
        break;
    default:
        break;
    }
}

void call_read_control(struct call *call)
{
    struct shim_message message;
    int passed;
    while (call->sources[ROLE_CTL].fd >= 0) {
        ssize_t got = receive_passed(call->sources[ROLE_CTL].fd, &message, sizeof message, &passed, MSG_DONTWAIT);
        if (passed && call->anonymous && !call->passed)
            call->passed = passed; /* a file to read; nothing else passes one */
        else if (passed)
            close(passed);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got != (ssize_t)sizeof message) {
            call_close_source(call, ROLE_CTL);
            return;
        }
        hear(call, &message);
    }
}

static struct call *by_worker(pid_t worker)
{
    struct call *call = table.live;
    while (call && call->worker != worker)
        call = call->next_live;
    return call;
}

static void applet_ended(struct call *call, int status)
{
    if (!call->gone && call->how == RUNS) {
        char text[64];
        call->how = FILE_ENDED;
        call->code = 1;
        call->error = EIO;
        snprintf(text, sizeof text, "its process was ended by signal %d", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        call_set_note(call, text);
    }
    if (call->killing)
        call->last_signal = WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : SIGTERM;
    call_begin_ending(call);
}

/* A shim that went without a word was killed by what it ran: its children are ours now, and end too. */
static void shim_was_killed(struct call *call)
{
    call->orphaned = true;
    table.sweeping = true;
    if (call->state != CALL_RUNNING)
        return;
    call->last_signal = SIGKILL;
    if (!call->exited && call->how == RUNS) {
        call->how = SIGNALLED;
        call->code = 128 + SIGKILL;
    }
    call_set_note(call, "the process that watched over it was killed");
}

void call_worker_ended(pid_t worker, int status)
{
    struct call *call = by_worker(worker);
    if (!call)
        return; /* an orphan */
    call_read_control(call);
    call->worker = 0;
    call->patience = 0;
    if (call->left_behind) {
        call->left_behind = false;
        table.left_behind--;
    }
    if (call->is_file)
        applet_ended(call, status);
    else if (!call->gone)
        shim_was_killed(call);
    call_bury_when_over(call);
}

void calls_orphans_gone(void)
{
    table.sweeping = false;
    for (struct call *call = table.live, *next; call; call = next) {
        next = call->next_live;
        if (call->orphaned)
            call_begin_ending(call);
    }
}

int calls_workers(pid_t *to, int most)
{
    int n = 0;
    for (struct call *call = table.live; call && n < most; call = call->next_live)
        if (call->worker)
            to[n++] = call->worker;
    return n;
}

void call_tell_shim(struct call *call, uint32_t what, uint32_t value)
{
    struct shim_message message = {.what = what, .value = value};
    if (call->sources[ROLE_CTL].fd >= 0 && !call->is_file) /* one that is gone or stuck is seen to by `patience` */
        (void)send(call->sources[ROLE_CTL].fd, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void call_kill(struct call *call, enum how how, uint32_t grace_ms, const char *note)
{
    if (call->state == CALL_RUNNING && !call->killing) {
        call->killing = true;
        call->deadline = 0;
        if (call->how == RUNS)
            call->how = how;
        call_set_note(call, note);
    }
    if (!call->worker)
        return;
    uint64_t patience = now_us();
    if (call->is_file) {
        (void)kill(call->worker, SIGTERM);
        patience += APPLET_PATIENCE_MS * 1000;
    } else {
        call_tell_shim(call, SHIM_KILL, grace_ms);
        patience += (uint64_t)(grace_ms + SHIM_PATIENCE_MS) * 1000;
    }
    if (!call->patience || patience < call->patience)
        call->patience = patience;
}

void call_not_started(struct call *call, int error, uint32_t code, const char *note)
{
    call->how = call->is_file ? FILE_ENDED : NOT_STARTED;
    call->error = (uint32_t)error;
    call->code = call->is_file ? 1 : code;
    call_set_note(call, note);
    call_begin_ending(call);
}

/* ---- time */

static void earlier(uint64_t *next, uint64_t time)
{
    if (time && (!*next || time < *next))
        *next = time;
}

static void act_on_time(struct call *call, uint64_t now)
{
    if (call->deadline && now >= call->deadline)
        call_kill(call, TIMED_OUT, call->grace_ms, "");
    if (call->patience && now >= call->patience) {
        call->patience = 0;
        if (call->worker)
            (void)kill(call->worker, SIGKILL); /* reaped like any other end */
    }
    if (call->quiet && output_room(&call->output) == 0) { /* it waits for the owner, not for the terminal */
        call->quiet = now + PTY_QUIET_MS * 1000;
        call->linger = now + PTY_LINGER_MS * 1000;
    }
    if (call->quiet && (now >= call->quiet || now >= call->linger)) {
        call->quiet = 0;
        call->left[0] = call->left[1] = 0;
        call_check_end(call);
    }
}

uint64_t calls_due(uint64_t now)
{
    uint64_t due = 0;
    for (struct call *call = table.live, *next; call; call = next) {
        next = call->next_live;
        act_on_time(call, now);
        earlier(&due, call->deadline);
        earlier(&due, call->patience);
        earlier(&due, call->quiet);
    }
    return due;
}
