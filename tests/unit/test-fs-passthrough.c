/* Which opens the kernel serves from a backing file: one mode per inode until its last release, whatever happens, and nothing leaks.
 *
 * The kernel's part is played by ioctl() below and by a model of what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "passthrough.h"

enum { IDS = 65536 };

static bool registered[IDS];
static int32_t last_id;
static int table;
static int n_registered, refusal, n_opened;
static const struct backing_kept not_kept;

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	va_start(ap, request);
	const uint32_t *arg = va_arg(ap, const uint32_t *);
	va_end(ap);

	assert_int_equal(fd, 1000);
	if ((request & 0xff) == 2) { /* close */
		assert_true(*arg < IDS && registered[*arg]);
		registered[*arg] = false;
		n_registered--;
		return 0;
	}
	assert_int_equal(request & 0xff, 1);
	assert_true((int32_t)*arg >= 0);
	if (refusal) {
		errno = refusal;
		return -1;
	}
	do
		last_id = last_id % (IDS - 1) + 1;
	while (registered[last_id]);
	registered[last_id] = true;
	n_registered++;
	n_opened++;
	return last_id;
}

static int setup(void **state)
{
	int r;

	refusal = 0;
	if (passthrough_table(&table) < 0)
		return -1;
	r = passthrough_new(table, (struct passthrough **)state);
	return r;
}

static int teardown(void **state)
{
	*state = passthrough_free(*state);
	(void)close(table);
	assert_int_equal(n_registered, 0);
	return 0;
}

/* fd -1: the bytes are not here */
static int32_t open_one(struct passthrough *p, int64_t snapshot, int fd)
{
	int32_t backing;

	return passthrough_join(p, snapshot, &not_kept, &backing)
		       ? backing
		       : passthrough_enter(p, snapshot, &not_kept, fd);
}

static int32_t open_kept(struct passthrough *p, int64_t snapshot, uint64_t stamp, uint64_t size)
{
	struct backing_kept kept = {stamp, size};
	int32_t backing;

	return passthrough_join(p, snapshot, &kept, &backing)
		       ? backing
		       : passthrough_enter(p, snapshot, &kept, 5);
}

static void test_off_until_the_kernel_lets_us(void **state)
{
	struct passthrough *p = *state;

	assert_false(passthrough_on(NULL));
	assert_false(passthrough_on(p));
	assert_false(passthrough_works(p));
	refusal = EPERM;
	passthrough_start(p, 1000, 1 << 30);
	assert_false(passthrough_on(p));
	refusal = 0;
	passthrough_start(p, 1000, 1 << 30);
	assert_true(passthrough_on(p));
	assert_true(passthrough_works(p));
}

static void test_file_systems_that_cannot(void **state)
{
	struct passthrough *p = *state;

	passthrough_start(p, 1000, 1 << 30);
	refusal = ELOOP;
	assert_int_equal(open_one(p, 1, 5), 0);
	assert_true(passthrough_on(p)); /* other pictures lie elsewhere */
	assert_false(passthrough_works(p));
	refusal = 0;
	assert_int_equal(open_one(p, 1, 5), 0); /* it is open through the cache */
	assert_true(open_one(p, 2, 5) > 0);
	assert_true(passthrough_works(p));
	refusal = EMFILE;
	assert_int_equal(open_one(p, 3, 5), 0);
	assert_true(passthrough_works(p));
	passthrough_leave(p, 1);
	passthrough_leave(p, 1);
	passthrough_leave(p, 2);
	passthrough_leave(p, 3);
}

