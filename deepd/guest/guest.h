/* What the parts of the guest share: limits, the wire's numbers, and who does what.
 *
 *   guest.c    main: the loop, signals, lease
 *   owner.c    what the owner's frames ask for
 *   way.c      bytes to the owner and back: by stdin and stdout, or by the lane
 *   lane.c     a socket in place of both, where owner and guest are under one kernel
 *   passing.c  bytes with a descriptor among them
 *   wire.c     frames: checksum, reader with resynchronising, writer that never blocks, fields
 *   request.c  one OPEN as a struct
 *   calls.c    the table of calls: by id, by channel, from OPEN to RELEASE
 *   ids.c      the ids that were released
 *   ending.c   a call's streams, and when it is over
 *   worker.c   what workers say, how they end and are ended, what is due
 *   sending.c  a call's turn to send
 *   output.c   a call's output window
 *   input.c    a call's stdin and its credit
 *   launch.c   from a request to a worker: pipes, pty, fork
 *   shim.c     the worker of an execute: starts the program, kills its tree
 *   spare.c    a shim that is there before its call
 *   tree.c     descendants by /proc
 *   files.c walk.c write.c realpath.c   the workers of file operations
 *   start.c    arguments, user, shell, the process itself
 *   user.c     credentials and accounts
 *   folders.c  what calls need to exist and to be writable
 *   feed.c     another way to a guest's stdin, where its engine closes the first
 *   box.c mounts.c   a sandbox of namespaces around a guest, where nothing else makes one (box.h)
 */
#ifndef GUEST_H
#define GUEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

enum {
    WIRE_VERSION = 1,
    MAX_PAYLOAD = 65520,
    HEADER_SIZE = 16,
    RESYNC_ZEROS = 65536,
    SYNC_SIZE = 16,
    ID_SIZE = 16,
    NONCE_SIZE = 8,
    MAX_OPEN_BYTES = 1 << 20,      /* of one request, over all its pieces */
    MAX_PENDING_BYTES = 16 << 20,  /* of all requests whose last piece is still to come */
    MAX_ARGS = 65536,
    MAX_ENV = 4096,
    MAX_OPEN_CALLS = 256,          /* running, or with output that is not acknowledged */
    MAX_RESULTS = 4096,            /* ended and waiting for RELEASE */
    MAX_LEFT_BEHIND = 1024,        /* released calls of which something still runs */
    MAX_SEEN = 65536,              /* released ids that are remembered */
    WINDOW = 256 << 10,            /* output of a call that is not acknowledged */
    STDIN_WINDOW = 256 << 10,      /* input of a call that its program has not taken */
    CREDIT_STEP = 64 << 10,        /* do not tell smaller gains */
    BIG_PIPE = 256 << 10,          /* for file operations, where the kernel allows it */
    MAX_SEGMENTS = 4096,           /* changes between stdout and stderr in one window */
    MAX_NOTE = 240,
    DEFAULT_GRACE_MS = 500,
    DEFAULT_ROWS = 24,
    DEFAULT_COLS = 80,
    STOP_GRACE_MS = 200,           /* between TERM and KILL when the guest itself ends */
    STOP_PATIENCE_MS = 3000,       /* then it ends whatever is left */
    SHIM_PATIENCE_MS = 5000,       /* a shim that has not killed its tree by then is killed */
    APPLET_PATIENCE_MS = 1000,     /* a file operation has that long to tidy up */
    PTY_QUIET_MS = 50,             /* a terminal is empty when nothing came for so long */
    PTY_LINGER_MS = 1000,          /* and is not waited for longer than that */
};

enum frame_type {
    F_HELLO = 1, F_PING, F_OPEN, F_STDIN, F_ACK, F_KILL, F_RESIZE, F_FOLLOW, F_RELEASE, F_LEASE, F_SIGNAL, F_LANE,
    F_WELCOME = 65, F_PONG, F_OPENED, F_DATA, F_CREDIT, F_EXIT, F_STATE, F_LANED, F_FILE,
};
enum { FIN = 1 };
enum { FLAG_SHELL = 1, FLAG_PTY = 2, FLAG_STDIN = 4, FLAG_MERGE = 8 };
enum how { RUNS = 0, EXITED, SIGNALLED, TIMED_OUT, KILLED, OUTPUT, NOT_STARTED, FILE_ENDED };
enum opened { ACCEPTED, SEEN, TOO_MANY, BAD_REQUEST, NOT_GIVEN };
enum state_answer { STATE_UNKNOWN, STATE_RUNNING, STATE_FINISHED, STATE_RELEASED };
enum kind {
    K_EXECUTE = 1, K_STAT = 32, K_LIST, K_READ, K_WRITE, K_MKDIR, K_REMOVE, K_RENAME, K_REALPATH,
    K_WALK, K_SCAN, K_SYMLINK, K_CHMOD, K_UTIME,
};
#define NO_MODE 0xffffffffu

