/* All descendants of a process, by /proc, and signals to them. */
#include "guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_PROCESSES = 32768, MAX_PASSES = 64 };

struct process { pid_t pid, parent; char state; bool inside; };
static struct process processes[MAX_PROCESSES];

/* One look at all processes, with a signal to each that hangs under the root and under nobody spared. */
struct sweep {
    pid_t root;
    const pid_t *spared;
    int n_spared, signal_number, n;
    struct look look;
};

/* "PID (name) STATE PARENT ...", where the name may hold anything, a `)` too. */
static bool parse_process(char *text, struct process *process)
{
    char *at = strrchr(text, ')');
    if (!at || at[1] != ' ' || !at[2] || at[3] != ' ')
        return false;
    process->state = at[2];
    process->parent = (pid_t)strtol(at + 4, NULL, 10);
    return true;
}

static bool read_process(int proc, const char *name, struct process *process)
{
    char path[32], text[512];
    snprintf(path, sizeof path, "%.20s/stat", name);
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false; /* it is gone */
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0)
        return false;
    text[got] = 0;
    *process = (struct process){.pid = (pid_t)strtol(name, NULL, 10)};
    return process->pid > 1 && parse_process(text, process);
}

static struct process *find(const struct sweep *sweep, pid_t pid) /* the kernel lists them in order */
{
    int low = 0, high = sweep->n - 1;
    while (low <= high) {
        int middle = low + (high - low) / 2;
        if (processes[middle].pid == pid)
            return &processes[middle];
        if (processes[middle].pid < pid)
            low = middle + 1;
        else
            high = middle - 1;
    }
    return NULL;
}

static bool is_inside(const struct sweep *sweep, const struct process *process)
{
    for (int i = 0; i < sweep->n_spared; i++)
        if (sweep->spared[i] == process->pid)
            return false;
    if (process->parent == sweep->root)
        return true;
    const struct process *parent = find(sweep, process->parent);
    return parent && parent->inside;
}

/* SIGSTOP goes only to those that still run. */
static void strike(struct sweep *sweep, struct process *process)
{
    bool is_dead = process->state == 'Z' || process->state == 'X';
    bool is_stopped = process->state == 'T' || process->state == 't';
    process->inside = true;
    sweep->look.found++;
    sweep->look.running += !is_dead && !is_stopped;
    if (sweep->signal_number != SIGSTOP || !is_stopped)
        (void)kill(process->pid, sweep->signal_number); /* gone meanwhile is what we want */
}

/* Each is struck as soon as it is seen: among hundreds that run, the sweeper's own time slices are rare. */
static void read_and_strike(struct sweep *sweep)
{
    DIR *proc = opendir("/proc");
    if (!proc)
        return;
    for (struct dirent *entry; sweep->n < MAX_PROCESSES && (entry = readdir(proc));) {
        struct process *process = &processes[sweep->n];
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || !read_process(dirfd(proc), entry->d_name, process))
            continue;
        sweep->n++;
        if (is_inside(sweep, process))
            strike(sweep, process);
    }
    closedir(proc);
}

/* A parent mostly has the smaller pid and was seen first; this is for the others. */
static void strike_the_rest(struct sweep *sweep)
{
    bool changed = true;
    for (int pass = 0; changed && pass < MAX_PASSES; pass++) {
        changed = false;
        for (int i = 0; i < sweep->n; i++)
            if (!processes[i].inside && is_inside(sweep, &processes[i])) {
                strike(sweep, &processes[i]);
                changed = true;
            }
    }
}

struct look tree_signal(pid_t root, const pid_t *spared, int n_spared, int signal_number)
{
    struct sweep sweep = {.root = root, .spared = spared, .n_spared = n_spared, .signal_number = signal_number};
    read_and_strike(&sweep);
    strike_the_rest(&sweep);
    return sweep.look;
}
