/* What the owner's frames ask for. */
#include "guest.h"

#include <stdlib.h>
#include <sys/ioctl.h>

enum { MAX_PENDING = 256, MAX_SIGNAL = 64, HOLD_US = 2000 };

/* A request whose last piece is still to come. */
struct pending { uint32_t channel; uint8_t *data; size_t size; bool too_large; struct pending *next; };

struct owner owner;
static struct pending *pending;
static size_t pending_bytes, n_pending;
static bool attached;

static void send_opened(uint32_t channel, enum opened status, const char *why)
{
    uint8_t payload[4 + 128];
    size_t size = strlen(why);
    if (size > sizeof payload - 4)
        size = sizeof payload - 4;
    put32(payload, status);
    memcpy(payload + 4, why, size);
    writer_frame(table.writer, F_OPENED, channel, payload, 4 + size);
}

static void open_request(uint32_t channel, const uint8_t *data, size_t size)
{
    struct request request;
    const char *why = request_parse(&request, data, size);
    enum opened status = why ? BAD_REQUEST : ACCEPTED;
    if (!why && (channel == 0 || call_by_channel(channel))) {
        status = BAD_REQUEST;
        why = channel ? "the channel is in use" : "channel 0 is not for calls";
    }
    if (request.has_given && !(request.given = lane_given(request.given_inode, request.size)) && status == ACCEPTED) {
        status = NOT_GIVEN;
        why = "its bytes did not come with it";
    }
    if (status == ACCEPTED)
        status = call_open(channel, &request, &why);
    /* Each write on this stream wakes three processes on its way: where the owner has nothing to send before
     * the call's first output or end, the answer travels with that, when it comes soon. */
    bool can_wait = status == ACCEPTED && table.writer->start == table.writer->end && !request_takes_stdin(&request);
    send_opened(channel, status, why);
    if (can_wait)
        writer_hold(table.writer, now_us() + HOLD_US);
    request_free(&request);
}

static struct pending **find_pending(uint32_t channel)
{
    struct pending **link = &pending;
    while (*link && (*link)->channel != channel)
        link = &(*link)->next;
    return link;
}

static void drop_pending(struct pending **link)
{
    struct pending *gone = *link;
    *link = gone->next;
    pending_bytes -= gone->size;
    n_pending--;
    free(gone->data);
    free(gone);
}

/* Add a piece; a request that grows too large keeps nothing, and is refused at its end. */
static void add_piece(struct pending *part, const struct frame *frame)
{
    uint8_t *grown = NULL;
    if (!part->too_large && part->size + frame->size <= MAX_OPEN_BYTES && pending_bytes + frame->size <= MAX_PENDING_BYTES)
        grown = realloc(part->data, part->size + frame->size + 1);
    if (!grown) {
        part->too_large = true;
        pending_bytes -= part->size;
        part->size = 0;
        return;
    }
    part->data = grown;
    memcpy(part->data + part->size, frame->data, frame->size);
    part->size += frame->size;
    pending_bytes += frame->size;
}

static void on_open(const struct frame *frame)
{
    struct pending **link = find_pending(frame->channel);
    if (!*link && frame->flags & FIN) {
        open_request(frame->channel, frame->data, frame->size);
        return;
    }
    if (!*link) {
        if (n_pending == MAX_PENDING || !(*link = calloc(1, sizeof **link)))
            return; /* its last piece will be refused as malformed */
        (*link)->channel = frame->channel;
        n_pending++;
    }
    add_piece(*link, frame);
    if (!(frame->flags & FIN))
        return;
    if ((*link)->too_large)
        send_opened(frame->channel, BAD_REQUEST, "the request is too large");
    else
        open_request(frame->channel, (*link)->data, (*link)->size);
    drop_pending(link);
}

static uint32_t hello_number(const struct frame *frame, uint8_t tag, uint32_t missing)
{
    uint8_t *at = frame->data;
    struct field field;
    while (field_next(&at, frame->data + frame->size, &field) > 0)
        if (field.tag == tag && field.size == 4)
            missing = get32(field.data);
    return missing;
}

static bool hello_nonce(const struct frame *frame, uint8_t nonce[NONCE_SIZE])
{
    uint8_t *at = frame->data;
    struct field field;
    bool found = false;
    while (field_next(&at, frame->data + frame->size, &field) > 0)
        if (field.tag == 1 && field.size == NONCE_SIZE) {
            memcpy(nonce, field.data, NONCE_SIZE);
            found = true;
        }
    return found;
}

