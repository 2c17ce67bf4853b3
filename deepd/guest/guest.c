/* The guest: the first process of a sandbox. It runs calls and touches files for the owner at its stdin and
 * stdout, or at the lane that this one has offered, in the frames of WIRE.md.
 *
 * One thread, one loop: wait, read frames, hear workers, act on time, send. It waits for nothing but epoll,
 * and its stdout is never waited for: what does not fit stays with its call.
 */
#include "box.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IN = 0, OUT = 1, EVENTS = 64, SEND_AHEAD = 64 << 10, SWEEP_MS = 1, KILL_EVERY = 8 };

static uint64_t stop_at;

_Noreturn void die(const char *what)
{
    dprintf(2, "guest: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- ending */

static void stop(void)
{
    if (owner.stopping)
        return;
    owner.stopping = true;
    stop_at = now_us() + STOP_PATIENCE_MS * 1000;
    for (struct call *call = table.live, *next; call; call = next) {
        next = call->next_live;
        call_kill(call, KILLED, STOP_GRACE_MS, "the guest was told to end");
    }
}

static bool has_workers(void)
{
    pid_t one;
    return calls_workers(&one, 1) > 0;
}

/* ---- what the owner sends */

/* While a lane is open, stdin is for whoever comes next: the newest owner wins. */
static void handle_frames(struct way *way)
{
    struct frame frame;
    while (writer_room(&way->writer) >= CONTROL_ROOM && reader_next(&way->reader, &frame)) {
        if (way == &attachment && lane_is_open()) {
            if (frame.type != F_HELLO)
                continue;
            lane_close();
        }
        owner_frame(&frame);
    }
}

static void end_of_input(void)
{
    way_watch_in(&attachment, false);
    attachment.ended = true;
    attachment.always_ready = false;
    if (!place.is_init)
        stop();
}

static void read_owner(struct way *way)
{
    if ((way == &lane && !lane_is_open()) || writer_room(&way->writer) < CONTROL_ROOM)
        return; /* answers first: an owner that does not read is not read either */
    ssize_t got = way == &lane ? lane_fill() : reader_fill(&way->reader, way->in, NULL);
    bool is_over = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
    if (is_over && way == &attachment)
        end_of_input();
    handle_frames(way);
    if (way == &lane && (is_over || lane.reader.hunting) && lane_is_open()) {
        lane_close(); /* nothing is lost on a lane: what makes no frame is its end */
        owner_lost();
    }
}

static void reap(void)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
        spare_ended(pid);
        call_worker_ended(pid, status);
    }
}

/* As PID 1, only somebody outside may end the guest: a sender in the sandbox has a process id here. */
static void read_signals(void)
{
    struct signalfd_siginfo signals[16];
    ssize_t got = read(FD_SIGNALS, signals, sizeof signals);
    for (ssize_t i = 0; i < got / (ssize_t)sizeof *signals; i++)
        if (signals[i].ssi_signo != SIGCHLD && (!place.is_init || signals[i].ssi_pid == 0))
            stop();
    reap();
}

/* One step against the children of a shim that was killed: stop all, then kill all. */
static void sweep_orphans(void)
{
    static pid_t workers[MAX_OPEN_CALLS + MAX_RESULTS + MAX_LEFT_BEHIND + 1];
    static unsigned step;
    reap();
    int n = calls_workers(workers, (int)(sizeof workers / sizeof *workers) - 1);
    if (spare_pid())
        workers[n++] = spare_pid();
    bool kills = ++step % KILL_EVERY == 0;
    struct look look = tree_signal(getpid(), workers, n, kills ? SIGKILL : SIGSTOP);
    if (!kills && look.found && !look.running)
        look = tree_signal(getpid(), workers, n, SIGKILL);
    reap();
    if (!look.found)
        calls_orphans_gone();
}

/* ---- sending */

static void stage_frames(struct writer *writer)
{
    while (table.ready && !writer->passed && writer->end - writer->start < SEND_AHEAD
           && writer_room(writer) >= SEND_AHEAD) {
        struct call *call = table.ready;
        table.ready = call->next_ready;
        call->queued = false;
        if (call_send_one(call))
            call_ready(call);
    }
}

