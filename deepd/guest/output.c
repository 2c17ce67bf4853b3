/* A call's output: a ring of one window, and which stream each run of bytes came from. */
#include "guest.h"

#include <sys/mman.h>
#include <sys/uio.h>

enum { MAPPED = WINDOW + MAX_SEGMENTS * sizeof(struct segment), READ_MOST = 128 << 10 };

/* Not inherited by workers: they need no copy, and pages that are not shared are not copied on write. */
static bool allocate(struct output *output)
{
    uint8_t *memory = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    (void)madvise(memory, MAPPED, MADV_DONTFORK); /* only a saving */
    output->ring = memory;
    output->segments = (struct segment *)(void *)(memory + WINDOW);
    return true;
}

void output_free(struct output *output)
{
    if (output->ring)
        (void)munmap(output->ring, MAPPED);
    output->ring = NULL;
    output->segments = NULL;
    output->count = 0;
}

size_t output_room(const struct output *output)
{
    if (output->count == MAX_SEGMENTS)
        return 0;
    return WINDOW - (size_t)(output->size - output->acked);
}

static struct segment *segment(const struct output *output, uint32_t index)
{
    return &output->segments[(output->first + index) % MAX_SEGMENTS];
}

static void note_stream(struct output *output, uint8_t stream)
{
    if (output->count && segment(output, output->count - 1)->stream == stream) {
        segment(output, output->count - 1)->end = output->size;
        return;
    }
    *segment(output, output->count++) = (struct segment){output->size, stream};
}

ssize_t output_read(struct output *output, int fd, uint8_t stream, size_t most)
{
    size_t room = output_room(output);
    if (room > most)
        room = most;
    if (room > READ_MOST)
        room = READ_MOST;
    if (!room || (!output->ring && !allocate(output))) {
        errno = ENOBUFS;
        return -1;
    }
    size_t at = output->size % WINDOW, first = WINDOW - at < room ? WINDOW - at : room;
    struct iovec pieces[2] = {{output->ring + at, first}, {output->ring, room - first}};
    ssize_t got = readv(fd, pieces, room > first ? 2 : 1);
    if (got > 0) {
        output->size += (uint64_t)got;
        output->of_stream[stream - 1] += (uint64_t)got;
        note_stream(output, stream);
    }
    return got;
}

void output_ack(struct output *output, uint64_t offset)
{
    if (offset > output->size)
        offset = output->size;
    if (offset <= output->acked)
        return;
    output->acked = offset;
    if (output->sent < offset)
        output->sent = offset;
    while (output->count && segment(output, 0)->end <= offset) {
        output->first = (output->first + 1) % MAX_SEGMENTS;
        output->count--;
    }
}

/* The segment of the first byte that is to be sent. */
static struct segment *segment_of(const struct output *output, uint64_t offset)
{
    uint32_t low = 0, high = output->count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (segment(output, middle)->end <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return segment(output, low);
}

size_t output_next(const struct output *output, uint8_t *to, size_t most, uint8_t *stream)
{
    if (output->sent == output->size)
        return 0;
    struct segment *run = segment_of(output, output->sent);
    size_t size = (size_t)(run->end - output->sent);
    if (size > most)
        size = most;
    size_t at = output->sent % WINDOW, first = WINDOW - at < size ? WINDOW - at : size;
    memcpy(to, output->ring + at, first);
    memcpy(to + first, output->ring, size - first);
    *stream = run->stream;
    return size;
}
