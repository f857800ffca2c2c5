/* io.c - what a reader does, without the cost of an interpreter: reads or stats the files of a list and says how long it took.
 *
 *   bench-io [-j THREADS] [-t SECONDS] [-n FILES] [-L] [-1] [-s] [-i US] LIST
 *   -1 the first byte of each only; -s stat only; -L over and over until the time is up; -i pause after each
 *
 * LIST has a path per line.  Result, as JSON: files, bytes, errors, seconds, CPU of the reader, and percentiles of the time per file. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shutterfs/base.h"

enum { CHUNK = 1 << 20, THREADS_MAX = 256, SAMPLES_MAX = 4 << 20 };

static struct {
	char **path;
	size_t n;
	bool loop, first_byte, stat_only;
	int64_t until_us;
	useconds_t pause_us;
	_Atomic size_t next;
	_Atomic uint64_t files, bytes, errors;
	uint32_t *sample; /* us; SAMPLES_MAX */
} job;

static int read_one(const char *path, char *chunk)
{
	CLEANUP(closep) int fd = -1;
	struct stat st;
	ssize_t n;

	if (job.stat_only)
		return stat(path, &st) < 0 ? -errno : 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do {
		n = read(fd, chunk, job.first_byte ? 1 : CHUNK);
		if (n < 0)
			return -errno;
		job.bytes += (uint64_t)n;
	} while (n > 0 && !job.first_byte);
	return 0;
}

static void *reader(void *arg)
{
	char *chunk = malloc(CHUNK);

	(void)arg;
	while (chunk) {
		size_t i = job.next++;
		int64_t start = mono_us();
		uint64_t k;
		int r;

		if ((i >= job.n && !job.loop) || (job.until_us && start > job.until_us))
			break;
		r = read_one(job.path[i % job.n], chunk);
		if (r < 0) {
			job.errors++;
			(void)fprintf(stderr, "%s: %s\n", job.path[i % job.n], strerror(-r));
		}
		k = job.files++;
		if (k < SAMPLES_MAX)
			job.sample[k] = (uint32_t)(mono_us() - start);
		if (job.pause_us)
			(void)usleep(job.pause_us);
	}
	free(chunk);
	return NULL;
}

static int load(const char *list, size_t limit)
{
	CLEANUP(buf_done) struct buf text = BUF((size_t)1 << 30);
	size_t room = 0;
	int r = read_file(AT_FDCWD, list, text.max, &text);

	for (char *line = text.data; r == 0 && line && *line && (!limit || job.n < limit);) {
		size_t len = strcspn(line, "\n");

		if (job.n == room) {
			char **grown = realloc(job.path,
					       (room = room ? room * 2 : 1024) * sizeof(*grown));

			if (!grown)
				return -ENOMEM;
			job.path = grown;
		}
		job.path[job.n] = strndup(line, len);
		if (!job.path[job.n++])
			return -ENOMEM;
		line += len + (line[len] == '\n');
	}
	return r;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void report(int64_t us)
{
	size_t n = job.files < SAMPLES_MAX ? job.files : SAMPLES_MAX;
	struct rusage u;

	qsort(job.sample, n, sizeof(*job.sample), by_value);
	(void)getrusage(RUSAGE_SELF, &u);
	(void)printf(
		"{\"files\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"errors\": %" PRIu64
		", \"seconds\": %.6f, "
		"\"cpu_s\": %.6f, \"p50_us\": %u, \"p90_us\": %u, \"p99_us\": %u, \"max_us\": %u}\n",
		job.files, job.bytes, job.errors, (double)us / 1e6,
		(double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
			(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6,
		n ? job.sample[n / 2] : 0, n ? job.sample[n * 9 / 10] : 0,
		n ? job.sample[n * 99 / 100] : 0, n ? job.sample[n - 1] : 0);
}

int main(int argc, char **argv)
{
	pthread_t thread[THREADS_MAX];
	unsigned threads = 1, started = 0;
	int64_t start, limit_us = 0;
	size_t limit = 0;
	int opt;

	while ((opt = getopt(argc, argv, "j:t:n:i:L1s")) != -1) {
		unsigned long value = optarg ? strtoul(optarg, NULL, 10) : 0;

		if (opt == 'j')
			threads = value < THREADS_MAX ? (unsigned)value : THREADS_MAX;
		else if (opt == 't')
			limit_us = (int64_t)(strtod(optarg, NULL) * 1e6);
		else if (opt == 'n')
			limit = value;
		else if (opt == 'i')
			job.pause_us = (useconds_t)value;
		else if (opt == 'L')
			job.loop = true;
		else if (opt == '1')
			job.first_byte = true;
		else if (opt == 's')
			job.stat_only = true;
		else
			return 2;
	}
	job.sample = malloc(SAMPLES_MAX * sizeof(*job.sample));
	if (optind + 1 != argc || !job.sample || load(argv[optind], limit) < 0 || !job.n ||
	    !threads)
		return 2;
	start = mono_us();
	job.until_us = limit_us ? start + limit_us : 0;
	while (started < threads && pthread_create(&thread[started], NULL, reader, NULL) == 0)
		started++;
	for (unsigned i = 0; i < started; i++)
		(void)pthread_join(thread[i], NULL);
	report(mono_us() - start);
	return job.errors ? 1 : 0;
}