/* ---- passing.c: a descriptor of 0 is none, as 0 is the guest's own stdin */

ssize_t send_passing(int socket, const void *data, size_t size, int descriptor, int flags);     /* as send(2) */
ssize_t receive_passed(int socket, void *data, size_t size, int *descriptor, int flags);        /* as recv(2) */

/* ---- wire.c */

struct frame { uint8_t type, flags; uint32_t channel, size; uint8_t *data; };

struct reader { size_t start, end; bool hunting; uint8_t bytes[256 << 10]; };
void reader_reset(struct reader *);
ssize_t reader_fill(struct reader *, int fd, int *descriptor); /* as read(2); NULL: it is no socket */
bool reader_next(struct reader *, struct frame *);          /* valid until the next call */

struct writer {
    size_t start, end, pass_at;
    int passed;                                             /* goes with the byte at pass_at; 0: none */
    bool blocked;
    uint64_t held_until;
    uint8_t bytes[192 << 10];
};
enum { CONTROL_ROOM = 1024 };                               /* every frame but DATA and WELCOME fits */
size_t writer_room(const struct writer *);
uint8_t *writer_payload(struct writer *);                   /* where the next frame's payload goes */
void writer_seal(struct writer *, uint8_t type, uint32_t channel, size_t size);
void writer_frame(struct writer *, uint8_t type, uint32_t channel, const void *data, size_t size);
void writer_resync(struct writer *);                        /* drops what waits, stages zeros and SYNC */
void writer_flush(struct writer *, int fd);
void writer_pass(struct writer *, int descriptor);          /* with the next frame; belongs to the writer */
void writer_drop_passed(struct writer *);
void writer_hold(struct writer *, uint64_t until);          /* what is staged may wait for the next frame */

uint32_t crc32_of(const uint8_t *data, size_t size);
uint32_t get32(const uint8_t *);
uint64_t get64(const uint8_t *);
void put16(uint8_t *, uint16_t);
void put32(uint8_t *, uint32_t);
void put64(uint8_t *, uint64_t);

struct field { uint8_t tag; uint32_t size; uint8_t *data; };
int field_next(uint8_t **at, uint8_t *end, struct field *); /* 1 a field, 0 the end, -1 malformed */
uint8_t *field_put(uint8_t *at, uint8_t tag, const void *data, size_t size);
uint8_t *field_put32(uint8_t *at, uint8_t tag, uint32_t value);
uint8_t *field_put64(uint8_t *at, uint8_t tag, uint64_t value);

/* ---- way.c */

struct way {
    int in, out;                                            /* two descriptors, as each is watched for itself */
    bool in_watched, out_watched, always_ready, ended;
    struct reader reader;
    struct writer writer;
};
extern struct way attachment;                               /* stdin and stdout */
void attachment_open(void);
void way_watch_in(struct way *, bool wanted);
void way_watch_out(struct way *, bool wanted);
void way_flush(struct way *);

/* ---- lane.c */

extern struct way lane;
bool lane_is_open(void);
int lane_open(const struct frame *);                        /* 0 or errno; the current way from then on */
ssize_t lane_fill(void);                                    /* as read(2) */
int lane_given(uint64_t inode, uint64_t size);              /* that came with a request; 0: it did not */
void lane_close(void);

/* ---- request.c */

struct request {
    uint8_t id[ID_SIZE];
    bool has_id, has_size, has_match, has_given;
    uint32_t kind, flags, timeout_ms, grace_ms, mode, options;
    uint16_t rows, cols;
    uint64_t output_kill, offset, size, match_mtime, match_inode, match_size, given_inode;
    int given;                                              /* its bytes, where they came with it; 0: they did not */
    char *cwd, *path, *path2, *glob, *needle;
    char **args, **env;                                     /* each ends with NULL */
    size_t n_args, n_env;
    uint8_t *raw;                                           /* what the pointers point into */
    const uint8_t *wire;                                    /* as it came; the frame's */
    size_t wire_size;
};
const char *request_parse(struct request *, const uint8_t *data, size_t size); /* NULL, or what is wrong */
void request_free(struct request *);
bool request_is_read_only(const struct request *);
bool request_takes_stdin(const struct request *);

