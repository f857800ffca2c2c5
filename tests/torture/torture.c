/* The runs: all of them with DEEP set, else SAMPLE of each scenario, that begin at a number drawn from the clock (SEED repeats it). */
#include "torture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLE = 40, SECONDS = 60 };

struct seen { /* shared with the process that runs the scenario */
	unsigned long calls;
	char failed[32];
};

static const struct scenario *now;
static unsigned long victim;
static struct seen *seen;

static void run(void **state)
{
	void *data = now->begin();
	const char *failed;

	shim_arm(victim);
	now->work(data);
	seen->calls = shim_disarm(&failed);
	(void)snprintf(seen->failed, sizeof(seen->failed), "%s", failed);
	now->end(data);
}

static void child(int out)
{
	const struct CMUnitTest test[] = {cmocka_unit_test(run)};

	(void)dup2(out, STDOUT_FILENO);
	(void)dup2(out, STDERR_FILENO);
	(void)alarm(SECONDS);
	exit(cmocka_run_group_tests(test, NULL, NULL));
}

static void show(int out)
{
	char text[4096];
	ssize_t n;

	(void)lseek(out, 0, SEEK_SET);
	while ((n = read(out, text, sizeof(text))) > 0)
		(void)fwrite(text, 1, (size_t)n, stdout);
}

/* False: it failed, and its words are shown. */
static bool run_with(unsigned long n)
{
	FILE *out = tmpfile();
	int status = -1;
	pid_t pid;

	if (!out)
		return false;
	victim = n;
	*seen = (struct seen){0};
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0)
		child(fileno(out));
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (status != 0) {
		show(fileno(out));
		printf("%s: with call %lu failing (%s): %s %d\n", now->name, n, seen->failed,
		       WIFSIGNALED(status) ? "killed by signal" : "exit status",
		       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
	(void)fclose(out);
	return status == 0;
}

static bool torture_one(const struct scenario *s)
{
	unsigned long calls, step, runs = 0, met = 0, bad = 0;
	const char *seed = getenv("SEED");
	unsigned long first = seed ? strtoul(seed, NULL, 10) : (unsigned long)time(NULL);

	now = s;
	if (!run_with(0))
		return false;
	calls = seen->calls;
	step = getenv("DEEP") ? 1 : 1 + calls / SAMPLE;
	for (unsigned long n = 1 + first % step; n <= calls; n += step) {
		bad += !run_with(n);
		runs++;
		met += seen->failed[0] != '\0';
	}
	printf("%s: %lu of %lu calls (seed %lu): %lu failed in their turn, %lu runs were wrong\n",
	       s->name, runs, calls, first, met, bad);
	/* a thread that was slower may have made fewer calls; all of them cannot be */
	return bad == 0 && met > 0 && met >= runs / 2;
}

int torture(const struct scenario *s, size_t n)
{
	bool good = true;

	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED)
		return 1;
	for (size_t i = 0; i < n; i++)
		good = torture_one(&s[i]) && good;
	return good ? 0 : 1;
}
