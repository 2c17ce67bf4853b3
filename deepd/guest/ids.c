/* The ids of calls that were released: a ring of the last ones, each chained to an older one of its bucket. */
#include "guest.h"

enum { BUCKETS = 16384 };

static struct seen { uint8_t id[ID_SIZE]; uint32_t older; } seen[MAX_SEEN];
static uint32_t newest[BUCKETS]; /* index + 1 */
static uint32_t seen_total;

bool id_is_zero(const uint8_t *id)
{
    static const uint8_t zero[ID_SIZE];
    return memcmp(id, zero, ID_SIZE) == 0;
}

static uint32_t bucket_of(const uint8_t *id) { return get32(id) % BUCKETS; }

static void forget_oldest(uint32_t index)
{
    uint32_t *link = &newest[bucket_of(seen[index].id)];
    while (*link && *link != index + 1)
        link = &seen[*link - 1].older;
    *link = 0; /* the oldest of all is the last of its chain */
}

void id_remember(const uint8_t *id)
{
    uint32_t index = seen_total % MAX_SEEN;
    if (seen_total >= MAX_SEEN)
        forget_oldest(index);
    uint32_t *head = &newest[bucket_of(id)];
    memcpy(seen[index].id, id, ID_SIZE);
    seen[index].older = *head;
    *head = index + 1;
    seen_total++;
    if (seen_total == 2 * MAX_SEEN)
        seen_total = MAX_SEEN;
}

bool id_was_released(const uint8_t *id)
{
    for (uint32_t at = newest[bucket_of(id)]; at; at = seen[at - 1].older)
        if (memcmp(seen[at - 1].id, id, ID_SIZE) == 0)
            return true;
    return false;
}
