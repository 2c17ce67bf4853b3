/* The spare: a shim and the process of its program, forked before a call needs them. Two forks take as long as many a
 * program, so they are made while nobody waits. What does not suit the spare is forked when it comes, as without one.
 *
 * Neither is the sandbox's user yet, so nothing in the sandbox can touch them; both end when the guest lets go of them.
 */
#include "guest.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    NEAR = 0, FAR = 1, STDIO = 3,
    MAX_ORDER = 32 << 10, /* a longer request is read by a process that has it already */
    AGAIN_US = 50000,     /* while something runs, the next one is not made sooner */
    REST_US = 1000,       /* nor, when nothing does, before the owner has heard of the end: it needs a processor too */
    FAILED_US = 1000000,  /* nor after a fork that failed */
    FD_ORDER = FD_SIGNALS,
    POPULATE_READ = 22,   /* MADV_POPULATE_READ, since Linux 5.14; older headers and kernels do without */
};

/* `order` takes one request and its pipes, `control` is the call's from then on. */
static struct { pid_t shim; int control, order; uint64_t due; } spare = {0, -1, -1, 0};

/* What an order brings beside its bytes, aligned for the kernel. */
union passed { struct cmsghdr header; char bytes[CMSG_SPACE(STDIO * sizeof(int))]; };

/* ---- the program's side */

static ssize_t wait_for_order(uint8_t *payload, int fds[STDIO])
{
    union passed passed;
    struct iovec bytes = {.iov_base = payload, .iov_len = MAX_ORDER};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &passed, .msg_controllen = sizeof passed};
    ssize_t got;
    do
        got = recvmsg(FD_ORDER, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (got <= 0 || !header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(STDIO * sizeof(int)))
        return -1;
    memcpy(fds, CMSG_DATA(header), STDIO * sizeof(int));
    return got;
}

/* What it will touch, it touches while nobody waits: a page costs some microseconds at its first use after a fork. */
static void warm_up(uint8_t *payload)
{
    enum { PAGE = 4096, PAGES = 3 };
    extern const char __executable_start, etext;
    volatile uint8_t stack[PAGES * PAGE], *heap = malloc(PAGES * PAGE);
    for (size_t page = 0; page < PAGES; page++) {
        stack[page * PAGE] = 0;
        if (heap)
            heap[page * PAGE] = 0;
    }
    payload[0] = stack[0];
    free((void *)heap);
    uintptr_t text = (uintptr_t)&__executable_start & ~(uintptr_t)(PAGE - 1);
    (void)madvise((void *)text, (uintptr_t)&etext - text, POPULATE_READ);
}

static _Noreturn void be_program(int order, int control)
{
    static uint8_t payload[MAX_ORDER];
    struct request request;
    int fds[STDIO];
    for (int fd = 0; fd < STDIO; fd++) /* taken, so that what it is given comes after them */
        if (dup3(order, fd, O_CLOEXEC) < 0)
            _exit(1);
    int kept[] = {fcntl(order, F_DUPFD_CLOEXEC, FD_FIRST_FREE), fcntl(control, F_DUPFD_CLOEXEC, FD_FIRST_FREE)};
    if (dup3(kept[0], FD_ORDER, O_CLOEXEC) < 0 || dup3(kept[1], FD_CONTROL, O_CLOEXEC) < 0)
        _exit(1);
    close_from(FD_FIRST_FREE);
    (void)setsid();
    warm_up(payload);
    ssize_t size = wait_for_order(payload, fds);
    if (size < 0 || request_parse(&request, payload, (size_t)size))
        _exit(1); /* the guest let go: what it sends makes sense */
    program_run(&request, (struct stdio){fds[0], fds[1], fds[2], -1}, FD_CONTROL);
}

/* ---- the guest's side */

static void let_go(void)
{
    close(spare.control);
    close(spare.order);
    spare.shim = 0;
    spare.control = spare.order = -1;
    spare.due = now_us() + AGAIN_US;
}

static bool make(void)
{
    int control[2], order[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) < 0)
        return false;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, order) < 0) {
        close(control[NEAR]);
        close(control[FAR]);
        return false;
    }
    pid_t pid = fork();
    if (pid == 0) {
        if (shim_fork() == 0)
            be_program(order[FAR], control[FAR]);
        shim_watch(control[FAR]);
    }
    close(control[FAR]);
    close(order[FAR]);
    spare.shim = pid;
    spare.control = control[NEAR];
    spare.order = order[NEAR];
    if (pid < 0)
        let_go();
    return pid > 0;
}

uint64_t spare_keep(uint64_t now)
{
    /* Before its owner speaks, what the guest is held to may not be set yet; a spare has what it had. */
    if (spare.shim || owner.stopping || !owner.greeted)
        return 0;
    if (now >= spare.due) {
        if (make())
            return 0;
        spare.due = now + FAILED_US;
    }
    return spare.due;
}

static bool send_order(const struct request *request, struct stdio stdio)
{
    union passed passed = {.header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec bytes = {.iov_base = (void *)request->wire, .iov_len = request->wire_size};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &passed, .msg_controllen = sizeof passed};
    int fds[STDIO] = {stdio.in, stdio.out, stdio.err};
    passed.header.cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(&passed.header), fds, sizeof fds);
    return sendmsg(spare.order, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)request->wire_size;
}

pid_t spare_take(const struct request *request, struct stdio stdio, int *control)
{
    if (!spare.shim || request->wire_size > MAX_ORDER)
        return 0;
    if (!send_order(request, stdio)) {
        let_go();
        return 0;
    }
    pid_t shim = spare.shim;
    *control = spare.control;
    spare.control = -1;
    let_go();
    return shim;
}

void spare_ended(pid_t pid)
{
    if (pid == spare.shim)
        let_go();
}

void spare_rest(uint64_t now)
{
    if (now + REST_US < spare.due && calls_idle())
        spare.due = now + REST_US;
}

pid_t spare_pid(void) { return spare.shim; }
