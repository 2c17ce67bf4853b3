/* A way of bytes to the owner and back. There are two: stdin and stdout, which an engine attaches the owner to, and
 * the lane (lane.c).
 */
#include "guest.h"

#include <sys/epoll.h>

enum { OUT = 1 };

struct way attachment;

void attachment_open(void)
{
    attachment.out = OUT; /* and in is 0, without an initialiser, which would put the buffers into the binary */
    reader_reset(&attachment.reader);
    table.writer = &attachment.writer;
    way_watch_in(&attachment, true);
}

void way_watch_in(struct way *way, bool wanted)
{
    if (wanted == way->in_watched || way->always_ready || way->ended)
        return;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &way->reader};
    if (epoll_ctl(table.epoll, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, way->in, &event) == 0)
        way->in_watched = wanted;
    else if (errno == EPERM)
        way->always_ready = true; /* a file */
    else
        die("cannot watch its input");
}

void way_watch_out(struct way *way, bool wanted)
{
    if (wanted == way->out_watched)
        return;
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = &way->writer};
    if (epoll_ctl(table.epoll, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, way->out, &event) < 0)
        die("cannot watch its output");
    way->out_watched = wanted;
}

void way_flush(struct way *way)
{
    if (way->writer.start < way->writer.end && !way->writer.blocked)
        writer_flush(&way->writer, way->out);
    way_watch_out(way, way->writer.blocked);
}