/* ---- start.c */

struct place {                                              /* where and as whom calls run */
    uid_t uid; gid_t gid;
    bool is_init;                                           /* PID 1 of a sandbox */
    bool switches;                                          /* calls run as another user than the guest */
    bool has_proc;
    bool has_no_users;                                      /* --no-users: nobody in it becomes root of anything */
    bool names_localhost;                                   /* --hosts: the engine wrote no /etc/hosts */
    bool leaves_image;                                      /* --as-is: nothing of the image is changed */
    char work_dir[4096], home[4096], user[64], shell[4096];
    char lane[64];                                          /* the folder of its sockets; empty: none */
    char **env;
    char warnings[8][256];
    int n_warnings;
    uint8_t boot[16];
};
extern struct place place;
void start(int argc, char **argv);
void warn(const char *format, ...) __attribute__((format(printf, 1, 2))); /* told in WELCOME */

/* ---- user.c */

struct account { char name[64], home[4096]; };
const char *become_user(void);                              /* NULL, or what failed with errno */
bool has_capability(int number);
void drop_privileges(void);
void drop_all(void);                                        /* or exit */
void find_account(uid_t, struct account *);                 /* empty texts when there is none */

/* ---- filter.c */

bool forbid_users(void);                                    /* false with errno where it cannot be */

/* ---- feed.c */

_Noreturn void feed_run(void);

/* ---- folders.c */

bool is_mount(const char *path);
void prepare_root(void);
void prepare_hosts(void);
void prepare_work_dir(void);
const char *choose_home(const struct account *);

/* ---- guest.c */

_Noreturn void die(const char *what);

/* ---- output.c */

struct segment { uint64_t end; uint8_t stream; };
struct output {
    uint64_t size, acked, sent, of_stream[2];
    uint8_t *ring;
    struct segment *segments;
    uint32_t first, count;
};
size_t output_room(const struct output *);
ssize_t output_read(struct output *, int fd, uint8_t stream, size_t most); /* as read(2); ENOBUFS: window full */
void output_ack(struct output *, uint64_t offset);
size_t output_next(const struct output *, uint8_t *to, size_t most, uint8_t *stream); /* copies what to send */
void output_free(struct output *);

/* ---- input.c */

struct input {
    bool wanted, eof, closed, told;
    uint64_t received, taken, granted;
    uint64_t added;                                         /* end-of-file characters, not the owner's */
    uint8_t *ring;
    uint8_t last;
};

/* ---- calls */

enum role { ROLE_CTL, ROLE_IN, ROLE_OUT, ROLE_ERR, ROLES };
struct call;
struct source { struct call *call; enum role role; int fd; uint32_t events; };

enum call_state { CALL_RUNNING, CALL_ENDING, CALL_FINISHED };
struct call {
    uint8_t id[ID_SIZE];
    bool anonymous, attached, released, is_file, is_pty, drops, exit_sent, exited, gone, orphaned;
    bool killing, dead, queued, is_result, left_behind;
    enum call_state state;
    enum how how;
    uint32_t kind, channel, code, error, grace_ms, last_signal;
    int wait_status;
    uint64_t output_kill, started, ended, wall;             /* times in us */
    uint64_t deadline, patience, quiet, linger;             /* 0: none */
    uint64_t left[2];                                       /* bytes to read after the end; all ones: to EOF */
    pid_t worker;                                           /* shim or applet, 0 once reaped */
    int passed;                                             /* the file that was opened for the owner; 0: none */
    struct source sources[ROLES];
    struct output output;
    struct input input;
    char note[MAX_NOTE];
    struct call *next_by_id, *next_by_channel, *next_live, *previous_live, *next_ready;
};

struct table {
    int epoll;
    struct writer *writer;                                  /* of the way that is in use */
    struct call *live;                                      /* everything that is not just a result */
    struct call *ready, *ready_last;                        /* calls with something to send, in turn */
    int open_calls, results, left_behind;
    bool sweeping;                                          /* children of a shim that was killed are about */
};
extern struct table table;

