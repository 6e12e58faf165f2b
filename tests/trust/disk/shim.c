/* Preloaded by tests: fails or logs what a process does to the files below a folder.
 * The calls that change a disk are counted; from the k-th on one or all fail. Each is appended to a
 * log, done and noted under one lock, so the log has them in the order in which they happened.
 * Settings: DISK_FOLDER, DISK_LOG, DISK_FAULT=k:errno:mode in the environment, or disk_watch().
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ONCE, FOREVER, HALF, GO, FAIL, CUT };
static char folder[PATH_MAX];
static size_t folder_length;
static int log_file = -1, error_number, mode;
static long calls, fault_at;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void disk_watch(const char *below, const char *log, long at, int number, int how) {
    folder_length = strlen(strncpy(folder, below, sizeof folder - 1));
    calls = 0, fault_at = at, error_number = number, mode = how;
    if (log_file >= 0) close(log_file);
    log_file = log && *log ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
}

__attribute__((constructor)) static void from_environment(void) {
    const char *below = getenv("DISK_FOLDER"), *fault = getenv("DISK_FAULT");
    long at = 0, number = 0, how = 0;
    if (fault) sscanf(fault, "%ld:%ld:%ld", &at, &number, &how);
    if (below) disk_watch(below, getenv("DISK_LOG"), at, number, how);
}

static void note(char kind, const char *path, const char *second, long offset, const void *data,
                 long size) {
    int before = errno;
    struct { long offset; unsigned size; unsigned short path, second; char kind; char spare[7]; }
        head = {offset, data && size > 0 ? size : 0, strlen(path), strlen(second), kind, {0}};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)path, head.path},
                            {(void *)second, head.second}, {(void *)data, head.size}};
    if (log_file >= 0 && writev(log_file, parts, 4) < 0) abort();
    errno = before;
}

void disk_mark(const char *text) {
    pthread_mutex_lock(&lock);
    note('a', text, "", 0, NULL, 0);
    pthread_mutex_unlock(&lock);
}

static int verdict(void) {
    long past = ++calls - fault_at;
    if (!fault_at || past < 0) return GO;
    if (mode == FOREVER) return FAIL;
    if (mode == HALF) return past == 0 ? CUT : past == 1 ? FAIL : GO;
    return past == 0 ? FAIL : GO;
}

static int watched(const char *path) {
    char end = strncmp(path, folder, folder_length) ? 'x' : path[folder_length];
    return folder_length && (end == '/' || !end);
}

static const char *name_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = folder_length ? readlink(link, path, PATH_MAX - 1) : 0;
    path[length < 0 ? 0 : length] = 0;
    return path;
}

static const char *name_at(int fd, const char *name, char *path) {
    if (*name == '/' || !folder_length) return name;
    if (fd != AT_FDCWD) name_of(fd, path);
    else if (!getcwd(path, PATH_MAX)) *path = 0;
    size_t length = strlen(path);
    snprintf(path + length, PATH_MAX - length, "/%s", name);
    return path;
}

#define NEXT(name) static __typeof__(name) *next; if (!next) next = dlsym(RTLD_NEXT, #name)
/* `call` may look at `doom` to do only a part of it; `result` is what it returned. */
#define CHANGE(kind, path, second, offset, data, call) do {                                    \
        if (!watched(path)) { int doom = GO; (void)doom; return call; }                        \
        pthread_mutex_lock(&lock);                                                             \
        int doom = verdict();                                                                  \
        if (doom == CUT && kind != 'w') doom = FAIL;                                           \
        long result = doom == FAIL ? (errno = error_number, -1) : (call), place = offset;      \
        note(doom == FAIL ? '!' : result < 0 ? '-' : kind, path, second, place, data, result); \
        pthread_mutex_unlock(&lock);                                                           \
        return result;                                                                         \
    } while (0)
#define PART(size) (doom == CUT ? (size) / 2 : (size))
#define BEGUN (lseek(fd, 0, SEEK_CUR) - (result < 0 ? 0 : result))

#define BOTH at, path
#define OPEN(name, at, target, ...)                                                            \
    int name(__VA_ARGS__, int flags, ...) {                                                    \
        NEXT(name);                                                                            \
        va_list rest; va_start(rest, flags);                                                   \
        mode_t rights = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;            \
        va_end(rest);                                                                          \
        char buffer[PATH_MAX]; struct stat found;                                              \
        const char *full = name_at(at, path, buffer);                                          \
        int exists = !(flags & O_CREAT) || !lstat(full, &found);                               \
        if (exists && !(flags & O_TRUNC)) return next(target, flags, rights);                  \
        CHANGE((exists ? 't' : 'c'), full, "", 0, NULL, next(target, flags, rights));          \
    }
OPEN(open, AT_FDCWD, path, const char *path)
OPEN(open64, AT_FDCWD, path, const char *path)
OPEN(openat, at, BOTH, int at, const char *path)
OPEN(openat64, at, BOTH, int at, const char *path)

#define ON_FILE(kind, type, name, offset, data, call, ...)                                     \
    type name(int fd, ##__VA_ARGS__) {                                                         \
        NEXT(name); char buffer[PATH_MAX]; const char *path = name_of(fd, buffer);             \
        CHANGE(kind, path, "", offset, data, call);                                            \
    }
ON_FILE('w', ssize_t, write, BEGUN, data, next(fd, data, PART(size)), const void *data, size_t size)
ON_FILE('w', ssize_t, pwrite64, offset, data, next(fd, data, PART(size), offset), const void *data, size_t size, off64_t offset)
ON_FILE('s', int, fsync, 0, NULL, next(fd))
ON_FILE('s', int, fdatasync, 0, NULL, next(fd))
ON_FILE('t', int, ftruncate64, size, NULL, next(fd, size), off64_t size)

#define ON_NAME(kind, name, at, call, ...)                                                     \
    int name(__VA_ARGS__) {                                                                    \
        NEXT(name); char buffer[PATH_MAX]; const char *full = name_at(at, path, buffer);       \
        CHANGE(kind, full, "", 0, NULL, call);                                                 \
    }
ON_NAME('u', unlink, AT_FDCWD, next(path), const char *path)
ON_NAME('u', unlinkat, at, next(at, path, flags), int at, const char *path, int flags)
ON_NAME('m', mkdir, AT_FDCWD, next(path, rights), const char *path, mode_t rights)
ON_NAME('m', mkdirat, at, next(at, path, rights), int at, const char *path, mode_t rights)

#define RENAME(name, from, to, call, ...)                                                      \
    int name(__VA_ARGS__) {                                                                    \
        NEXT(name); char first[PATH_MAX], last[PATH_MAX];                                      \
        const char *old = name_at(from, path, first), *new = name_at(to, target, last);        \
        CHANGE('r', old, new, 0, NULL, call);                                                  \
    }
RENAME(rename, AT_FDCWD, AT_FDCWD, next(path, target), const char *path, const char *target)
RENAME(renameat, from, to, next(from, path, to, target), int from, const char *path, int to, const char *target)
