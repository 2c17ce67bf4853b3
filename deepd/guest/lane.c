/* The lane: a socket of the owner's own in place of stdin and stdout, where both are under one kernel. The guest dials
 * it in a folder that is mounted for that, when the owner says so, and nothing here can make it wait.
 *
 * Other processes of the sandbox see the folder too, and may run as the guest's user. So the guest proves itself by a
 * secret that only its stdin had, and believes no listener that has a process id in its own sandbox.
 */
#include "guest.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { TAG_NAME = 1, TAG_TOKEN = 2, MAX_NAME = 32, TOKEN_SIZE = 32, SEND_BUFFER = 1 << 20, MOST_GIVEN = 16 };

struct way lane; /* its descriptors are 0 while it is closed */
static int given[MOST_GIVEN];
static size_t n_given;

struct offer { char name[MAX_NAME + 1]; uint8_t token[TOKEN_SIZE]; bool has_token; };

static bool take_name(struct offer *offer, const struct field *field)
{
    if (!field->size || field->size > MAX_NAME)
        return false;
    for (uint32_t i = 0; i < field->size; i++)
        if ((field->data[i] < '0' || field->data[i] > '9') && (field->data[i] < 'a' || field->data[i] > 'z'))
            return false;
    memcpy(offer->name, field->data, field->size);
    offer->name[field->size] = 0;
    return true;
}

static bool read_offer(const struct frame *frame, struct offer *offer)
{
    uint8_t *at = frame->data;
    struct field field;
    int more;
    *offer = (struct offer){.has_token = false};
    while ((more = field_next(&at, frame->data + frame->size, &field)) > 0) {
        if (field.tag == TAG_NAME && !take_name(offer, &field))
            return false;
        if (field.tag == TAG_TOKEN && field.size == TOKEN_SIZE) {
            memcpy(offer->token, field.data, TOKEN_SIZE);
            offer->has_token = true;
        }
    }
    return more == 0 && offer->name[0] && offer->has_token;
}

/* A process outside of a sandbox has no id in it. */
static bool is_outside(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (!place.is_init)
        return true;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == 0;
}

/* Returns 0 or errno. The token is sent in one piece: a fresh socket has room for it. */
static int dial(int fd, const struct offer *offer)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint8_t proof[TOKEN_SIZE + sizeof place.boot];
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", place.lane, offer->name);
    if (length < 0 || (size_t)length >= sizeof address.sun_path)
        return ENAMETOOLONG;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return errno;
    if (!is_outside(fd))
        return EPERM;
    memcpy(proof, offer->token, TOKEN_SIZE);
    memcpy(proof + TOKEN_SIZE, place.boot, sizeof place.boot);
    ssize_t sent = send(fd, proof, sizeof proof, MSG_NOSIGNAL);
    return sent == (ssize_t)sizeof proof ? 0 : sent < 0 ? errno : EIO;
}

static void take(int in, int out)
{
    int size = SEND_BUFFER;
    (void)setsockopt(out, SOL_SOCKET, SO_SNDBUF, &size, sizeof size); /* only a gain in speed */
    lane.in = in;
    lane.out = out;
    reader_reset(&lane.reader);
    lane.reader.hunting = false;
    lane.writer.start = lane.writer.end = 0;
    lane.writer.blocked = false;
    lane.writer.held_until = 0;
    way_watch_in(&lane, true);
    table.writer = &lane.writer;
}

bool lane_is_open(void) { return lane.in > 0; }

int lane_open(const struct frame *frame)
{
    struct offer offer;
    if (lane_is_open())
        return EALREADY;
    if (!read_offer(frame, &offer))
        return EINVAL;
    if (!*place.lane)
        return EOPNOTSUPP;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int error = dial(fd, &offer);
    int out = error ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FD_FIRST_FREE);
    if (!error && out < 0)
        error = errno;
    if (error)
        close(fd);
    else
        take(fd, out);
    return error;
}

static int next_given(void)
{
    if (!n_given)
        return 0;
    int first = given[0];
    memmove(given, given + 1, --n_given * sizeof *given);
    return first;
}

/* What does not fit is a request's whose bytes did not come. */
ssize_t lane_fill(void)
{
    int came;
    ssize_t got = reader_fill(&lane.reader, lane.in, &came);
    if (came && n_given < MOST_GIVEN)
        given[n_given++] = came;
    else if (came)
        close(came);
    return got;
}

/* They come in the order of the requests; the inode shows that none of these was lost on the way. */
int lane_given(uint64_t inode, uint64_t size)
{
    struct stat status;
    int fd;
    while ((fd = next_given())) {
        if (fstat(fd, &status) == 0 && status.st_ino == inode && (uint64_t)status.st_size == size)
            return fd;
        close(fd);
    }
    return 0;
}

/* Shut, not only closed: a worker that was just forked may still hold the same socket. */
void lane_close(void)
{
    way_watch_in(&lane, false);
    way_watch_out(&lane, false);
    (void)shutdown(lane.in, SHUT_RDWR);
    close(lane.in);
    close(lane.out);
    lane.in = lane.out = 0;
    writer_drop_passed(&lane.writer);
    for (int left; (left = next_given());)
        close(left);
    table.writer = &attachment.writer;
}
