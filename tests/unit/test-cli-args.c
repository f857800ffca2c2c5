/* test-cli-args.c - the command line: options in any place, every slip an error that names it, and mount(8)'s own form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "cli.h"

#define WORDS(...)                                                   \
	ARRAY_LEN(((const char *[]){__VA_ARGS__})), (const char *[]) \
	{                                                            \
		__VA_ARGS__                                          \
	}

struct parsed {
	struct args args;
	struct buf err;
};

static int parse(struct parsed *p, unsigned allowed, size_t least, size_t most, size_t n,
		 const char *const *words)
{
	*p = (struct parsed){.err = BUF(4096)};
	return args_parse(allowed, least, most, (int)n, words, &p->args, &p->err);
}

static int parsed_done(struct parsed *p)
{
	args_done(&p->args);
	buf_done(&p->err);
	return 0;
}

static void options_with_words(void **state)
{
	const unsigned of_export = OPT_FORMAT | OPT_QUERY | OPT_OUTPUT;
	struct parsed p;

	assert_int_equal(parse(&p, of_export, 0, 2,
			       WORDS("export", "--format=coco", "--query", "a b", "-ox.json")),
			 0);
	assert_string_equal(p.args.format, "coco");
	assert_string_equal(p.args.query, "a b");
	assert_string_equal(p.args.output, "x.json");
	assert_int_equal(p.args.mount.len, 0); /* mount's -o is another one */
	parsed_done(&p);
	assert_int_equal(parse(&p, of_export, 0, 2, WORDS("export", "--formatcoco")), -EINVAL);
	parsed_done(&p);
	assert_int_equal(parse(&p, of_export, 0, 2, WORDS("export", "--format")), -EINVAL);
	parsed_done(&p);
}

static void options_in_any_place(void **state)
{
	struct parsed p;

	assert_int_equal(
		parse(&p, OPT_CONFIG | OPT_MOUNT | OPT_STAY, 1, 1,
		      WORDS("mount", "-o", "ro", "/mnt", "-f", "-cfile", "-oallow_other,nodev")),
		0);
	assert_int_equal(p.args.given, OPT_CONFIG | OPT_MOUNT | OPT_STAY);
	assert_string_equal(p.args.config, "file");
	assert_string_equal(p.args.mount.data, "ro,allow_other,nodev");
	assert_int_equal(p.args.n_operands, 1);
	assert_string_equal(p.args.operand[0], "/mnt");
	parsed_done(&p);
}

static void two_dashes_end_options(void **state)
{
	struct parsed p;

	assert_int_equal(
		parse(&p, OPT_CONFIG, 1, SIZE_MAX, WORDS("prefetch", "--", "-c", "--help", "--")),
		0);
	assert_false(p.args.help);
	assert_null(p.args.config);
	assert_int_equal(p.args.n_operands, 3);
	assert_string_equal(p.args.operand[1], "--help");
	parsed_done(&p);
}

static void a_single_dash_is_a_word(void **state)
{
	struct parsed p;

	assert_int_equal(parse(&p, 0, 1, 1, WORDS("scan", "-")), 0);
	assert_string_equal(p.args.operand[0], "-");
	parsed_done(&p);
}

static void slips_are_named(void **state)
{
	static const struct {
		const char *word[4];
		const char *said;
	} slips[] = {
		{{"status", "--jsn"}, "--jsn"},
		{{"status", "--wait"}, "--wait"},
		{{"status", "-c"}, "-c"},
		{{"status", "-x"}, "-x"},
		{{"status", "more"}, "too many"},
		{{"status", ""}, "empty"},
		{{"status", "--json=yes"}, "--json=yes"},
	};
	struct parsed p;

	for (size_t i = 0; i < ARRAY_LEN(slips); i++) {
		size_t n = slips[i].word[2] ? 3 : 2;

		assert_int_equal(parse(&p, OPT_CONFIG | OPT_JSON, 0, 0, n, slips[i].word), -EINVAL);
		assert_non_null(strstr(p.err.data, slips[i].said));
		assert_null(p.args.operand); /* nothing was written */
		parsed_done(&p);
	}
	assert_int_equal(parse(&p, 0, 1, 1, WORDS("scan")), -EINVAL);
	assert_non_null(strstr(p.err.data, "missing"));
	parsed_done(&p);
}

static void help_needs_nothing_else(void **state)
{
	struct parsed p;

	assert_int_equal(parse(&p, 0, 1, 1, WORDS("scan", "--help")), 0);
	assert_true(p.args.help);
	parsed_done(&p);
}

static int parse_helper(struct parsed *p, bool *fake, size_t n, const char *const *words)
{
	*p = (struct parsed){.err = BUF(4096)};
	return args_parse_helper((int)n, words, &p->args, fake, &p->err);
}

static void as_mount_calls_it(void **state)
{
	struct parsed p;
	bool fake = true;

	assert_int_equal(parse_helper(&p, &fake,
				      WORDS("mount.shutterfs", "/etc/x.conf", "/mnt", "-sn", "-o",
					    "rw,_netdev", "-v", "-t", "fuse.shutterfs")),
			 0);
	assert_false(fake);
	assert_string_equal(p.args.config, "/etc/x.conf");
	assert_string_equal(p.args.operand[0], "/mnt");
	assert_int_equal(p.args.n_operands, 1);
	assert_string_equal(p.args.mount.data, "rw,_netdev");
	parsed_done(&p);
	assert_int_equal(
		parse_helper(&p, &fake, WORDS("mount.shutterfs", "none", "/mnt", "-fnsoro")), 0);
	assert_true(fake);
	assert_null(p.args.config);
	assert_string_equal(p.args.mount.data, "ro");
	parsed_done(&p);
}

static void what_mount_would_not_call(void **state)
{
	struct parsed p;
	bool fake;

	assert_int_equal(parse_helper(&p, &fake, WORDS("mount.shutterfs", "/mnt")), -EINVAL);
	parsed_done(&p);
	assert_int_equal(parse_helper(&p, &fake, WORDS("mount.shutterfs", "a", "b", "c")), -EINVAL);
	parsed_done(&p);
	assert_int_equal(parse_helper(&p, &fake, WORDS("mount.shutterfs", "a", "b", "-o")),
			 -EINVAL);
	parsed_done(&p);
	assert_int_equal(parse_helper(&p, &fake, WORDS("mount.shutterfs", "a", "b", "-x")),
			 -EINVAL);
	parsed_done(&p);
}

static void each_verb_is_found(void **state)
{
	static const char *const name[] = {"mount", "umount",   "check", "status", "sync",
					   "scan",  "prefetch", "fsck",  "rebuild"};

	for (size_t i = 0; i < ARRAY_LEN(name); i++)
		assert_string_equal(verb_find(name[i])->name, name[i]);
	assert_null(verb_find("frobnicate"));
	assert_null(verb_find(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_with_words),
		cmocka_unit_test(options_in_any_place),
		cmocka_unit_test(two_dashes_end_options),
		cmocka_unit_test(a_single_dash_is_a_word),
		cmocka_unit_test(slips_are_named),
		cmocka_unit_test(help_needs_nothing_else),
		cmocka_unit_test(as_mount_calls_it),
		cmocka_unit_test(what_mount_would_not_call),
		cmocka_unit_test(each_verb_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
