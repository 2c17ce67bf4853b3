/* One OPEN: its fields, checked, as a struct. */
#include "guest.h"

#include <stdlib.h>
#include <unistd.h>

enum tag {
    T_ID = 1, T_KIND, T_ARG, T_ENV, T_CWD, T_FLAGS, T_TIMEOUT, T_GRACE, T_OUTPUT_KILL, T_ROWS, T_COLS,
    T_PATH = 20, T_PATH2, T_OFFSET, T_SIZE, T_MODE, T_OPTIONS, T_GLOB, T_MATCH, T_NEEDLE, T_GIVEN,
};

/* Make a field a C string in place: move it over the last byte of its own header. NULL: it has a NUL inside. */
static char *as_text(struct field *field)
{
    if (memchr(field->data, 0, field->size))
        return NULL;
    uint8_t *text = field->data - 1;
    memmove(text, field->data, field->size);
    text[field->size] = 0;
    return (char *)text;
}

static bool get_u16(const struct field *field, uint16_t *to)
{
    if (field->size != 2)
        return false;
    *to = (uint16_t)(field->data[0] | field->data[1] << 8);
    return true;
}

static bool get_u32(const struct field *field, uint32_t *to)
{
    if (field->size != 4)
        return false;
    *to = get32(field->data);
    return true;
}

static bool get_u64(const struct field *field, uint64_t *to)
{
    if (field->size != 8)
        return false;
    *to = get64(field->data);
    return true;
}

static bool get_text(struct field *field, char **to) { return (*to = as_text(field)) != NULL; }

static bool get_env(struct field *field, char **to)
{
    if (!get_text(field, to))
        return false;
    const char *equals = strchr(*to, '=');
    return equals && equals != *to;
}

static bool get_match(struct request *request, const struct field *field)
{
    if (field->size != 24)
        return false;
    request->match_mtime = get64(field->data);
    request->match_inode = get64(field->data + 8);
    request->match_size = get64(field->data + 16);
    request->has_match = true;
    return true;
}

static bool get_id(struct request *request, const struct field *field)
{
    if (field->size != ID_SIZE)
        return false;
    memcpy(request->id, field->data, ID_SIZE);
    request->has_id = true;
    return true;
}

static bool take(struct request *request, struct field *field)
{
    switch (field->tag) {
    case T_ID: return get_id(request, field);
    case T_KIND: return get_u32(field, &request->kind);
    case T_ARG: return get_text(field, &request->args[request->n_args++]);
    case T_ENV: return get_env(field, &request->env[request->n_env++]);
    case T_CWD: return get_text(field, &request->cwd);
    case T_FLAGS: return get_u32(field, &request->flags);
    case T_TIMEOUT: return get_u32(field, &request->timeout_ms);
    case T_GRACE: return get_u32(field, &request->grace_ms);
    case T_OUTPUT_KILL: return get_u64(field, &request->output_kill);
    case T_ROWS: return get_u16(field, &request->rows);
    case T_COLS: return get_u16(field, &request->cols);
    case T_PATH: return get_text(field, &request->path);
    case T_PATH2: return get_text(field, &request->path2);
    case T_OFFSET: return get_u64(field, &request->offset);
    case T_SIZE: return request->has_size = get_u64(field, &request->size);
    case T_MODE: return get_u32(field, &request->mode);
    case T_OPTIONS: return get_u32(field, &request->options);
    case T_GLOB: return get_text(field, &request->glob);
    case T_MATCH: return get_match(request, field);
    case T_NEEDLE: return get_text(field, &request->needle);
    case T_GIVEN: return request->has_given = get_u64(field, &request->given_inode);
    default: return true; /* a newer owner's */
    }
}

static const char *count(uint8_t *at, uint8_t *end, size_t *args, size_t *env)
{
    struct field field;
    int more;
    while ((more = field_next(&at, end, &field)) > 0) {
        *args += field.tag == T_ARG;
        *env += field.tag == T_ENV;
    }
    if (more < 0)
        return "a field ends after its frame";
    if (*args > MAX_ARGS)
        return "too many arguments";
    return *env > MAX_ENV ? "too many variables" : NULL;
}

static const char *check(const struct request *request)
{
    if (!request->has_id)
        return "the id is missing";
    if (request->kind == K_EXECUTE) {
        if (id_is_zero(request->id))
            return "an execute needs an id";
        if (!request->n_args)
            return "there is nothing to execute";
        if (request->flags & FLAG_SHELL && request->n_args != 1)
            return "a shell takes one command text";
        return NULL;
    }
    if (request->kind < K_STAT || request->kind > K_UTIME)
        return "no such kind of call";
    if (id_is_zero(request->id) && !request_is_read_only(request))
        return "a call that changes something needs an id";
    if (!*request->path)
        return "the path is missing";
    if ((request->kind == K_RENAME || request->kind == K_SYMLINK) && !*request->path2)
        return "the second path is missing";
    if (request->kind == K_CHMOD && request->mode == NO_MODE)
        return "the mode is missing";
    if (request->kind == K_WRITE && !request->has_size)
        return "the size is missing";
    if (request->kind != K_WRITE && request->has_given)
        return "only a write is given its bytes";
    return NULL;
}

const char *request_parse(struct request *request, const uint8_t *data, size_t size)
{
    static char nothing[1];
    memset(request, 0, sizeof *request);
    request->wire = data;
    request->wire_size = size;
    request->kind = K_EXECUTE;
    request->grace_ms = DEFAULT_GRACE_MS;
    request->rows = DEFAULT_ROWS;
    request->cols = DEFAULT_COLS;
    request->mode = NO_MODE;
    request->cwd = request->path = request->path2 = request->glob = request->needle = nothing;
    request->raw = malloc(size + 1);
    if (!request->raw)
        return "out of memory";
    if (size)
        memcpy(request->raw, data, size);
    uint8_t *at = request->raw, *end = at + size;
    size_t args = 0, env = 0;
    const char *wrong = count(at, end, &args, &env);
    if (wrong)
        return wrong;
    request->args = calloc(args + 1, sizeof *request->args);
    request->env = calloc(env + 1, sizeof *request->env);
    if (!request->args || !request->env)
        return "out of memory";
    struct field field;
    while (field_next(&at, end, &field) > 0)
        if (!take(request, &field))
            return "a field has the wrong size, or a text has a NUL or a variable no name";
    return check(request);
}

void request_free(struct request *request)
{
    if (request->given)
        close(request->given);
    request->given = 0;
    free(request->raw);
    free(request->args);
    free(request->env);
    request->raw = NULL;
    request->args = request->env = NULL;
}

bool request_is_read_only(const struct request *request)
{
    switch (request->kind) {
    case K_STAT: case K_LIST: case K_READ: case K_REALPATH: case K_WALK: case K_SCAN: return true;
    default: return false;
    }
}

bool request_takes_stdin(const struct request *request)
{
    return (request->kind == K_WRITE && !request->has_given)
        || (request->kind == K_EXECUTE && request->flags & FLAG_STDIN);
}