static void test_the_first_open_decides(void **state)
{
	struct passthrough *p = *state;
	int32_t backing;

	passthrough_start(p, 1000, 1 << 30);
	assert_int_equal(open_one(p, 7, -1), 0);
	assert_int_equal(open_one(p, 7, 5), 0);
	passthrough_leave(p, 7);
	assert_int_equal(open_one(p, 7, 5), 0);
	passthrough_leave(p, 7);
	passthrough_leave(p, 7);
	assert_false(passthrough_join(p, 7, &not_kept, &backing));
	int32_t first = open_one(p, 7, 5);

	assert_true(first > 0);
	assert_int_equal(open_one(p, 7, -1), first); /* evicted meanwhile: still that file */
	/* somebody who saw it closed, and is late */
	assert_int_equal(passthrough_enter(p, 7, &not_kept, 5), first);
	assert_int_equal(n_registered, 1);
	for (int i = 0; i < 3; i++) {
		assert_true(registered[first]);
		passthrough_leave(p, 7);
	}
	assert_false(registered[first]);
}

static void test_more_than_the_table_holds(void **state)
{
	struct passthrough *p = *state;
	enum { MANY = 20000 };
	static int32_t backing[MANY];
	int through = 0;

	passthrough_start(p, 1000, 1 << 30);
	for (int i = 0; i < MANY; i++) {
		backing[i] = open_one(p, i, 5);
		through += backing[i] > 0;
	}
	assert_true(through > MANY / 2 && through < MANY);
	assert_int_equal(backing[MANY - 1], 0);
	passthrough_leave(p, 0);
	/* an open that found no place may be of this inode: the kernel would refuse a backing file */
	assert_int_equal(open_one(p, MANY - 1, 5), 0);
	passthrough_leave(p, MANY - 1);
	for (int i = 1; i < MANY; i++)
		passthrough_leave(p, i);
	assert_int_equal(n_registered, 0);
	assert_true(open_one(p, MANY - 1, 5) > 0);
	passthrough_leave(p, MANY - 1);
}

/* What the kernel would say: EIO for an open that is not of the inode's mode. */
static void test_random_opens(void **state)
{
	struct passthrough *p = *state;
	enum { INODES = 40, OPENS = 200000 };
	struct {
		int opens;
		int32_t backing;
	} kernel[INODES] = {{0}};
	int passed = 0, cached = 0;

	passthrough_start(p, 1000, 1 << 30);
	srandom(7);
	for (int i = 0; i < OPENS; i++) {
		int64_t s = random() % INODES;

		if (kernel[s].opens && random() % 2) {
			kernel[s].opens--;
			passthrough_leave(p, s * 8192); /* all in one bucket */
			continue;
		}
		refusal = random() % 10 ? 0 : ENFILE;
		int32_t backing = open_one(p, s * 8192, random() % 3 ? 5 : -1);

		if (kernel[s].opens++)
			assert_int_equal(backing, kernel[s].backing);
		assert_true(backing == 0 || registered[backing]);
		kernel[s].backing = backing;
		passed += backing > 0;
		cached += backing == 0;
	}
	assert_true(passed > OPENS / 20 && cached > OPENS / 20);
	for (int64_t s = 0; s < INODES; s++)
		for (; kernel[s].opens > 0; kernel[s].opens--)
			passthrough_leave(p, s * 8192);
}

/* The process dies; another one serves the connection with the same table. */
static void test_another_process_takes_over(void **state)
{
	struct passthrough *p = *state, *next;
	int32_t passed, cached, backing;

	passthrough_start(p, 1000, 1 << 30);
	passed = open_one(p, 1, 5);
	cached = open_one(p, 2, -1);
	assert_true(passed > 0 && cached == 0);
	assert_int_equal(passthrough_new(table, &next), 0);
	*state = next;
	(void)passthrough_free(p);
	passthrough_start(next, 1000, 1 << 30);
	assert_int_equal(open_one(next, 1, 5), passed);
	assert_int_equal(open_one(next, 2, 5), 0);
	passthrough_leave(next, 2);
	passthrough_leave(next, 2);
	assert_true(open_one(next, 2, 5) > 0);
	for (int i = 0; i < 2; i++)
		passthrough_leave(next, 1);
	assert_false(registered[passed]);
	assert_false(passthrough_join(next, 1, &not_kept, &backing));
	passthrough_leave(next, 2);
}