/* calls.c */
uint64_t now_us(void);
struct call *call_by_id(const uint8_t *id);
struct call *call_by_channel(uint32_t channel);
enum opened call_open(uint32_t channel, struct request *, const char **why);
void call_attach(struct call *, uint32_t channel);
void call_detach(struct call *);
void calls_detach_all(void);
void call_leave_live(struct call *);
void call_ready(struct call *);                             /* it may have something to send */
void call_settle(struct call *);                            /* ended and acknowledged: just a result */
void call_release(struct call *);
void call_set_released(struct call *);
void call_bury_when_over(struct call *);
void calls_bury(void);                                      /* frees what ended in this turn */
bool calls_idle(void);                                      /* nothing runs but what was left behind */

/* ids.c */
bool id_is_zero(const uint8_t *id);
bool id_was_released(const uint8_t *id);
void id_remember(const uint8_t *id);

/* ending.c */
void call_set_source(struct call *, enum role, int fd);
void call_close_source(struct call *, enum role);
void call_want(struct call *, enum role, uint32_t events);
void call_event(struct source *, uint32_t events);
void call_ack(struct call *, uint64_t offset);
void call_begin_ending(struct call *);
void call_check_end(struct call *);

/* worker.c */
void call_read_control(struct call *);
void call_set_note(struct call *, const char *note);
void call_not_started(struct call *, int error, uint32_t code, const char *note);
void call_tell_shim(struct call *, uint32_t what, uint32_t value);
void call_kill(struct call *, enum how, uint32_t grace_ms, const char *note);
void call_worker_ended(pid_t, int status);
int calls_workers(pid_t *to, int most);
void calls_orphans_gone(void);
uint64_t calls_due(uint64_t now);                           /* acts on what is due; when to look again */

/* sending.c */
bool call_send_one(struct call *);                          /* one frame; false: nothing to send */

/* input.c */
void input_receive(struct call *, const uint8_t *data, size_t size, bool fin);
void input_push(struct call *);
bool input_credit(struct call *, uint64_t *credit);         /* whether CREDIT is due */
void input_close(struct call *);
void input_free(struct input *);

/* ---- owner.c */

struct owner { uint64_t lease_us, idle_since; bool stopping, greeted; }; /* since when it is idle; heard no more once it stops */
extern struct owner owner;
void owner_frame(const struct frame *);
void owner_lost(void);                                      /* nobody is attached: calls go on */

/* ---- launch.c */

void launch(struct call *, struct request *);               /* fork the worker, or end the call */

/* ---- shim.c and the applets */

enum shim_word { SHIM_KILL = 1, SHIM_SIGNAL, SHIM_EXITED, SHIM_NOT_STARTED, SHIM_GONE, APPLET_DONE };
struct shim_message { uint32_t what, value, code; char note[MAX_NOTE]; };
enum { FD_SIGNALS = 3, FD_CONTROL = 4, FD_FIRST_FREE = 5 }; /* in every worker */

struct stdio { int in, out, err, pty; };                    /* the program's side; pty is -1 or its terminal */
_Noreturn void shim_run(struct request *, struct stdio, int control);
pid_t shim_fork(void);                                      /* its program's process; 0 in it */
_Noreturn void shim_watch(int control);
_Noreturn void program_run(struct request *, struct stdio, int control);
_Noreturn void applet_run(struct request *);
void close_from(int first);

/* ---- spare.c */

uint64_t spare_keep(uint64_t now);                          /* makes one where that is due; when to look again */
pid_t spare_take(const struct request *, struct stdio, int *control); /* the call's worker, or 0: fork one */
void spare_rest(uint64_t now);                              /* a call has ended: the next one is made a little later */
void spare_ended(pid_t);
pid_t spare_pid(void);                                      /* 0: there is none */

/* ---- tree.c */

struct look { int found, running; };
struct look tree_signal(pid_t root, const pid_t *spared, int n_spared, int signal_number);

/* ---- files.c, walk.c, write.c: each ends by done() */

_Noreturn void done(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void done_in_part(const char *note);              /* there is more than was asked for at most */
void emit(const void *data, size_t size);
void emit_flush(void);
struct stat;
void emit_record(int folder, const char *path, const char *name, const struct stat *);
bool copy_bytes(int from, int to, uint64_t size, uint64_t *copied);
int make_parents(char *path);
int rename_new(const char *from, const char *to);           /* never over what is there */
bool real_or_missing(const char *path, char found[PATH_MAX]); /* empty for the root */
_Noreturn void file_write(struct request *);
_Noreturn void file_walk(struct request *);
_Noreturn void file_remove(struct request *);

#endif
