/* Frames, byte for byte as WIRE.md draws them:
 *
 *   0 u32 length | 4 u32 crc over bytes 8.. and payload | 8 u8 type | 9 u8 flags | 10 u16 zero | 12 u32 channel | payload
 */
#include "guest.h"

#include <sys/uio.h>
#include <unistd.h>

static const uint8_t SYNC[SYNC_SIZE] = {
    0x7f, 0x64, 0x65, 0x65, 0x70, 0x64, 0x0d, 0x0a, 0x1a, 0x00, 0x53, 0x59, 0x4e, 0x43, 0xf5, 0x9c,
};

uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

uint64_t get64(const uint8_t *at) { return get32(at) | (uint64_t)get32(at + 4) << 32; }

void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

void put32(uint8_t *at, uint32_t value)
{
    put16(at, (uint16_t)value);
    put16(at + 2, (uint16_t)(value >> 16));
}

void put64(uint8_t *at, uint64_t value)
{
    put32(at, (uint32_t)value);
    put32(at + 4, (uint32_t)(value >> 32));
}

/* CRC-32 (IEEE), eight bytes at a time: step[n][b] is b followed by n zero bytes. */
uint32_t crc32_of(const uint8_t *data, size_t size)
{
    static uint32_t step[8][256];
    if (!step[0][1]) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t crc = byte;
            for (int bit = 0; bit < 8; bit++)
                crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
            step[0][byte] = crc;
        }
        for (uint32_t byte = 0; byte < 256; byte++)
            for (int n = 1; n < 8; n++)
                step[n][byte] = step[n - 1][byte] >> 8 ^ step[0][step[n - 1][byte] & 255];
    }
    uint32_t crc = ~0u;
    for (; size >= 8; size -= 8, data += 8) {
        uint32_t low = get32(data) ^ crc, high = get32(data + 4);
        crc = step[7][low & 255] ^ step[6][low >> 8 & 255] ^ step[5][low >> 16 & 255] ^ step[4][low >> 24]
            ^ step[3][high & 255] ^ step[2][high >> 8 & 255] ^ step[1][high >> 16 & 255] ^ step[0][high >> 24];
    }
    for (; size; size--, data++)
        crc = crc >> 8 ^ step[0][(crc ^ *data) & 255];
    return ~crc;
}

void reader_reset(struct reader *reader)
{
    reader->start = reader->end = 0;
    reader->hunting = true;
}

ssize_t reader_fill(struct reader *reader, int fd, int *descriptor)
{
    if (reader->start == reader->end) {
        reader->start = reader->end = 0;
    } else if (sizeof reader->bytes - reader->end < HEADER_SIZE + MAX_PAYLOAD) {
        memmove(reader->bytes, reader->bytes + reader->start, reader->end - reader->start);
        reader->end -= reader->start;
        reader->start = 0;
    }
    uint8_t *to = reader->bytes + reader->end;
    size_t room = sizeof reader->bytes - reader->end;
    ssize_t got = descriptor ? receive_passed(fd, to, room, descriptor, 0) : read(fd, to, room);
    if (got > 0)
        reader->end += (size_t)got;
    return got;
}

/* Drop bytes up to and with SYNC; keep a tail that may be its beginning. */
static bool hunt(struct reader *reader)
{
    size_t size = reader->end - reader->start;
    uint8_t *found = memmem(reader->bytes + reader->start, size, SYNC, SYNC_SIZE);
    if (found) {
        reader->start = (size_t)(found - reader->bytes) + SYNC_SIZE;
        reader->hunting = false;
        return true;
    }
    if (size >= SYNC_SIZE)
        reader->start = reader->end - (SYNC_SIZE - 1);
    return false;
}

bool reader_next(struct reader *reader, struct frame *frame)
{
    for (;;) {
        if (reader->hunting && !hunt(reader))
            return false;
        uint8_t *header = reader->bytes + reader->start;
        size_t size = reader->end - reader->start;
        if (size < HEADER_SIZE)
            return false;
        uint32_t length = get32(header), crc = get32(header + 4);
        if (length > MAX_PAYLOAD || (length == 0 && crc == 0) || header[10] || header[11]) {
            reader->start++;
            reader->hunting = true;
            continue;
        }
        if (size < HEADER_SIZE + length)
            return false;
        reader->start += HEADER_SIZE + length;
        if (crc32_of(header + 8, HEADER_SIZE - 8 + length) != crc) {
            reader->hunting = true;
            continue;
        }
        *frame = (struct frame){header[8], header[9], get32(header + 12), length, header + HEADER_SIZE};
        return true;
    }
}

