/* Carries bytes to the guest's stdin: `guest --feed`, started in a sandbox by its engine, from outside.
 *
 * Podman's monitor closes a container's stdin for ever when the first client that was attached to it goes. So nobody
 * attaches to it there; this opens the pipe itself, which only a process with all capabilities may, and keeps none.
 */
#include "guest.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { FROM = 0, COMPLAINTS = 2, PIECE = 64 << 10, EXIT_FEED = 1 };
static const char GUEST_INPUT[] = "/proc/1/fd/0";

static _Noreturn void fail(const char *what)
{
    dprintf(COMPLAINTS, "guest: --feed: %s: %s\n", what, strerror(errno));
    exit(EXIT_FEED);
}

static void pass_on(int to, const uint8_t *bytes, size_t size)
{
    while (size) {
        ssize_t done = write(to, bytes, size);
        if (done < 0 && errno != EINTR)
            fail("the guest has gone");
        if (done > 0) {
            bytes += done;
            size -= (size_t)done;
        }
    }
}

void feed_run(void)
{
    static uint8_t piece[PIECE];
    int to = open(GUEST_INPUT, O_WRONLY | O_CLOEXEC);
    if (to < 0)
        fail(GUEST_INPUT);
    if (prctl(PR_SET_DUMPABLE, 0) < 0)
        fail("non-dumpable");
    drop_all();
    for (;;) {
        ssize_t got = read(FROM, piece, sizeof piece);
        if (got == 0)
            exit(0);
        if (got < 0 && errno != EINTR)
            fail("its owner has gone");
        if (got > 0)
            pass_on(to, piece, (size_t)got);
    }
}
