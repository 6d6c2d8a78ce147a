/* Records what a process writes into one folder, and cuts its power or fills its disk.

   Preloaded into the process (LD_PRELOAD), it stands between it and the C library.  From
   `disk_faults_begin` on, each operation that changes the folder is numbered.  Operation `kill_at`
   is not done: the process is killed in its place.  Operations from `full_at` on that need room
   fail with "no space left on device".  The others are done, and written to `log`:

       kind offset size path-length\n path data

   kinds: c file created, m folder made, w write, z size set, s synced, r renamed (data is the new
   name), u unlinked.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[PATH_MAX];
static int log_file = -1;
static long operations, full_at, kill_at;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(result, name, ...)                                                                    \
    static result (*real)(__VA_ARGS__);                                                            \
    if (!real)                                                                                     \
    real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

void disk_faults_begin(const char *watched, const char *log, long full, long kill_number)
{
    snprintf(folder, sizeof folder, "%s/", watched);
    full_at = full;
    kill_at = kill_number;
    operations = 0;
    log_file = log[0] ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
}

long disk_faults_operations(void) { return operations; }

static int watched(const char *path)
{
    size_t length = strlen(folder);
    return length && (!strncmp(path, folder, length) ||
                      (strlen(path) == length - 1 && !strncmp(path, folder, length - 1)));
}

static int watched_file(int file, char *path)
{
    char link[64];
    if (!folder[0])
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return watched(path);
}

/* 0 if the operation is to fail for want of room. */
static int admitted(int needs_room)
{
    pthread_mutex_lock(&lock);
    long number = operations++;
    pthread_mutex_unlock(&lock);
    if (number == kill_at)
        kill(getpid(), SIGKILL);
    if (needs_room && full_at >= 0 && number >= full_at) {
        errno = ENOSPC;
        return 0;
    }
    return 1;
}

static void note(char kind, const char *path, long long offset, const void *data, size_t size)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    char head[96];
    if (log_file < 0)
        return;
    int saved = errno;
    int length = snprintf(head, sizeof head, "%c %lld %zu %zu\n", kind, offset, size, strlen(path));
    pthread_mutex_lock(&lock);
    real(log_file, head, length);
    real(log_file, path, strlen(path));
    if (size)
        real(log_file, data, size);
    pthread_mutex_unlock(&lock);
    errno = saved;
}

static int opened(int (*real)(int, const char *, int, ...), int at, const char *path, int flags,
                  int mode)
{
    struct stat before;
    int changes = at == AT_FDCWD && watched(path) && flags & (O_CREAT | O_TRUNC);
    int is_new = changes && stat(path, &before) != 0;
    if (changes && (is_new || flags & O_TRUNC) && !admitted(is_new))
        return -1;
    int file = real(at, path, flags, mode);
    if (file >= 0 && is_new)
        note('c', path, 0, "", 0);
    if (file >= 0 && changes && !is_new && flags & O_TRUNC)
        note('z', path, 0, "", 0);
    return file;
}

#define OPEN(name, ...)                                                                            \
    {                                                                                              \
        REAL(int, "openat", int, const char *, int, ...);                                          \
        int mode = 0;                                                                              \
        if (flags & (O_CREAT | __O_TMPFILE)) {                                                     \
            va_list more;                                                                          \
            va_start(more, flags);                                                                 \
            mode = va_arg(more, int);                                                              \
            va_end(more);                                                                          \
        }                                                                                          \
        return opened(real, __VA_ARGS__, path, flags, mode);                                       \
    }
int open(const char *path, int flags, ...) OPEN("open", AT_FDCWD)
int open64(const char *path, int flags, ...) OPEN("open64", AT_FDCWD)
int openat(int at, const char *path, int flags, ...) OPEN("openat", at)
int openat64(int at, const char *path, int flags, ...) OPEN("openat64", at)

ssize_t write(int file, const void *data, size_t size)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    char path[PATH_MAX];
    if (!watched_file(file, path))
        return real(file, data, size);
    if (!admitted(1))
        return -1;
    int appends = fcntl(file, F_GETFL) & O_APPEND;
    long long offset = lseek(file, 0, appends ? SEEK_END : SEEK_CUR);
    ssize_t done = real(file, data, size);
    if (done > 0)
        note('w', path, offset, data, done);
    return done;
}

#define PWRITE(name, type)                                                                         \
    {                                                                                              \
        REAL(ssize_t, name, int, const void *, size_t, type);                                      \
        char path[PATH_MAX];                                                                       \
        if (!watched_file(file, path))                                                             \
            return real(file, data, size, offset);                                                 \
        if (!admitted(1))                                                                          \
            return -1;                                                                             \
        ssize_t done = real(file, data, size, offset);                                             \
        if (done > 0)                                                                              \
            note('w', path, offset, data, done);                                                   \
        return done;                                                                               \
    }
ssize_t pwrite(int file, const void *data, size_t size, off_t offset) PWRITE("pwrite", off_t)
ssize_t pwrite64(int file, const void *data, size_t size, off64_t offset) PWRITE("pwrite64", off64_t)

#define OF_A_FILE(name, kind, value)                                                               \
    char path[PATH_MAX];                                                                           \
    int is_watched = watched_file(file, path);                                                     \
    if (is_watched && !admitted(0))                                                                \
        return -1;                                                                                 \
    int status = CALL;                                                                             \
    if (is_watched && status == 0)                                                                 \
        note(kind, path, value, "", 0);                                                            \
    return status;

#define CALL real(file, size)
int ftruncate(int file, off_t size) { REAL(int, "ftruncate", int, off_t); OF_A_FILE("", 'z', size) }
int ftruncate64(int file, off64_t size)
{
    REAL(int, "ftruncate64", int, off64_t);
    OF_A_FILE("", 'z', size)
}
#undef CALL
#define CALL real(file)
int fsync(int file) { REAL(int, "fsync", int); OF_A_FILE("", 's', 0) }
int fdatasync(int file) { REAL(int, "fdatasync", int); OF_A_FILE("", 's', 0) }
#undef CALL

#define OF_A_PATH(kind, path, data, needs_room)                                                    \
    if (!watched(path))                                                                            \
        return CALL;                                                                               \
    if (!admitted(needs_room))                                                                     \
        return -1;                                                                                 \
    int status = CALL;                                                                             \
    if (status == 0)                                                                               \
        note(kind, path, 0, data, strlen(data));                                                   \
    return status;

#define CALL real(from, to)
int rename(const char *from, const char *to)
{
    REAL(int, "rename", const char *, const char *);
    OF_A_PATH('r', from, to, 0)
}
#undef CALL
#define CALL real(path)
int unlink(const char *path) { REAL(int, "unlink", const char *); OF_A_PATH('u', path, "", 0) }
#undef CALL
#define CALL real(path, mode)
int mkdir(const char *path, mode_t mode)
{
    REAL(int, "mkdir", const char *, mode_t);
    OF_A_PATH('m', path, "", 1)
}
#undef CALL
