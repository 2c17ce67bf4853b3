/* The shim: one process for each execute. It starts the program as the sandbox's user, keeps the guest's own
 * credentials so that the program cannot signal it, and is the subreaper under which everything that the
 * program leaves behind still hangs. It ends when nothing hangs under it.
 *
 * To kill: TERM and a grace; then stop everybody, sweep by sweep, until none runs (who is stopped cannot
 * fork); then KILL; and again, until the kernel says that there is no child left.
 */
#include "guest.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_STOP_SWEEPS = 64, REAP_WAIT_MS = 5, GIVE_UP_MS = 1000, CODE_NOT_FOUND = 127, CODE_NOT_EXECUTABLE = 126, CODE_ELSE = 125 };
static const char DEFAULT_PATH[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

void close_from(int first)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned)first, ~0u, 0u) == 0)
        return;
#endif
    long limit = sysconf(_SC_OPEN_MAX);
    for (int fd = first; fd < (limit > 0 && limit < 65536 ? (int)limit : 65536); fd++)
        close(fd);
}

/* ---- the program's side */

static _Noreturn void not_started(int control, int error, uint32_t code, const char *what, const char *path)
{
    struct shim_message message = {.what = SHIM_NOT_STARTED, .value = (uint32_t)error, .code = code};
    if (path)
        snprintf(message.note, sizeof message.note, "%s %.150s: %s", what, path, strerror(error));
    else
        snprintf(message.note, sizeof message.note, "%s: %s", what, strerror(error));
    (void)send(control, &message, sizeof message, MSG_NOSIGNAL);
    _exit((int)code);
}

static uint32_t code_of(int error)
{
    return error == ENOENT || error == ENOTDIR ? CODE_NOT_FOUND : CODE_NOT_EXECUTABLE;
}

static void take_stdio(struct stdio stdio, int control)
{
    if (stdio.pty >= 0) {
        if (ioctl(stdio.pty, TIOCSCTTY, 0) < 0)
            not_started(control, errno, CODE_ELSE, "cannot take the terminal", NULL);
        stdio.in = stdio.out = stdio.err = stdio.pty;
    }
    if (dup2(stdio.in, 0) < 0 || dup2(stdio.out, 1) < 0 || dup2(stdio.err, 2) < 0)
        not_started(control, errno, CODE_ELSE, "cannot pass its pipes", NULL);
}

static bool same_name(const char *one, const char *other)
{
    size_t size = (size_t)(strchr(one, '=') - one) + 1;
    return strncmp(one, other, size) == 0;
}

static char **environment(const struct request *request, bool has_terminal)
{
    static char term[] = "TERM=xterm-256color";
    size_t base = 0, n = 0;
    while (place.env[base])
        base++;
    char **env = calloc(base + request->n_env + 2, sizeof *env);
    if (!env)
        return NULL;
    for (size_t i = 0; i < base; i++)
        env[n++] = place.env[i];
    if (has_terminal)
        env[n++] = term;
    for (size_t i = 0; i < request->n_env; i++) {
        size_t at = 0;
        while (at < n && !same_name(request->env[i], env[at]))
            at++;
        env[at] = request->env[i];
        n += at == n;
    }
    return env;
}

static const char *path_of(char **env)
{
    for (; *env; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    return DEFAULT_PATH;
}

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* As execvpe, but never a shell for a file without an interpreter line. Returns errno. */
static int execute(char **args, char **env)
{
    if (strchr(args[0], '/')) {
        execve(args[0], args, env);
        int error = errno;
        return error == EACCES && is_folder(args[0]) ? EISDIR : error;
    }
    int error = ENOENT;
    size_t name_size = strlen(args[0]) + 1;
    for (const char *part = path_of(env);;) {
        char candidate[4096];
        size_t size = strcspn(part, ":");
        if (name_size > 1 && size + 1 + name_size <= sizeof candidate) {
            memcpy(candidate, part, size);
            if (size)
                candidate[size++] = '/';
            memcpy(candidate + size, args[0], name_size);
            execve(candidate, args, env);
            if (errno != ENOENT && errno != ENOTDIR && !is_folder(candidate))
                error = errno;
        }
        part += strcspn(part, ":");
        if (!*part++)
            return error;
    }
}

static void enter_folder(const struct request *request, int control)
{
    if (*request->cwd != '/' && chdir(place.work_dir) < 0)
        not_started(control, errno, CODE_ELSE, "cannot enter the work dir", place.work_dir);
    if (*request->cwd && chdir(request->cwd) < 0)
        not_started(control, errno, CODE_ELSE, "cannot enter the folder", request->cwd);
}

_Noreturn void program_run(struct request *request, struct stdio stdio, int control)
{
    sigset_t none;
    sigemptyset(&none);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)setsid();
    take_stdio(stdio, control);
    const char *failed = become_user();
    if (failed)
        not_started(control, errno, CODE_ELSE, failed, NULL);
    enter_folder(request, control);
    char **env = environment(request, stdio.pty >= 0);
    char *by_shell[] = {place.shell, "-c", request->args[0], NULL};
    char **args = request->flags & FLAG_SHELL ? by_shell : request->args;
    if (!env)
        not_started(control, ENOMEM, CODE_ELSE, "no memory for its environment", NULL);
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        not_started(control, errno, CODE_ELSE, "cannot unblock signals", NULL);
    int error = execute(args, env);
    not_started(control, error, code_of(error), "cannot execute", args[0]);
}

