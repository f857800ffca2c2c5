/* args.c - the command line: options in any place, "--" ends them, and what a verb does not know is an error. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 262144 };

static const struct {
	enum option option;
	const char *name;
	bool has_value;
} options[] = {
	{OPT_CONFIG, "-c", true},          {OPT_JSON, "--json", false},
	{OPT_WAIT, "--wait", false},       {OPT_REPAIR, "--repair", false},
	{OPT_KEYS, "--keys", false},       {OPT_MOUNT, "-o", true},
	{OPT_STAY, "-f", false},           {OPT_VERBOSE, "-v", false},
	{OPT_RESTORE, "--restore", false}, {OPT_PATHS, "--paths", false},
	{OPT_LABELS, "--labels", false},   {OPT_FORMAT, "--format", true},
	{OPT_QUERY, "--query", true},      {OPT_OUTPUT, "-o", true},
};

void args_done(struct args *a)
{
	buf_done(&a->mount);
	buf_done(&a->text);
	free(a->operand);
	*a = (struct args){0};
}

static int args_init(struct args *a, int argc)
{
	*a = (struct args){.mount = BUF(16384)};
	a->operand = calloc((size_t)argc + 1, sizeof(*a->operand));
	return a->operand ? 0 : -ENOMEM;
}

static int add_mount_options(struct args *a, const char *text, struct buf *err)
{
	if (a->mount.len)
		(void)buf_str(&a->mount, ",");
	if (buf_str(&a->mount, text) != -EFBIG)
		return a->mount.error;
	(void)buf_printf(err, "mount options have at most %zu bytes\n", a->mount.max);
	return -EINVAL;
}

/* "-cFILE" and "-c FILE" are the same, and so are "--format=NAME" and "--format NAME". */
static int find_option(unsigned allowed, const char *word, const char **ret_value)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		const char *name = options[i].name;
		size_t len = strlen(name);

		if (!(allowed & options[i].option))
			continue;
		*ret_value = NULL;
		if (strcmp(word, name) == 0)
			return (int)i;
		*ret_value = word + len + (len > 2);
		if (options[i].has_value && strncmp(word, name, len) == 0 &&
		    (len == 2 || word[len] == '='))
			return (int)i;
	}
	return -1;
}

/* Takes the option at argv[*i]. */
static int take_option(unsigned allowed, int argc, const char *const *argv, int *i, struct args *a,
		       struct buf *err)
{
	const char *value = NULL;
	int n = find_option(allowed, argv[*i], &value);

	if (n < 0) {
		(void)buf_printf(err, "%s: unknown option \"%s\"\n", argv[0], argv[*i]);
		return -EINVAL;
	}
	if (options[n].has_value && !value) {
		if (*i + 1 >= argc) {
			(void)buf_printf(err, "%s: %s needs a word after it\n", argv[0],
					 options[n].name);
			return -EINVAL;
		}
		value = argv[++*i];
	}
	a->given |= options[n].option;
	if (options[n].option == OPT_CONFIG)
		a->config = value;
	if (options[n].option == OPT_FORMAT)
		a->format = value;
	if (options[n].option == OPT_QUERY)
		a->query = value;
	if (options[n].option == OPT_OUTPUT)
		a->output = value;
	return options[n].option == OPT_MOUNT ? add_mount_options(a, value, err) : 0;
}

static int take_words(unsigned allowed, int argc, const char *const *argv, struct args *a,
		      struct buf *err)
{
	bool ended = false;
	int r = 0;

	for (int i = 1; r == 0 && i < argc; i++) {
		const char *word = argv[i];

		if (!ended && strcmp(word, "--") == 0)
			ended = true;
		else if (!ended && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0))
			a->help = true;
		else if (!ended && word[0] == '-' && word[1])
			r = take_option(allowed, argc, argv, &i, a, err);
		else if (!word[0])
			r = -EINVAL;
		else
			a->operand[a->n_operands++] = word;
	}
	if (r == -EINVAL && !err->len)
		(void)buf_printf(err, "%s: an empty word says nothing\n", argv[0]);
	return r;
}

int args_parse(unsigned allowed, size_t least, size_t most, int argc, const char *const *argv,
	       struct args *ret, struct buf *err)
{
	CLEANUP(args_done) struct args a = {0};
	int r = args_init(&a, argc);

	if (r == 0)
		r = take_words(allowed, argc, argv, &a, err);
	if (r == 0 && !a.help && (a.n_operands < least || a.n_operands > most)) {
		(void)buf_printf(err, "%s: %s\n", argv[0],
				 a.n_operands < least ? "something is missing" : "too many words");
		r = -EINVAL;
	}
	if (r < 0)
		return r;
	*ret = a;
	a = (struct args){0};
	return 0;
}

int args_split(const struct buf *request, const char ***ret, int *ret_n)
{
	const char **word;
	int n = 0;

	for (size_t i = 0; i < request->len; i++)
		n += !request->data[i];
	if (n > WORDS_MAX)
		return -E2BIG;
	word = calloc((size_t)n + 1, sizeof(*word));
	if (!word)
		return -ENOMEM;
	n = 0;
	for (const char *p = request->data; *p; p += strlen(p) + 1)
		word[n++] = p;
	*ret = word;
	*ret_n = n;
	return 0;
}

/* "-sfnv" in one word, "-o OPTS", "-t TYPE", "-N NS". */
static int take_helper_option(int argc, const char *const *argv, int *i, struct args *a, bool *fake,
			      struct buf *err)
{
	for (const char *p = argv[*i] + 1; *p; p++) {
		const char *value;

		if (*p == 's' || *p == 'n')
			continue;
		if (*p == 'f' || *p == 'v') {
			*fake = *fake || *p == 'f';
			continue;
		}
		if (!strchr("otN", *p) || (!p[1] && *i + 1 >= argc)) {
			(void)buf_printf(err, "%s: unknown option \"%s\"\n", argv[0], argv[*i]);
			return -EINVAL;
		}
		value = p[1] ? p + 1 : argv[++*i];
		return *p == 'o' ? add_mount_options(a, value, err) : 0;
	}
	return 0;
}

int args_parse_helper(int argc, const char *const *argv, struct args *ret, bool *ret_fake,
		      struct buf *err)
{
	CLEANUP(args_done) struct args a = {0};
	bool fake = false;
	int r = args_init(&a, argc);

	for (int i = 1; r == 0 && i < argc; i++) {
		if (argv[i][0] == '-' && argv[i][1])
			r = take_helper_option(argc, argv, &i, &a, &fake, err);
		else
			a.operand[a.n_operands++] = argv[i];
	}
	if (r == 0 && a.n_operands != 2) {
		(void)buf_printf(err, "usage: %s CONFIG DIRECTORY [-sfnv] [-o OPTIONS]\n", argv[0]);
		r = -EINVAL;
	}
	if (r < 0)
		return r;
	if (strcmp(a.operand[0], "none") != 0 && strcmp(a.operand[0], "shutterfs") != 0) {
		a.config = a.operand[0];
		a.given |= OPT_CONFIG;
	}
	a.operand[0] = a.operand[1];
	a.n_operands = 1;
	*ret = a;
	a = (struct args){0};
	*ret_fake = fake;
	return 0;
}
