/* cage-child.c - the keeper and its cages: what runs in a process that nobody trusts.
 *
 * A cage can read the descriptors that it is handed, at any offset, answer, and use 128 MiB of memory and ten seconds of CPU;
 * it cannot open, write, execute, connect, or start anything.  What it may not do fails with EACCES rather than killing it: a
 * library that tries something new on another machine must not make every picture a bad one. */
#include "cage.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __x86_64__
#define CAGE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define CAGE_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define CAGE_ARCH AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define CAGE_ARCH AUDIT_ARCH_PPC64LE
#endif

/* ---- limits ---- */
/* Sanitizers reserve terabytes of addresses. */
#ifndef SANITIZED
static void limit_memory(void)
{
	CLEANUP(buf_done) struct buf text = BUF(256);
	unsigned long pages;
	struct rlimit l;

	if (read_file(-1, "/proc/self/statm", text.max, &text) < 0 ||
	    sscanf(text.data, "%lu", &pages) != 1)
		return;
	l.rlim_cur = l.rlim_max = pages * (rlim_t)sysconf(_SC_PAGESIZE) + CAGE_HEAP;
	(void)setrlimit(RLIMIT_AS, &l);
}
#endif

static void limit_all(void)
{
	static const struct {
		__rlimit_resource_t resource;
		rlim_t value;
	} limits[] = {
		{RLIMIT_CPU, CAGE_CPU_S}, {RLIMIT_FSIZE, 0},  {RLIMIT_NPROC, 0},
		{RLIMIT_CORE, 0},         {RLIMIT_NOFILE, 2}, /* its socket, and what it is handed */
	};

#ifndef SANITIZED
	limit_memory();
#endif
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		const struct rlimit l = {limits[i].value, limits[i].value};

		(void)setrlimit(limits[i].resource, &l);
	}
}

/* ---- the filter ---- */
#ifdef CAGE_ARCH
static const unsigned allowed[] = {
	__NR_pread64,     __NR_recvmsg,         __NR_sendmsg,       __NR_close,
	__NR_munmap,      __NR_mremap,          __NR_brk,           __NR_madvise,
	__NR_futex,       __NR_sched_yield,     __NR_rt_sigreturn,  __NR_rt_sigprocmask,
	__NR_sigaltstack, __NR_restart_syscall, __NR_clock_gettime, __NR_getrandom,
	__NR_getpid,      __NR_gettid,          __NR_exit,          __NR_exit_group,
};

#define LOAD(field) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, field))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (action))
#define SKIP_UNLESS(op, value, n) BPF_JUMP(BPF_JMP | (op) | BPF_K, (value), 0, (n))
#define SKIP_IF(op, value, n) BPF_JUMP(BPF_JMP | (op) | BPF_K, (value), (n), 0)
#define REFUSE (SECCOMP_RET_ERRNO | EACCES)

static int filter_calls(void)
{
	static const struct sock_filter head[] = {
		LOAD(arch),
		SKIP_IF(BPF_JEQ, CAGE_ARCH, 1),
		RETURN(SECCOMP_RET_KILL_PROCESS),
		LOAD(nr),
	};
	/* Memory, but none that is executed or backed by a file. */
	static const struct sock_filter tail[] = {
		SKIP_UNLESS(BPF_JEQ, __NR_mmap, 5),
		LOAD(args[3]),
		SKIP_UNLESS(BPF_JSET, MAP_ANONYMOUS, 6),
		LOAD(args[2]),
		SKIP_IF(BPF_JSET, PROT_EXEC, 4),
		RETURN(SECCOMP_RET_ALLOW),
		SKIP_UNLESS(BPF_JEQ, __NR_mprotect, 2),
		LOAD(args[2]),
		SKIP_UNLESS(BPF_JSET, PROT_EXEC, 1),
		RETURN(REFUSE),
		RETURN(SECCOMP_RET_ALLOW),
	};
	struct sock_filter code[ARRAY_LEN(head) + 2 * ARRAY_LEN(allowed) + ARRAY_LEN(tail)];
	const struct sock_fprog program = {ARRAY_LEN(code), code};
	size_t n = ARRAY_LEN(head);

	memcpy(code, head, sizeof(head));
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
		code[n++] = (struct sock_filter)SKIP_UNLESS(BPF_JEQ, allowed[i], 1);
		code[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
	}
	memcpy(code + n, tail, sizeof(tail));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return -errno;
	return 0;
}
#else
static int filter_calls(void)
{
	return -ENOSYS;
}
#endif

bool cage_lock(void)
{
	limit_all();
	return filter_calls() == 0;
}

/* ---- messages ---- */
ssize_t cage_receive(int sock, void *data, size_t len, int *ret_fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {data, len};
	struct msghdr msg = {.msg_iov = &part,
			     .msg_iovlen = 1,
			     .msg_control = ret_fd ? control.space : NULL,
			     .msg_controllen = ret_fd ? sizeof(control.space) : 0};
	const struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (ret_fd) {
		*ret_fd = -1;
		c = CMSG_FIRSTHDR(&msg);
		if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	}
	return n == 0 || (size_t)n == len ? n : -EPROTO;
}

int cage_send(int sock, const void *data, size_t len, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS,
				.cmsg_len = CMSG_LEN(sizeof(int))}};
	struct iovec part = {(void *)data, len};
	struct msghdr msg = {.msg_iov = &part,
			     .msg_iovlen = 1,
			     .msg_control = fd < 0 ? NULL : control.space,
			     .msg_controllen = fd < 0 ? 0 : sizeof(control.space)};
	ssize_t n;

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* ---- a cage ---- */
static noreturn void serve(int sock)
{
	struct cage_answer a = {.filtered = cage_lock()};

	while (cage_send(sock, &a, sizeof(a), -1) == 0) {
		struct cage_question q;
		int fd = -1;

		if (cage_receive(sock, &q, sizeof(q), &fd) <= 0)
			break;
		memset(&a.facts, 0, sizeof(a.facts));
		memset(a.why, 0, sizeof(a.why));
		a.result = jpeg_inspect(fd, NULL, q.size, &a.facts, a.why);
		closep(&fd);
	}
	_exit(0);
}

/* ---- the keeper ---- */
/* As its own second descriptor is the only one it has, a cage sees nothing of the keeper but its memory, which is ours of
 * before any work. */
static void birth(int keeper_sock, int sock, pid_t keeper)
{
	pid_t pid = fork();

	if (pid != 0)
		return; /* failed: the asker sees its socket closed */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != keeper || dup2(sock, keeper_sock) < 0)
		_exit(1);
	(void)close(sock);
	serve(keeper_sock);
}

noreturn void cage_keep(int sock)
{
	char order;
	int fd;

	(void)prctl(PR_SET_NAME, "sfs-decoder", 0, 0, 0);
	(void)close_range((unsigned)sock + 1, ~0u, 0);
	(void)signal(SIGCHLD, SIG_IGN); /* nobody waits for cages */
	while (cage_receive(sock, &order, sizeof(order), &fd) > 0) {
		if (fd >= 0)
			birth(sock, fd, getpid());
		closep(&fd);
	}
	_exit(0); /* and the cages with it */
}
