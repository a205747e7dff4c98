/* Loaded with LD_PRELOAD into everything that a job's launch consists of: counts the steps at which a process changes
 * something that others can see, or waits for them, and sends it SIGKILL just before the one that was asked for.
 *
 * CRASHPOINT_ROLE   whose steps count: cli, a launcher (setsid, nohup, systemd-run), supervisor, child (between fork
 *                   and exec), command
 * CRASHPOINT_AT     the step before which it is killed, from 1; 0 for none
 * CRASHPOINT_TRACE  a file that gets a line a step: "role number what", written straight to the kernel
 *
 * Nothing of this is in the product: a step is found by interposition, so production pays nothing for it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *role = "other";
static int number, kill_at;
static int trace = -1;
static int counting = 1;

static void note(const char *what, const char *name) {
    char line[512];
    int length = snprintf(line, sizeof line, "%s %d %s %.300s\n", role, number, what, name);
    if (length > (int)sizeof line) length = sizeof line;
    syscall(SYS_write, trace, line, length);
}

static void step(const char *what, const char *name) {
    if (!counting) return;
    int before = errno;
    number++;
    if (trace >= 0) note(what, name);
    if (kill_at && number == kill_at) {
        syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
        for (;;) syscall(SYS_pause);
    }
    errno = before;
}

static void is(const char *name) {
    const char *wanted = getenv("CRASHPOINT_ROLE"), *at = getenv("CRASHPOINT_AT");
    role = name;
    number = 0;
    kill_at = wanted && at && !strcmp(wanted, role) ? atoi(at) : 0;
}

/* What a file of our own in /proc says, its zero bytes as spaces. */
static void words_of(const char *path, char *words, size_t size) {
    int file = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    long length = file < 0 ? 0 : syscall(SYS_read, file, words, size - 1);
    if (file >= 0) syscall(SYS_close, file);
    words[length > 0 ? length : 0] = 0;
    for (long i = 0; i < length; i++)
        if (!words[i]) words[i] = ' ';
}

__attribute__((constructor)) static void begin(void) {
    char words[4096], name[32];
    words_of("/proc/self/cmdline", words, sizeof words);
    words_of("/proc/self/comm", name, sizeof name);
    if (strstr(words, "supervisor/__main__.py"))
        is(!strncmp(name, "setsid", 6) ? "setsid" : !strncmp(name, "nohup", 5) ? "nohup"
           : !strncmp(name, "systemd-run", 11) ? "systemd-run" : "supervisor");
    else if (strstr(words, "-m gravscope ")) is("cli");
    else if (strstr(words, "crashpoint-command")) is("command");
    else counting = 0;
    const char *path = getenv("CRASHPOINT_TRACE");
    if (path) trace = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (trace >= 0) { /* out of the way of the numbers that a program hands to its children */
        int high = syscall(SYS_fcntl, trace, F_DUPFD_CLOEXEC, 900);
        if (high >= 0) syscall(SYS_close, trace), trace = high;
    }
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static char *of(int number_of) {
    static char text[24];
    snprintf(text, sizeof text, "%d", number_of);
    return text;
}

#define OPENING(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); } \
        if (flags & (O_CREAT | O_WRONLY | O_RDWR)) step("open", path); \
        return real(path, flags, mode); \
    }
OPENING(open)
OPENING(open64)

#define OPENING_AT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        REAL(name); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); } \
        if (flags & (O_CREAT | O_WRONLY | O_RDWR)) step("open", path); \
        return real(folder, path, flags, mode); \
    }
OPENING_AT(openat)
OPENING_AT(openat64)

ssize_t write(int file, const void *data, size_t size) { REAL(write); step("write", of(file)); return real(file, data, size); }
int rename(const char *from, const char *to) { REAL(rename); step("rename", to); return real(from, to); }
int unlink(const char *path) { REAL(unlink); step("unlink", path); return real(path); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); step("mkdir", path); return real(path, mode); }
int fsync(int file) { REAL(fsync); step("fsync", ""); return real(file); }
int flock(int file, int how) { REAL(flock); step("flock", ""); return real(file, how); }
int kill(pid_t pid, int what) { REAL(kill); step("kill", of(what)); return real(pid, what); }
int killpg(pid_t pid, int what) { REAL(killpg); step("killpg", of(what)); return real(pid, what); }
pid_t setsid(void) { REAL(setsid); step("setsid", ""); return real(); }
int setpgid(pid_t pid, pid_t group) { REAL(setpgid); step("setpgid", ""); return real(pid, group); }
int pipe2(int ends[2], int flags) { REAL(pipe2); step("pipe2", ""); return real(ends, flags); }
int memfd_create(const char *name, unsigned flags) { REAL(memfd_create); step("memfd_create", name); return real(name, flags); }
int poll(struct pollfd *files, nfds_t count, int wait) { REAL(poll); step("poll", ""); return real(files, count, wait); }
int epoll_wait(int file, struct epoll_event *events, int most, int wait) { REAL(epoll_wait); step("epoll_wait", ""); return real(file, events, most, wait); }
pid_t waitpid(pid_t pid, int *status, int how) { REAL(waitpid); step("waitpid", ""); return real(pid, status, how); }
pid_t wait4(pid_t pid, int *status, int how, struct rusage *usage) { REAL(wait4); step("wait4", ""); return real(pid, status, how, usage); }
ssize_t sendmsg(int file, const struct msghdr *message, int how) { REAL(sendmsg); step("sendmsg", ""); return real(file, message, how); }
int execve(const char *path, char *const words[], char *const environment[]) { REAL(execve); step("execve", path); return real(path, words, environment); }
int execvp(const char *path, char *const words[]) { REAL(execvp); step("execvp", path); return real(path, words); }
int execvpe(const char *path, char *const words[], char *const environment[]) { REAL(execvpe); step("execvpe", path); return real(path, words, environment); }

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                char *const words[], char *const environment[]) {
    REAL(posix_spawn);
    step("posix_spawn", path);
    return real(pid, path, actions, attributes, words, environment);
}

pid_t fork(void) {
    REAL(fork);
    step("fork", "");
    pid_t pid = real();
    if (pid == 0 && !strcmp(role, "supervisor")) is("child");
    return pid;
}
