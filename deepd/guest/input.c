/* A call's stdin: credit for the owner, and a ring of what the program has not taken yet. */
#include "guest.h"

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

static bool allocate(struct input *input)
{
    void *memory = mmap(NULL, STDIN_WINDOW, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    (void)madvise(memory, STDIN_WINDOW, MADV_DONTFORK); /* only a saving */
    input->ring = memory;
    return true;
}

void input_free(struct input *input)
{
    if (input->ring)
        (void)munmap(input->ring, STDIN_WINDOW);
    input->ring = NULL;
}

/* Nobody reads it any more: what comes is taken and dropped, so that its sender is not stuck. */
void input_close(struct call *call)
{
    call->input.closed = true;
    call->input.taken = call->input.received;
    call_close_source(call, ROLE_IN);
    input_free(&call->input);
    call_ready(call);
}

static void store(struct input *input, const uint8_t *data, size_t size)
{
    if (!size)
        return;
    size_t at = input->received % STDIN_WINDOW, first = STDIN_WINDOW - at < size ? STDIN_WINDOW - at : size;
    memcpy(input->ring + at, data, first);
    memcpy(input->ring, data + first, size - first);
    input->received += size;
}

/* A terminal has no end of input, only a character for it: once at the start of a line, twice within one. */
static void end_terminal(struct call *call)
{
    struct termios settings;
    uint8_t end = 4;
    if (tcgetattr(call->sources[ROLE_OUT].fd, &settings) == 0)
        end = settings.c_cc[VEOF];
    uint8_t twice[2] = {end, end};
    struct input *input = &call->input;
    size_t size = input->received == 0 || input->last == '\n' ? 1 : 2;
    if (input->received - input->taken + size > STDIN_WINDOW || (!input->ring && !allocate(input)))
        return; /* its program does not read: it would not see the end either */
    store(input, twice, size);
    input->added = size;
}

/* As much as goes at once; true when the program's pipe is full or gone. */
static bool write_now(struct call *call, const struct iovec *pieces, int n, size_t *written)
{
    ssize_t sent = writev(call->sources[ROLE_IN].fd, pieces, n);
    *written = sent > 0 ? (size_t)sent : 0;
    if (sent >= 0 || errno == EINTR)
        return false;
    if (errno != EAGAIN)
        input_close(call);
    return true;
}

void input_push(struct call *call)
{
    struct input *input = &call->input;
    while (!input->closed && input->taken < input->received) {
        size_t size = (size_t)(input->received - input->taken), at = input->taken % STDIN_WINDOW;
        size_t first = STDIN_WINDOW - at < size ? STDIN_WINDOW - at : size, written;
        struct iovec pieces[2] = {{input->ring + at, first}, {input->ring, size - first}};
        bool stuck = write_now(call, pieces, size > first ? 2 : 1, &written);
        if (input->closed)
            return;
        input->taken += written;
        if (stuck)
            break;
    }
    if (input->closed)
        return;
    bool empty = input->taken == input->received;
    if (empty && input->eof && !call->is_pty) {
        input_close(call);
        return;
    }
    call_want(call, ROLE_IN, empty ? 0 : EPOLLOUT);
    call_ready(call);
}

/* Straight to the program when nothing waits before it, the rest to the ring. */
static void take(struct call *call, const uint8_t *data, size_t size)
{
    struct input *input = &call->input;
    size_t written = 0;
    if (!input->closed && input->taken == input->received) {
        struct iovec piece = {(void *)(uintptr_t)data, size};
        (void)write_now(call, &piece, 1, &written);
    }
    if (!input->closed && written < size && !input->ring && !allocate(input)) {
        call_kill(call, KILLED, 0, "no memory for its input");
        return;
    }
    if (input->closed) {
        input->received += size;
        input->taken = input->received;
        call_ready(call);
        return;
    }
    input->received += written;
    input->taken += written;
    store(input, data + written, size - written);
}

void input_receive(struct call *call, const uint8_t *data, size_t size, bool fin)
{
    struct input *input = &call->input;
    if (input->eof || call->state != CALL_RUNNING)
        return;
    if (!input->wanted) {
        if (size)
            call_kill(call, KILLED, 0, "input was sent to a call that takes none");
        return;
    }
    if (size > input->granted - input->received) {
        call_kill(call, KILLED, 0, "more input was sent than was granted");
        return;
    }
    if (size) {
        input->last = data[size - 1];
        take(call, data, size);
    }
    if (fin) {
        input->eof = true;
        if (call->is_pty && !input->closed)
            end_terminal(call);
    }
    if (!input->closed)
        input_push(call);
}

bool input_credit(struct call *call, uint64_t *credit)
{
    struct input *input = &call->input;
    if (!input->wanted || input->eof || call->state != CALL_RUNNING)
        return false;
    *credit = input->taken + STDIN_WINDOW;
    return !input->told || *credit - input->granted >= CREDIT_STEP;
}