size_t writer_room(const struct writer *writer)
{
    size_t room = sizeof writer->bytes - writer->end;
    return room < HEADER_SIZE ? 0 : room - HEADER_SIZE;
}

uint8_t *writer_payload(struct writer *writer) { return writer->bytes + writer->end + HEADER_SIZE; }

void writer_seal(struct writer *writer, uint8_t type, uint32_t channel, size_t size)
{
    uint8_t *header = writer->bytes + writer->end;
    put32(header, (uint32_t)size);
    header[8] = type;
    header[9] = 0;
    put16(header + 10, 0);
    put32(header + 12, channel);
    put32(header + 4, crc32_of(header + 8, HEADER_SIZE - 8 + size));
    writer->end += HEADER_SIZE + size;
    writer->held_until = 0;
}

void writer_hold(struct writer *writer, uint64_t until) { writer->held_until = until; }

void writer_pass(struct writer *writer, int descriptor)
{
    writer->passed = descriptor;
    writer->pass_at = writer->end;
}

void writer_drop_passed(struct writer *writer)
{
    if (writer->passed)
        close(writer->passed);
    writer->passed = 0;
}

void writer_frame(struct writer *writer, uint8_t type, uint32_t channel, const void *data, size_t size)
{
    if (size > writer_room(writer))
        return; /* callers look for room first; a frame is never cut */
    memcpy(writer_payload(writer), data, size);
    writer_seal(writer, type, channel, size);
}

void writer_resync(struct writer *writer)
{
    writer->start = 0;
    memset(writer->bytes, 0, RESYNC_ZEROS);
    memcpy(writer->bytes + RESYNC_ZEROS, SYNC, SYNC_SIZE);
    writer->end = RESYNC_ZEROS + SYNC_SIZE;
}

/* As write(2): up to what has a descriptor to go with it, or from there on with that. */
static ssize_t put(struct writer *writer, int fd)
{
    const uint8_t *from = writer->bytes + writer->start;
    bool is_before = writer->passed && writer->start < writer->pass_at;
    if (!writer->passed || is_before)
        return write(fd, from, (is_before ? writer->pass_at : writer->end) - writer->start);
    ssize_t sent = send_passing(fd, from, writer->end - writer->start, writer->passed, 0);
    if (sent > 0)
        writer_drop_passed(writer);
    return sent;
}

void writer_flush(struct writer *writer, int fd)
{
    writer->blocked = false;
    while (writer->start < writer->end) {
        ssize_t sent = put(writer, fd);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN) {
            writer->blocked = true;
            break;
        }
        if (sent < 0) { /* nobody listens any more: a new owner begins with HELLO */
            writer->start = writer->end;
            writer_drop_passed(writer);
            break;
        }
        writer->start += (size_t)sent;
    }
    if (writer->start == writer->end) {
        writer->start = writer->end = 0;
    } else if (writer->start > sizeof writer->bytes / 2) {
        memmove(writer->bytes, writer->bytes + writer->start, writer->end - writer->start);
        writer->end -= writer->start;
        writer->pass_at -= writer->passed ? writer->start : 0;
        writer->start = 0;
    }
}

int field_next(uint8_t **at, uint8_t *end, struct field *field)
{
    if (*at == end)
        return 0;
    if (end - *at < 5)
        return -1;
    uint32_t size = get32(*at + 1);
    if (size > (size_t)(end - *at) - 5)
        return -1;
    *field = (struct field){**at, size, *at + 5};
    *at += 5 + size;
    return 1;
}

uint8_t *field_put(uint8_t *at, uint8_t tag, const void *data, size_t size)
{
    *at = tag;
    put32(at + 1, (uint32_t)size);
    if (size)
        memcpy(at + 5, data, size);
    return at + 5 + size;
}

uint8_t *field_put32(uint8_t *at, uint8_t tag, uint32_t value)
{
    uint8_t bytes[4];
    put32(bytes, value);
    return field_put(at, tag, bytes, sizeof bytes);
}

uint8_t *field_put64(uint8_t *at, uint8_t tag, uint64_t value)
{
    uint8_t bytes[8];
    put64(bytes, value);
    return field_put(at, tag, bytes, sizeof bytes);
}
