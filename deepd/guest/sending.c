/* What a call sends to its owner, a frame a turn: credit, then output, then its exit. */
#include "guest.h"

#include <unistd.h>

static void send_exit(struct call *call)
{
    uint8_t *payload = writer_payload(table.writer), *at = payload;
    at = field_put32(at, 1, call->how);
    at = field_put32(at, 2, call->code);
    at = field_put32(at, 3, call->error);
    at = field_put64(at, 4, call->output.of_stream[0]);
    at = field_put64(at, 5, call->output.of_stream[1]);
    at = field_put64(at, 6, call->wall);
    at = field_put64(at, 7, call->output.size);
    at = field_put(at, 8, call->note, strlen(call->note));
    writer_seal(table.writer, F_EXIT, call->channel, (size_t)(at - payload));
    call->exit_sent = true;
    if (call->anonymous)
        call_set_released(call);
}

static bool send_data(struct call *call)
{
    enum { HEAD = 9 };
    size_t most = writer_room(table.writer);
    if (most > MAX_PAYLOAD)
        most = MAX_PAYLOAD;
    uint8_t *payload = writer_payload(table.writer);
    size_t size = output_next(&call->output, payload + HEAD, most - HEAD, &payload[8]);
    if (!size)
        return false;
    put64(payload, call->output.sent);
    call->output.sent += size;
    writer_seal(table.writer, F_DATA, call->channel, HEAD + size);
    return true;
}

/* The file that a READ opened. Without a lane there is no way for it: its owner is another by now. */
static void send_file(struct call *call)
{
    if (lane_is_open()) {
        writer_pass(table.writer, call->passed);
        writer_seal(table.writer, F_FILE, call->channel, 0);
    } else {
        close(call->passed);
    }
    call->passed = 0;
}

bool call_send_one(struct call *call)
{
    uint64_t credit;
    if (!call->attached || call->dead)
        return false;
    if (input_credit(call, &credit)) {
        uint8_t payload[8];
        put64(payload, credit);
        writer_frame(table.writer, F_CREDIT, call->channel, payload, sizeof payload);
        call->input.granted = credit;
        call->input.told = true;
        return true;
    }
    if (send_data(call))
        return true;
    if (call->state != CALL_FINISHED || call->exit_sent)
        return false;
    if (call->passed)
        send_file(call);
    else
        send_exit(call);
    return true;
}