static void send_welcome(const uint8_t *nonce)
{
    uint8_t *payload = writer_payload(table.writer), *at = payload;
    at = field_put(at, 1, nonce, NONCE_SIZE);
    at = field_put32(at, 2, WIRE_VERSION);
    at = field_put(at, 3, place.boot, sizeof place.boot);
    at = field_put32(at, 4, place.uid);
    at = field_put32(at, 5, place.gid);
    at = field_put(at, 6, place.home, strlen(place.home));
    at = field_put(at, 7, place.shell, strlen(place.shell));
    for (int i = 0; i < place.n_warnings; i++)
        at = field_put(at, 8, place.warnings[i], strlen(place.warnings[i]));
    writer_seal(table.writer, F_WELCOME, 0, (size_t)(at - payload));
}

void owner_lost(void)
{
    calls_detach_all();
    while (pending)
        drop_pending(&pending);
    attached = false;
}

static void on_hello(const struct frame *frame)
{
    uint8_t nonce[NONCE_SIZE];
    if (!hello_nonce(frame, nonce))
        return;
    owner_lost();
    attached = hello_number(frame, 2, 0) == WIRE_VERSION;
    owner.greeted |= attached;
    if (attached)
        owner.lease_us = (uint64_t)hello_number(frame, 3, 0) * 1000000;
    writer_resync(table.writer);
    send_welcome(nonce);
}

/* The answer is the last frame of the way that the question came by. */
static void on_lane(const struct frame *frame)
{
    struct writer *former = table.writer;
    uint8_t payload[4];
    put32(payload, (uint32_t)lane_open(frame));
    writer_frame(former, F_LANED, frame->channel, payload, sizeof payload);
}

static void send_state(uint32_t channel, enum state_answer answer, const struct call *call)
{
    uint8_t payload[20];
    put32(payload, answer);
    put64(payload + 4, call ? call->output.acked : 0);
    put64(payload + 12, call ? call->input.received - call->input.added : 0);
    writer_frame(table.writer, F_STATE, channel, payload, sizeof payload);
}

static void on_follow(const struct frame *frame)
{
    if (frame->size != ID_SIZE + 8 || frame->channel == 0)
        return;
    struct call *call = call_by_id(frame->data);
    uint64_t offset = get64(frame->data + ID_SIZE);
    if (!call) {
        send_state(frame->channel, id_was_released(frame->data) ? STATE_RELEASED : STATE_UNKNOWN, NULL);
        return;
    }
    if (offset > call->output.size)
        offset = call->output.size;
    call->output.sent = offset < call->output.acked ? call->output.acked : offset;
    send_state(frame->channel, call->state == CALL_FINISHED ? STATE_FINISHED : STATE_RUNNING, call);
    call_attach(call, frame->channel);
}

static void on_resize(struct call *call, const struct frame *frame)
{
    if (frame->size != 4 || !call->is_pty || call->sources[ROLE_OUT].fd < 0)
        return;
    struct winsize size = {
        .ws_row = (uint16_t)(frame->data[0] | frame->data[1] << 8),
        .ws_col = (uint16_t)(frame->data[2] | frame->data[3] << 8),
    };
    (void)ioctl(call->sources[ROLE_OUT].fd, TIOCSWINSZ, &size); /* its program may just have ended */
}

static void on_call_frame(struct call *call, const struct frame *frame)
{
    switch (frame->type) {
    case F_STDIN: input_receive(call, frame->data, frame->size, frame->flags & FIN); break;
    case F_ACK:
        if (frame->size == 8)
            call_ack(call, get64(frame->data));
        break;
    case F_KILL:
        if (frame->size == 4)
            call_kill(call, KILLED, get32(frame->data), "");
        break;
    case F_RESIZE: on_resize(call, frame); break;
    case F_SIGNAL:
        if (frame->size == 4 && get32(frame->data) <= MAX_SIGNAL)
            call_tell_shim(call, SHIM_SIGNAL, get32(frame->data));
        break;
    default: break; /* a newer owner's */
    }
}

void owner_frame(const struct frame *frame)
{
    struct call *call;
    owner.idle_since = now_us();
    if (frame->type == F_HELLO) {
        on_hello(frame);
        return;
    }
    if (!attached || owner.stopping)
        return;
    switch (frame->type) {
    case F_PING:
        if (frame->size == 8)
            writer_frame(table.writer, F_PONG, frame->channel, frame->data, 8);
        break;
    case F_OPEN: on_open(frame); break;
    case F_LANE: on_lane(frame); break;
    case F_FOLLOW: on_follow(frame); break;
    case F_RELEASE:
        if (frame->size == ID_SIZE && (call = call_by_id(frame->data)))
            call_release(call);
        break;
    case F_LEASE:
        if (frame->size == 4)
            owner.lease_us = (uint64_t)get32(frame->data) * 1000000;
        break;
    default:
        if ((call = call_by_channel(frame->channel)))
            on_call_frame(call, frame);
        break;
    }
}
