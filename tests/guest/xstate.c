/*
 * For user-mode Linux before 6.10 on a processor with AMX: it sets the 2696 bytes of floating point state that it knows,
 * and the kernel takes only all that the processor has (EFAULT), so that the guest dies with its first process. What is
 * missing is added here, as state that is not in use. Preloaded into linux.uml by machine.py.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

#define ALL 65536
#define BEGUN 512            /* XSTATE_BV, which states are in use: the first word behind the legacy state */
#define KNOWN 0x2ffULL       /* x87, SSE, AVX, MPX, AVX-512 and PKRU, which stand in those 2696 bytes */

typedef long (*ptrace_t)(int, pid_t, void *, void *);

static long set_all(ptrace_t really, pid_t pid, const struct iovec *given)
{
	static _Thread_local unsigned char state[ALL];
	struct iovec whole = {state, ALL};
	uint64_t used;

	if (really(PTRACE_GETREGSET, pid, (void *)NT_X86_XSTATE, &whole) < 0 || given->iov_len >= whole.iov_len) {
		errno = EFAULT;
		return -1;
	}
	memcpy(state, given->iov_base, given->iov_len);
	memcpy(&used, state + BEGUN, sizeof used);
	used &= KNOWN;
	memcpy(state + BEGUN, &used, sizeof used);
	return really(PTRACE_SETREGSET, pid, (void *)NT_X86_XSTATE, &whole);
}

long ptrace(enum __ptrace_request request, ...)
{
	static ptrace_t really;
	va_list rest;
	va_start(rest, request);
	pid_t pid = va_arg(rest, pid_t);
	void *address = va_arg(rest, void *);
	void *data = va_arg(rest, void *);
	va_end(rest);

	if (!really)
		really = (ptrace_t)dlsym(RTLD_NEXT, "ptrace");
	long result = really(request, pid, address, data);
	if (result < 0 && errno == EFAULT && request == PTRACE_SETREGSET && address == (void *)NT_X86_XSTATE)
		return set_all(really, pid, data);
	return result;
}
