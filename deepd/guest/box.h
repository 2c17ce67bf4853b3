/* The guest as the maker of its own sandbox, where there is no bubblewrap: `guest --box OPTIONS -- COMMAND`.
 *
 * The options are those of bubblewrap that deepd uses (engine/bubblewrap.py), and mean the same.
 *
 *   box.c      the options, the monitor that stays outside, namespaces, credentials
 *   mounts.c   what the sandbox sees: taken hold of outside, put in place inside
 */
#ifndef BOX_H
#define BOX_H

#include "guest.h"

enum { MAX_MOUNTS = 256 };

enum mount_kind { M_BIND, M_TMPFS, M_PROC, M_DEV, M_FOLDER, M_LINK };
struct mount_wish {
    enum mount_kind kind;
    const char *source, *target;                            /* M_LINK: the text of the link, and where it is */
    bool read_only, may_be_missing;
    unsigned mode;
    const char *size;                                       /* of a tmpfs; NULL: the kernel's default */
    int tree;                                               /* what was taken hold of; -1: nothing */
    bool is_folder;
};

struct mount_table { struct mount_wish wishes[MAX_MOUNTS]; int count; bool read_only_root; };

/* Each returns NULL, or what failed, with errno. The first tmpfs is the root. */
const char *mounts_take(struct mount_table *);              /* before the root is changed */
const char *mounts_enter(struct mount_table *);             /* changes the root */
const char *mounts_place(struct mount_table *);             /* after it was changed */

_Noreturn void box_run(int argc, char **argv);

#endif