/* ---- the shim's side */

static pid_t main_pid;
static uint32_t last_signal;

static void tell(uint32_t what, uint32_t value)
{
    struct shim_message message = {.what = what, .value = value};
    (void)send(FD_CONTROL, &message, sizeof message, MSG_NOSIGNAL); /* no guest: then there is nobody to tell */
}

/* False when nothing hangs under the shim any more: the kernel's word, and final. */
static bool reap(void)
{
    int status;
    for (;;) {
        pid_t pid = waitpid(-1, &status, WNOHANG | __WALL);
        if (pid == 0)
            return true;
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid < 0)
            return false;
        if (pid == main_pid) {
            main_pid = 0;
            tell(SHIM_EXITED, (uint32_t)status);
            (void)sched_yield(); /* the guest first: somebody waits for the word, nobody for the shim's own end */
        }
    }
}

static void wait_for_child(int timeout_ms)
{
    struct pollfd watched = {.fd = FD_SIGNALS, .events = POLLIN};
    uint8_t signals[1024];
    if (poll(&watched, 1, timeout_ms) > 0)
        (void)!read(FD_SIGNALS, signals, sizeof signals);
}

static void signal_all(int number)
{
    last_signal = (uint32_t)number;
    if (place.has_proc)
        (void)tree_signal(getpid(), NULL, 0, number);
    else if (main_pid)
        (void)kill(-main_pid, number); /* all that can be found without /proc: its session */
}

static void stop_everybody(void)
{
    for (int sweep = 0; sweep < MAX_STOP_SWEEPS && place.has_proc; sweep++)
        if (!tree_signal(getpid(), NULL, 0, SIGSTOP).running)
            return;
}

static _Noreturn void over(void)
{
    tell(SHIM_GONE, last_signal);
    _exit(0);
}

static _Noreturn void kill_tree(void)
{
    uint64_t give_up = now_us() + GIVE_UP_MS * 1000;
    while (reap()) {
        stop_everybody();
        signal_all(SIGKILL);
        wait_for_child(REAP_WAIT_MS);
        if (!place.has_proc && now_us() > give_up)
            break;
    }
    over();
}

/* What the guest wants; false when there is no guest any more. */
static bool obey(uint64_t *kill_at)
{
    struct shim_message message;
    ssize_t got = recv(FD_CONTROL, &message, sizeof message, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got != (ssize_t)sizeof message)
        return false;
    if (message.what == SHIM_SIGNAL && main_pid)
        (void)kill(main_pid, (int)message.value);
    if (message.what == SHIM_KILL) {
        uint64_t at = now_us() + (uint64_t)message.value * 1000;
        if (message.value && !*kill_at)
            signal_all(SIGTERM);
        if (!*kill_at || at < *kill_at)
            *kill_at = at;
    }
    return true;
}

static int wait_ms(uint64_t kill_at)
{
    if (!kill_at)
        return -1;
    uint64_t now = now_us();
    uint64_t wait = now >= kill_at ? 0 : (kill_at - now + 999) / 1000;
    return wait > 60000 ? 60000 : (int)wait;
}

static _Noreturn void watch(void)
{
    struct pollfd watched[2] = {{.fd = FD_SIGNALS, .events = POLLIN}, {.fd = FD_CONTROL, .events = POLLIN}};
    uint8_t signals[1024];
    uint64_t kill_at = 0;
    while (reap()) {
        if (poll(watched, 2, wait_ms(kill_at)) < 0 && errno != EINTR)
            break;
        if (watched[0].revents)
            (void)!read(FD_SIGNALS, signals, sizeof signals);
        if (watched[1].revents && !obey(&kill_at))
            break;
        if (kill_at && now_us() >= kill_at)
            break;
    }
    kill_tree(); /* at once over when nothing is left */
}

pid_t shim_fork(void)
{
    main_pid = prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 ? fork() : -1;
    return main_pid;
}

_Noreturn void shim_watch(int control)
{
    struct shim_message failed = {.what = SHIM_NOT_STARTED, .code = CODE_ELSE};
    if (main_pid <= 0) {
        failed.value = (uint32_t)errno;
        snprintf(failed.note, sizeof failed.note, "cannot start a process: %s", strerror(errno));
        (void)send(control, &failed, sizeof failed, MSG_NOSIGNAL);
    }
    if (dup2(control, FD_CONTROL) < 0)
        _exit(1); /* the guest kills what is left of it */
    close(0);
    close(1);
    close(2);
    close_from(FD_FIRST_FREE);
    if (main_pid <= 0)
        over();
    watch();
}

_Noreturn void shim_run(struct request *request, struct stdio stdio, int control)
{
    if (shim_fork() == 0)
        program_run(request, stdio, control);
    shim_watch(control);
}