/* The next open of the same bytes asks the kernel for nothing. */
static void test_a_file_is_kept_for_the_next_open(void **state)
{
	struct passthrough *p = *state, *next;
	int32_t first, other, backing;
	int before;

	passthrough_start(p, 1000, 1 << 30);
	first = open_kept(p, 1, 77, 100);
	passthrough_leave(p, 1);
	before = n_opened;
	assert_true(registered[first]);
	assert_int_equal(open_kept(p, 1, 77, 100), first);
	assert_int_equal(open_kept(p, 1, 77, 100), first);
	passthrough_leave(p, 1);
	passthrough_leave(p, 1);
	assert_int_equal(n_opened, before);

	/* other bytes, or bytes nobody knows: the old file is not read again */
	other = open_kept(p, 1, 78, 100);
	assert_true(other > 0 && other != first);
	assert_false(registered[first]);
	passthrough_leave(p, 1);
	assert_int_equal(open_one(p, 1, -1), 0);
	assert_false(registered[other]);
	assert_int_equal(open_kept(p, 1, 78, 100), 0); /* open through the cache */
	passthrough_leave(p, 1);
	passthrough_leave(p, 1);

	/* another process finds it */
	first = open_kept(p, 1, 79, 100);
	passthrough_leave(p, 1);
	assert_int_equal(passthrough_new(table, &next), 0);
	(void)passthrough_free(p);
	*state = next;
	passthrough_start(next, 1000, 1 << 30);
	assert_int_equal(open_kept(next, 1, 79, 100), first);
	passthrough_leave(next, 1);
	assert_false(passthrough_join(next, 1, &not_kept, &backing));
	assert_int_equal(n_registered, 0);
}

/* Neither many nor large ones are kept without a limit, and those that are open are never given up. */
static void test_what_is_kept_is_bounded(void **state)
{
	struct passthrough *p = *state;
	enum { MANY = 30000, LARGE = 64 };
	int32_t open = 0;

	passthrough_start(p, 1000, 1 << 30);
	open = open_kept(p, MANY, 5, 1 << 20);
	for (int i = 0; i < MANY; i++) {
		assert_true(open_kept(p, i, 5, 1000) > 0);
		passthrough_leave(p, i);
		assert_true(n_registered <= 8192 + 2);
	}
	assert_true(n_registered > 8000);
	for (int i = 0; i < LARGE; i++) {
		assert_true(open_kept(p, i, 6, UINT64_C(1) << 26) > 0);
		passthrough_leave(p, i);
	}
	assert_true(n_registered <= 8192 + 2);
	assert_true(registered[open]);
	passthrough_leave(p, MANY);
	assert_int_equal(open_kept(p, MANY, 5, 1 << 20), open);
	passthrough_leave(p, MANY);
	for (int i = 0; i <= MANY; i++) {
		int32_t backing;

		assert_false(passthrough_join(p, i, &not_kept, &backing));
	}
	assert_int_equal(n_registered, 0);
}

static void test_foreign_tables(void **state)
{
	const uint64_t other = 1;
	struct passthrough *p;
	int fd = -1;

	assert_int_equal(passthrough_new(-1, &p), -EPROTO);
	assert_int_equal(passthrough_table(&fd), 0);
	assert_int_equal(pwrite(fd, &other, sizeof(other), 0), sizeof(other));
	assert_int_equal(passthrough_new(fd, &p), -EPROTO);
	assert_int_equal(ftruncate(fd, 100), 0);
	assert_int_equal(passthrough_new(fd, &p), -EPROTO);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_off_until_the_kernel_lets_us, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_systems_that_cannot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_first_open_decides, setup, teardown),
		cmocka_unit_test_setup_teardown(test_more_than_the_table_holds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_opens, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_process_takes_over, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_file_is_kept_for_the_next_open, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_what_is_kept_is_bounded, setup, teardown),
		cmocka_unit_test(test_foreign_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
