/* libFuzzer: the reader and the parser of requests, over any bytes. Built with clang -fsanitize=fuzzer,address,undefined
 * from this file, wire.c, passing.c, request.c and ids.c.
 *
 * The first byte says in pieces of which size the rest arrives through a pipe; what comes out as a frame is parsed
 * as a request and as fields, and a frame must come out the same when it is written again.
 */
#include "../../deepd/guest/guest.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static void check_texts(char **texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!texts[i])
            abort();
    if (texts[n])
        abort();
}

static void parse(const struct frame *frame)
{
    struct request request;
    struct field field;
    uint8_t *at = frame->data;
    if (!request_parse(&request, frame->data, frame->size)) {
        check_texts(request.args, request.n_args);
        check_texts(request.env, request.n_env);
    }
    request_free(&request);
    while (field_next(&at, frame->data + frame->size, &field) > 0)
        if (field.data + field.size > frame->data + frame->size)
            abort();
}

static void write_again(const struct frame *frame)
{
    static struct writer writer;
    writer.start = writer.end = 0;
    writer_frame(&writer, frame->type, frame->channel, frame->data, frame->size);
    if (writer.end != HEADER_SIZE + frame->size || memcmp(writer.bytes + HEADER_SIZE, frame->data, frame->size) != 0)
        abort();
}

static void handle(struct reader *reader)
{
    struct frame frame;
    while (reader_next(reader, &frame)) {
        if (frame.size > MAX_PAYLOAD || frame.data + frame.size > reader->bytes + reader->end)
            abort();
        parse(&frame);
        write_again(&frame);
    }
}

/* Frames with right checksums are out of reach for a fuzzer: give it one whose payload is the input. */
static void frame_it(const uint8_t *data, size_t size)
{
    struct frame frame = {.type = F_OPEN, .channel = 1, .size = (uint32_t)size};
    uint8_t *copy = malloc(size + 1);
    if (!copy || size > MAX_PAYLOAD)
        abort();
    memcpy(copy, data, size);
    frame.data = copy;
    parse(&frame);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct reader reader;
    int pipe_ends[2];
    if (!size || size > 32768)
        return 0;
    size_t piece = data[0] + 1u;
    frame_it(data + 1, size - 1);
    reader_reset(&reader);
    reader.hunting = data[0] & 1;
    if (pipe(pipe_ends) < 0)
        abort();
    for (size_t at = 1; at < size; at += piece) {
        size_t some = size - at < piece ? size - at : piece;
        if (write(pipe_ends[1], data + at, some) != (ssize_t)some || reader_fill(&reader, pipe_ends[0], NULL) != (ssize_t)some)
            abort();
        handle(&reader);
    }
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    return 0;
}