static void send_ready(void)
{
    struct way *way = lane_is_open() ? &lane : &attachment;
    struct writer *writer = &way->writer;
    if (way == &lane)
        way_flush(&attachment); /* its last word is that the lane is open */
    while (!writer->blocked) {
        stage_frames(writer);
        if (writer->start == writer->end || now_us() < writer->held_until)
            break;
        writer_flush(writer, way->out);
    }
    way_watch_out(way, writer->blocked);
}

/* ---- the loop */

static uint64_t lease_due(uint64_t now)
{
    if (!owner.lease_us)
        return 0;
    if (!calls_idle()) {
        owner.idle_since = now;
        return 0;
    }
    if (now - owner.idle_since >= owner.lease_us)
        exit(0);
    return owner.idle_since + owner.lease_us;
}

static int timeout_ms(void)
{
    uint64_t now = now_us(), due = calls_due(now), lease = lease_due(now), spare = spare_keep(now);
    if (lease && (!due || lease < due))
        due = lease;
    if (spare && (!due || spare < due))
        due = spare;
    uint64_t held_until = table.writer->start < table.writer->end ? table.writer->held_until : 0;
    if (held_until && (!due || held_until < due))
        due = held_until;
    if (owner.stopping) {
        if (now >= stop_at || !has_workers())
            exit(0);
        if (!due || stop_at < due)
            due = stop_at;
    }
    if (attachment.always_ready)
        return 0;
    if (table.sweeping)
        return SWEEP_MS;
    if (!due)
        return -1;
    uint64_t wait = due <= now ? 0 : (due - now + 999) / 1000;
    return wait > 60000 ? 60000 : (int)wait;
}

static void handle(const struct epoll_event *event)
{
    if (event->data.ptr == &attachment.reader)
        read_owner(&attachment);
    else if (event->data.ptr == &lane.reader)
        read_owner(&lane);
    else if (event->data.ptr == &attachment.writer)
        attachment.writer.blocked = false;
    else if (event->data.ptr == &lane.writer)
        lane.writer.blocked = false;
    else if (event->data.ptr == NULL)
        read_signals();
    else
        call_event(event->data.ptr, event->events);
}

static void turn(void)
{
    struct epoll_event events[EVENTS];
    int wait = timeout_ms();
    send_ready();
    int n = epoll_wait(table.epoll, events, EVENTS, wait);
    if (n < 0 && errno != EINTR)
        die("cannot wait");
    for (int i = 0; i < n; i++)
        handle(&events[i]);
    if (attachment.always_ready)
        read_owner(&attachment);
    if (table.sweeping)
        sweep_orphans();
    send_ready();
    handle_frames(&attachment); /* what was kept back for want of room */
    if (lane_is_open())
        handle_frames(&lane);
    send_ready();
    calls_bury();
    way_watch_in(&attachment, writer_room(&attachment.writer) >= CONTROL_ROOM);
    if (lane_is_open())
        way_watch_in(&lane, writer_room(&lane.writer) >= CONTROL_ROOM);
}

static void nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        die("cannot use its stdin and stdout");
}

/* Every worker finds the signals at FD_SIGNALS, and puts its control socket in place of epoll. */
static void open_loop(void)
{
    sigset_t set;
    sigemptyset(&set);
    int numbers[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset(&set, numbers[i]);
    if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
        die("cannot block signals");
    close_from(FD_SIGNALS);
    if (signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC) != FD_SIGNALS)
        die("cannot receive signals");
    table.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (table.epoll != FD_CONTROL || epoll_ctl(table.epoll, EPOLL_CTL_ADD, FD_SIGNALS, &event) < 0)
        die("cannot make its loop");
}

/* An engine may close its end for ever and send later bytes by another way (feed.c): that is no end of input. */
static void hold_own_input(void)
{
    if (place.is_init)
        (void)open("/proc/self/fd/0", O_WRONLY | O_NONBLOCK | O_CLOEXEC); /* for as long as the guest lives */
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--box") == 0)
        box_run(argc, argv);
    if (argc > 1 && strcmp(argv[1], "--feed") == 0)
        feed_run();
    start(argc, argv);
    nonblocking(IN);
    nonblocking(OUT);
    open_loop();
    hold_own_input();
    owner.idle_since = now_us();
    attachment_open();
    for (;;)
        turn();
}
