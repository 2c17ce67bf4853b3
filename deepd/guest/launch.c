/* From a request to a worker: pipes or a terminal, a control socket, a fork. */
#include "guest.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NEAR = 0, FAR = 1, CODE_ELSE = 125 };

/* Pairs of descriptors, ours first; -1 where there is none. */
struct ends { int control[2], in[2], out[2], err[2]; };


static void close_side(struct ends *ends, int side)
{
    int *all[] = {ends->control, ends->in, ends->out, ends->err};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i][side] >= 0)
            close(all[i][side]);
        all[i][side] = -1;
    }
}

static bool make_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

static bool out_pipe(int pair[2], bool big)
{
    if (pipe2(pair, O_CLOEXEC) < 0)
        return false;
    if (big)
        (void)fcntl(pair[NEAR], F_SETPIPE_SZ, BIG_PIPE); /* only a gain in speed */
    return make_nonblocking(pair[NEAR]);
}

static bool in_pipe(int pair[2], bool big)
{
    int both[2];
    if (pipe2(both, O_CLOEXEC) < 0)
        return false;
    pair[NEAR] = both[1];
    pair[FAR] = both[0];
    if (big)
        (void)fcntl(pair[NEAR], F_SETPIPE_SZ, BIG_PIPE);
    return make_nonblocking(pair[NEAR]);
}

/* A terminal belongs to who opens it, and without CAP_CHOWN only the file system's user id can say who. */
static int open_master(void)
{
    uid_t former = place.switches ? (uid_t)setfsuid(place.uid) : 0;
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    int error = errno;
    if (place.switches)
        (void)setfsuid(former);
    errno = error;
    return master;
}

static int open_slave(int master)
{
    int slave = -1, number;
#ifdef TIOCGPTPEER
    slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
#endif
    if (slave < 0 && ioctl(master, TIOCGPTN, &number) == 0) {
        char path[32];
        snprintf(path, sizeof path, "/dev/pts/%d", number);
        slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    }
    return slave;
}

/* The master is both our ends, by two descriptors, as each is watched for itself. */
static bool open_pty(struct ends *ends, const struct request *request)
{
    struct winsize size = {.ws_row = request->rows, .ws_col = request->cols};
    int unlocked = 0;
    ends->out[NEAR] = open_master();
    if (ends->out[NEAR] < 0 || ioctl(ends->out[NEAR], TIOCSPTLCK, &unlocked) < 0)
        return false;
    ends->out[FAR] = open_slave(ends->out[NEAR]);
    if (ends->out[FAR] < 0 || ioctl(ends->out[NEAR], TIOCSWINSZ, &size) < 0)
        return false;
    if (!(request->flags & FLAG_STDIN))
        return true;
    ends->in[NEAR] = fcntl(ends->out[NEAR], F_DUPFD_CLOEXEC, FD_FIRST_FREE);
    return ends->in[NEAR] >= 0;
}

/* Opened once: it is what most commands have for their input. */
static bool open_null(struct ends *ends)
{
    static int null = -1;
    if (null < 0)
        null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ends->in[FAR] = null < 0 ? -1 : fcntl(null, F_DUPFD_CLOEXEC, FD_FIRST_FREE);
    if (ends->in[FAR] >= 0)
        return true;
    if (!in_pipe(ends->in, false)) /* an image without it: an input that has ended */
        return false;
    close(ends->in[NEAR]);
    ends->in[NEAR] = -1;
    return true;
}

static const char *open_ends(struct ends *ends, struct call *call, const struct request *request)
{
    if (call->is_pty)
        return open_pty(ends, request) ? NULL : "no terminal";
    if (request->given && (ends->in[FAR] = fcntl(request->given, F_DUPFD_CLOEXEC, FD_FIRST_FREE)) < 0)
        return "no descriptor for its input";
    if (call->input.wanted ? !in_pipe(ends->in, call->is_file) : !call->is_file && !open_null(ends))
        return "no pipe for its input";
    if (!out_pipe(ends->out, call->is_file))
        return "no pipe for its output";
    if (!call->is_file && !(request->flags & FLAG_MERGE) && !out_pipe(ends->err, false))
        return "no pipe for its errors";
    return NULL;
}

static struct stdio stdio_of(const struct ends *ends, bool is_pty)
{
    int out = ends->out[FAR], err = ends->err[FAR] >= 0 ? ends->err[FAR] : out;
    return (struct stdio){ends->in[FAR], out, err, is_pty ? out : -1};
}

static _Noreturn void be_applet(struct request *request, struct ends *ends)
{
    sigset_t none;
    sigemptyset(&none);
    if (dup2(ends->control[FAR], FD_CONTROL) < 0 || dup2(ends->out[FAR], 1) < 0
        || (ends->in[FAR] >= 0 && dup2(ends->in[FAR], 0) < 0))
        _exit(1);
    if (ends->in[FAR] < 0)
        close(0);
    close(2);
    close(FD_SIGNALS);
    close_from(FD_FIRST_FREE);
    (void)signal(SIGTERM, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    applet_run(request);
}

static void watch_ends(struct call *call, struct ends *ends)
{
    call_set_source(call, ROLE_CTL, ends->control[NEAR]);
    call_set_source(call, ROLE_IN, ends->in[NEAR]);
    call_set_source(call, ROLE_OUT, ends->out[NEAR]);
    call_set_source(call, ROLE_ERR, ends->err[NEAR]);
    call_want(call, ROLE_CTL, EPOLLIN);
    call_want(call, ROLE_OUT, EPOLLIN);
    call_want(call, ROLE_ERR, EPOLLIN);
}

static void fail(struct call *call, const char *what)
{
    char note[MAX_NOTE];
    int error = errno;
    snprintf(note, sizeof note, "%s: %s", what, strerror(error));
    call_not_started(call, error, CODE_ELSE, note);
}

static const char *fork_worker(struct call *call, struct request *request, struct ends *ends)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends->control) < 0)
        return "no control socket";
    call->worker = fork();
    if (call->worker == 0 && call->is_file)
        be_applet(request, ends);
    if (call->worker == 0)
        shim_run(request, stdio_of(ends, call->is_pty), ends->control[FAR]);
    return call->worker < 0 ? "cannot start a process" : NULL;
}

void launch(struct call *call, struct request *request)
{
    struct ends ends = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
    call->is_pty = !call->is_file && request->flags & FLAG_PTY;
    if (!call->is_file && request->flags & FLAG_SHELL && !place.shell[0]) {
        call_not_started(call, ENOENT, 127, "the image has no shell: run a program by its argument list, or name a shell");
        return;
    }
    const char *missing = open_ends(&ends, call, request);
    if (!missing && !call->is_file && !call->is_pty)
        call->worker = spare_take(request, stdio_of(&ends, false), &ends.control[NEAR]);
    if (!missing && !call->worker)
        missing = fork_worker(call, request, &ends);
    if (missing) {
        call->worker = 0;
        fail(call, missing);
        close_side(&ends, NEAR);
        close_side(&ends, FAR);
        return;
    }
    close_side(&ends, FAR);
    watch_ends(call, &ends);
}
