/* Preloaded into a process under test: tells each write and sync of the store's files on a pipe, and can fail one.
 *
 * SHIM_LOG      descriptor to tell on, one line a call: "<call> <file's last name> <synchronous?>"
 * SHIM_FAIL_AT  number of the write or sync of data.mdb, from 1, that fails with ENOSPC, as do all after it; 0 for none.
 *               The process may set it for itself while it runs: calls are counted from then on.
 * Only calls on files named data.mdb are told or failed; what goes to descriptor 1 is told as "acknowledged".
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int calls_seen;

static int names_store(int descriptor) {
    char link[64], name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t size = readlink(link, name, sizeof name - 1);
    if (size < 8) return 0;
    name[size] = 0;
    return strcmp(name + size - 8, "data.mdb") == 0;
}

static void tell(const char *call, int descriptor) {
    const char *log = getenv("SHIM_LOG");
    if (!log) return;
    int flags = descriptor >= 0 ? fcntl(descriptor, F_GETFL) : 0;
    char line[128];
    int size = snprintf(line, sizeof line, "%s %s\n", call, flags & (O_DSYNC | O_SYNC) ? "synchronous" : "buffered");
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    if (real(atoi(log), line, size) < 0) abort();
}

static int fails(void) {
    const char *at = getenv("SHIM_FAIL_AT");
    if (!at || atoi(at) == 0) {
        calls_seen = 0;
        return 0;
    }
    return ++calls_seen >= atoi(at);
}

#define WRITE(name, type, count_type)                                                     \
    ssize_t name(int descriptor, type data, count_type count, off_t offset) {             \
        ssize_t (*real)(int, type, count_type, off_t) = dlsym(RTLD_NEXT, #name);          \
        if (!names_store(descriptor)) return real(descriptor, data, count, offset);       \
        if (fails()) { errno = ENOSPC; return -1; }                                       \
        tell(#name, descriptor);                                                          \
        return real(descriptor, data, count, offset);                                     \
    }
WRITE(pwrite, const void *, size_t)
WRITE(pwrite64, const void *, size_t)
WRITE(pwritev, const struct iovec *, int)
WRITE(pwritev64, const struct iovec *, int)

ssize_t write(int descriptor, const void *data, size_t count) {
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    if (descriptor == 1) tell("acknowledged", -1);
    if (!names_store(descriptor)) return real(descriptor, data, count);
    if (fails()) { errno = ENOSPC; return -1; }
    tell("write", descriptor);
    return real(descriptor, data, count);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    ssize_t (*real)(int, const struct iovec *, int) = dlsym(RTLD_NEXT, "writev");
    if (!names_store(descriptor)) return real(descriptor, parts, count);
    if (fails()) { errno = ENOSPC; return -1; }
    tell("writev", descriptor);
    return real(descriptor, parts, count);
}

#define SYNC(name)                                        \
    int name(int descriptor) {                            \
        int (*real)(int) = dlsym(RTLD_NEXT, #name);       \
        if (!names_store(descriptor)) return real(descriptor); \
        if (fails()) { errno = ENOSPC; return -1; }       \
        int done = real(descriptor);                      \
        if (done == 0) tell("sync", -1);                  \
        return done;                                      \
    }
SYNC(fsync)
SYNC(fdatasync)
