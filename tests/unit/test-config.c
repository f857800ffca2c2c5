/* test-config.c - the config file: every key, every kind of error with its line, and defaults. */
#include "test-config.h"
#include "private.h"

/* ---- what is right ---- */

static void design_example(void **state)
{
	struct config *c;

	write_text("front.secret", "hunter2\n", 0600);
	write_text("ak", "AKIDEXAMPLE", 0600);
	write_text("sk", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\r\n", 0400);
	c = load_ok(
		"; a comment\n# another\n[shutterfs]\n"
		"state = /var/lib/shutterfs        ; catalog, spool\n"
		"cache = cache/\ncache_size = 20G\ntimezone = Europe/Prague\nfetch_threads = 8\nfetch_deadline = 1m30s\n"
		"sidecars = ghost\ndurability = close\nupload = off\n\n"
		"[camera \"front\"] ; the door\r\n  driver = http\r\n  url: http://192.168.1.10/snapshot.jpg?a=1;b\r\n"
		"user = admin\npassword_file = front.secret ; 0600\ninterval = 10m\ngroup = home\ntitle = Front: door\n"
		"min_interval = 500ms\ntimeout = 4s\n"
		"[camera \"b_2\"]\ndriver=foscam\nurl=https://cam:88\n"
		"[store \"cloud\"]\ndriver = s3\nendpoint = https://s3.eu-west-1.amazonaws.com\nregion = eu-west-1\n"
		"bucket = my-cameras\nprefix = snapshots/\nlayout = {camera}/{stem}.jpg\nscan = 15m\npath_style = no\n"
		"access_key_file = ak\nsecret_key_file = sk\nthreads = 4\n"
		"[store \"disk\"]\ndriver = dir\npath = ../archive");
	assert_string_equal(c->file, conf);
	assert_string_equal(c->state, "/var/lib/shutterfs");
	assert_path(c->cache, "cache");
	assert_int_equal(c->cache_size, 20LL << 30);
	assert_string_equal(c->timezone, "Europe/Prague");
	assert_int_equal(c->fetch_threads, 8);
	assert_int_equal(c->fetch_deadline_us, 90000000);
	assert_int_equal(c->sidecars, SIDECARS_GHOST);
	assert_int_equal(c->durability, DURABILITY_CLOSE);
	assert_true(c->read_only_upload);
	assert_int_equal(c->n_cameras, 2);
	assert_string_equal(c->camera[0].name, "front");
	assert_string_equal(c->camera[0].title, "Front: door");
	assert_string_equal(c->camera[0].url, "http://192.168.1.10/snapshot.jpg?a=1;b");
	assert_string_equal(c->camera[0].password.text, "hunter2");
	assert_string_equal(c->camera[0].group, "home");
	assert_int_equal(c->camera[0].interval_us, 600000000);
	assert_int_equal(c->camera[0].min_interval_us, 500000);
	assert_int_equal(c->camera[0].timeout_us, 4000000);
	assert_string_equal(c->camera[1].title, "b_2");
	assert_string_equal(c->camera[1].driver, "foscam");
	assert_int_equal(c->camera[1].interval_us, 0);
	assert_int_equal(c->camera[1].min_interval_us, 1000000);
	assert_int_equal(c->camera[1].timeout_us, 10000000);
	assert_null(c->camera[1].password.text);
	assert_int_equal(c->n_stores, 2);
	assert_string_equal(c->store[0].access_key.text, "AKIDEXAMPLE");
	assert_string_equal(c->store[0].secret_key.text,
			    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
	assert_true(c->store[0].has_path_style && !c->store[0].path_style);
	assert_int_equal(c->store[0].scan_us, 900000000);
	assert_int_equal(c->store[0].threads, 4);
	assert_path(c->store[1].path, "../archive");
	assert_int_equal(c->store[1].threads, 32);
	assert_false(c->store[1].has_path_style);
	assert_string_equal(c->store[1].layout, "{camera}/{yyyy}/{mm}/{dd}/{stem}.jpg");
	assert_null(config_free(c));
	assert_null(config_free(NULL));
}

static void assert_is_default(const struct config *c)
{
	assert_path(c->state, ".local/state/shutterfs");
	assert_path(c->cache, ".cache/shutterfs");
	assert_null(c->timezone);
	assert_int_equal(c->cache_size, 20LL << 30);
	assert_int_equal(c->fetch_threads, 32);
	assert_int_equal(c->fetch_deadline_us, 60000000);
	assert_int_equal(c->sidecars, SIDECARS_DEFAULT);
	assert_int_equal(c->durability, DURABILITY_LAZY);
	assert_false(c->read_only_upload);
	assert_int_equal(c->n_cameras, 0);
	assert_int_equal(c->n_stores, 1);
	assert_string_equal(c->store[0].name, "archive");
	assert_string_equal(c->store[0].driver, "dir");
	assert_path(c->store[0].path, ".local/share/shutterfs/archive");
	assert_string_equal(c->store[0].layout, "{camera}/{yyyy}/{mm}/{dd}/{stem}.jpg");
}

static void defaults(void **state)
{
	static const char *const empties[] = {"", "\n", "[shutterfs]", "; only this",
					      "\xef\xbb\xbf[shutterfs]\n"};
	CLEANUP(buf_done) struct buf err = BUF(4096);
	struct config *c = NULL;

	for (size_t i = 0; i < ARRAY_LEN(empties); i++) {
		c = load_ok(empties[i]);
		assert_is_default(c);
		config_free(c);
	}
	if (access("/etc/shutterfs/shutterfs.conf", F_OK) == 0)
		return;
	assert_int_equal(config_load(NULL, &err, &c), 0);
	assert_null(c->file);
	assert_is_default(c);
	config_free(c);
}

static void xdg_directories(void **state)
{
	CLEANUP(buf_done) struct buf err = BUF(4096);
	struct config *c = NULL;
	char path[128];

	assert_int_equal(make_dirs(dir, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/shutterfs", dir);
	assert_int_equal(make_dirs(path, 0700), 0);
	write_text("shutterfs/shutterfs.conf",
		   "[shutterfs]\ncache = ~/c\n[store \"s\"]\ndriver = dir\npath = $XDG_DATA_HOME/s",
		   0644);
	setenv("XDG_CONFIG_HOME", dir, 1);
	setenv("XDG_STATE_HOME", "/xdg", 1);
	setenv("XDG_DATA_HOME", "relative/is/ignored", 1);
	assert_int_equal(config_load(NULL, &err, &c), 0);
	assert_string_equal(c->state, "/xdg/shutterfs");
	assert_path(c->cache, "c");
	assert_path(c->store[0].path, ".local/share/s");
	assert_path(c->file, "shutterfs/shutterfs.conf");
	config_free(c);
	unsetenv("XDG_STATE_HOME");
	unsetenv("XDG_DATA_HOME");
	/* a broken file of the user's does not fall through to the next place */
	write_text("shutterfs/shutterfs.conf", "[shutterfs]\nx = y", 0644);
	assert_int_equal(config_load(NULL, &err, &c), -EINVAL);
	unsetenv("XDG_CONFIG_HOME");
}

static void home_comes_from_the_user_database(void **state)
{
	struct config *c;

	unsetenv("HOME");
	c = load_ok("");
	assert_int_equal(c->state[0], '/');
	assert_non_null(strstr(c->state, "/.local/state/shutterfs"));
	config_free(c);
	setenv("HOME", dir, 1);
}

static void relative_file_name(void **state)
{
	CLEANUP(buf_done) struct buf err = BUF(4096);
	struct config *c = NULL;

	write_text("shutterfs.conf", "[shutterfs]\nstate = s\n", 0644);
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(config_load("shutterfs.conf", &err, &c), 0);
	assert_string_equal(c->file, conf);
	assert_path(c->state, "s");
	config_free(c);
	assert_int_equal(chdir("/"), 0);
}

static void long_lines(void **state)
{
	CLEANUP(buf_done) struct buf text = BUF(65536);
	struct config *c;

	buf_str(&text, "[camera \"a\"]\nurl = http://h/?q=");
	for (int i = 0; i < 400; i++)
		buf_str(&text, "0123456789");
	buf_str(&text, "\n# ");
	for (int i = 0; i < 2000; i++)
		buf_str(&text, "comment...");
	assert_int_equal(buf_str(&text, "\nuser = u\n"), 0);
	c = load_ok(text.data);
	assert_int_equal(strlen(c->camera[0].url), strlen("http://h/?q=") + 4000);
	assert_string_equal(c->camera[0].user, "u");
	config_free(c);
	text.len = 0;
	buf_str(&text, "[camera \"a\"]\nurl = http://h/?q=");
	for (int i = 0; i < 900; i++)
		buf_str(&text, "0123456789");
	assert_int_equal(buf_str(&text, "\nuser = u\n"), 0);
	write_text("shutterfs.conf", text.data, 0644);
	text.len = 0;
	assert_int_equal(config_load(conf, &text, &c), -EINVAL);
	assert_non_null(strstr(text.data, ":2: this line is longer than"));
}

static void fifty_byte_limits_of_inih_do_not_show(void **state)
{
	char name[CAMERA_MAX + 1], text[256];
	struct config *c;

	memset(name, 'n', CAMERA_MAX);
	name[CAMERA_MAX] = '\0';
	(void)snprintf(text, sizeof(text), "[camera \"%s\"]\nurl = http://h/\n", name);
	c = load_ok(text);
	assert_string_equal(c->camera[0].name, name);
	config_free(c);
}

/* As it is, and with every line that is commented out. */
static void shipped_example(void **state)
{
	CLEANUP(buf_done) struct buf text = BUF(65536), all = BUF(65536);
	const char *root = getenv("SOURCE_ROOT");
	char path[512];
	struct config *c;

	if (!root)
		skip();
	(void)snprintf(path, sizeof(path), "%s/contrib/shutterfs.conf.example", root);
	assert_int_equal(read_file(AT_FDCWD, path, 65536, &text), 0);
	c = load_ok(text.data);
	assert_is_default(c);
	config_free(c);
	for (char *p = text.data, *end; *p; p = end) {
		end = p + strcspn(p, "\n");
		end += *end == '\n';
		if (p[0] == ';' && p[1] != ' ')
			p++;
		assert_int_equal(buf_add(&all, p, (size_t)(end - p)), 0);
	}
	write_text("front.secret", "x", 0600);
	write_text("garage.secret", "x", 0600);
	write_text("cloud.access", "x", 0600);
	write_text("cloud.secret", "x", 0600);
	write_text("lab.secret", "x", 0600);
	c = load_ok(all.data);
	assert_int_equal(c->n_cameras, 2);
	assert_int_equal(c->n_stores, 2);
	assert_int_equal(c->n_elastics, 1);
	config_free(c);
}

/* ---- what is wrong, and where ---- */

static void errors_have_a_line(void **state)
{
	static const struct {
		unsigned line;
		const char *text, *want;
	} cases[] = {
		{1, "no section\n", "neither [section] nor key = value"},
		{1, "state = x\n", "before the first section"},
		{2, "[shutterfs]\nstat = x\n", "no key \"stat\": did you mean \"state\"?"},
		{2, "[shutterfs]\nfrobnication = x\n", "no key \"frobnication\"\n"},
		{2, "[shutterfs]\nurl = http://x/\n", "no key \"url\""},
		{3, "[shutterfs]\n\n[camara \"front\"]\nurl = http://x/\nfoo = bar\n",
		 "no section [camara]"},
		{1, "[camera front]\nurl = http://x/\n", "a section looks like"},
		{1, "[camera \"front\"\nurl = http://x/\n", "a section looks like"},
		{1, "[camera \"front\"] x\n", "a section looks like"},
		{1, "[camera]\n", "[camera] needs a name"},
		{1, "[shutterfs \"x\"]\n", "has no name"},
		{1, "[camera \"a.b\"]\nurl = http://x/\n",
		 "cannot name a camera: 1 to 64 of A-Z a-z 0-9 _ -"},
		{1, "[store \"../x\"]\n", "cannot name a store"},
		{3, CAMERA "[camera \"a\"]\nurl = http://y/\n", "stands twice, first in line 1"},
		{3, "[shutterfs]\nstate = x\n[shutterfs]\n", "stands twice, first in line 1"},
		{3, "[shutterfs]\nstate = a\nstate = b\n",
		 "\"state\" stands twice, first in line 2"},
		{2, "[shutterfs]\ncache_size = many\n", "\"cache_size = many\" is not a size"},
		{2, "[shutterfs]\ncache_size = 5X\n", "is not a size"},
		{2, "[shutterfs]\ncache_size = 5GB\n", "is not a size"},
		{2, "[shutterfs]\ncache_size = 99999999999T\n", "is not a size"},
		{2, "[shutterfs]\ncache_size = 1K\n", "at least 64K"},
		{2, "[shutterfs]\nfetch_threads = 0\n", "at least 1"},
		{2, "[shutterfs]\nfetch_threads = 2000\n", "at most 1024"},
		{2, "[shutterfs]\nfetch_threads = -1\n", "is not a number"},
		{2, "[shutterfs]\nfetch_deadline = 60\n", "is not a duration like 10s"},
		{2, "[shutterfs]\nfetch_deadline = 2d\n", "at most 1d"},
		{2, "[shutterfs]\nfetch_deadline = 10ms\n", "at least 1s"},
		{2, "[shutterfs]\nfetch_deadline =\n", "is not a duration"},
		{2, "[shutterfs]\ntimezone = Mars/Olympus\n", "no time zone \"Mars/Olympus\""},
		{2, "[shutterfs]\ntimezone = ../../../etc/passwd\n", "no time zone"},
		{2, "[shutterfs]\ntimezone = Europe\n", "no time zone"},
		{2, "[shutterfs]\nsidecars = all\n", "list, ghost or off"},
		{2, "[shutterfs]\ndurability = never\n", "lazy or close"},
		{2, "[shutterfs]\nupload = maybe\n", "is not yes or no"},
		{2, "[shutterfs]\nstate =\n", "is not a path"},
		{3, "[shutterfs]\nstate = x\ncache = x/\n", "same directory"},
		{2, "[shutterfs]\nstate = x/y\ncache = x\n", "state is inside cache"},
		{5, "[shutterfs]\ncache = x\n[store \"s\"]\ndriver = dir\npath = x/y\n",
		 "\"s\" is inside cache"},
		{1, "[camera \"a\"]\ndriver = http\n", "has no url"},
		{1, "[camera \"a\"]\n", "has no url"},
		{2, "[camera \"a\"]\nurl = 192.168.1.1/x\n", "is not a URL"},
		{2, "[camera \"a\"]\nurl = file:///etc/passwd\n",
		 "url of camera \"a\" must begin with http"},
		{3, "[camera \"a\"]\nurl = http://h/\ndriver = telepathy\n",
		 "no driver \"telepathy\" for a camera: http and foscam"},
		{3, CAMERA "title = caf\xe9\n", "\"title\" must be UTF-8"},
		{3, CAMERA "group = caf\xe9\n", "\"group\" must be UTF-8"},
		{3, CAMERA "interval = soon\n", "\"interval = soon\""},
		{3, CAMERA "interval = 10\n", "not a duration"},
		{3, CAMERA "interval = 99999999999999999d\n", "not a duration"},
		{3, CAMERA "password_env = NO_SUCH_VARIABLE\n", "no variable NO_SUCH_VARIABLE"},
		{1, CAMERA "password_env = HOME\npassword_file = f\n", "more than one of"},
		{1, "[store \"s\"]\npath = x\n", "has no driver"},
		{1, "[store \"s\"]\ndriver = dir\n", "has no path"},
		{2, "[store \"s\"]\ndriver = tape\n", "no driver \"tape\" for a store: dir and s3"},
		{4, STORE "layout = {nothing}.jpg\n", "\"layout = {nothing}.jpg\""},
		{4, STORE "layout = x.jpg\n", "layout"},
		{4, STORE "prefix = /x\n", "must not begin with /"},
		{4, STORE "prefix = a/../x\n", "must not have \".\" or \"..\""},
		{4, STORE "path_style = perhaps\n", "is not yes or no"},
		{1, "[store \"s\"]\ndriver = s3\nbucket = b\n", "has no keys"},
		{4, "[store \"s\"]\ndriver = s3\nbucket = b\nprofile = x\n", ".aws/credentials"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int error = strstr(cases[i].want, ".aws") ? -EACCES : -EINVAL;

		assert_error(cases[i].text, error, cases[i].line, cases[i].want);
	}
}

static void all_errors_are_reported_up_to_twenty(void **state)
{
	CLEANUP(buf_done) struct buf text = BUF(65536), err = BUF(65536);
	struct config *c = NULL;
	char place[160];
	size_t lines = 0;

	buf_str(&text, "[shutterfs]\n");
	for (int i = 0; i < 30; i++)
		buf_printf(&text, "wrong%d = 1\n", i);
	write_text("shutterfs.conf", text.data, 0644);
	assert_int_equal(config_load(conf, &err, &c), -EINVAL);
	for (const char *p = err.data; (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, 21);
	(void)snprintf(place, sizeof(place), "%s:21: ", conf);
	assert_non_null(strstr(err.data, place));
	assert_non_null(strstr(err.data, "and 10 more errors"));
}

static void files_that_are_no_config(void **state)
{
	CLEANUP(buf_done) struct buf err = BUF(65536);
	CLEANUP(freep) char *huge = NULL;
	static const char nul[] = "[shutterfs]\nstate = a\0b\n";
	struct config *c = NULL;

	assert_int_equal(config_load("/nonexistent/x.conf", &err, &c), -ENOENT);
	assert_non_null(strstr(err.data, "/nonexistent/x.conf: cannot be read: No such file"));
	assert_int_equal(config_load(dir, &err, &c), -EISDIR);
	assert_int_equal(write_file_atomic(AT_FDCWD, conf, nul, sizeof(nul) - 1, 0644), 0);
	err.len = 0;
	assert_int_equal(config_load(conf, &err, &c), -EINVAL);
	assert_non_null(strstr(err.data, ":2: this line has a NUL byte"));
	huge = malloc(2 * 1024 * 1024);
	memset(huge, '\n', 2 * 1024 * 1024);
	assert_int_equal(write_file_atomic(AT_FDCWD, conf, huge, 2 * 1024 * 1024, 0644), 0);
	assert_int_equal(config_load(conf, &err, &c), -EFBIG);
	assert_null(c);
}

static void too_many_sections(void **state)
{
	CLEANUP(buf_done) struct buf text = BUF(1024 * 1024);

	for (int i = 0; i < CONFIG_STORES_MAX + 1; i++)
		buf_printf(&text, "[store \"s%d\"]\ndriver = dir\npath = p%d\n", i, i);
	assert_error(text.data, -EINVAL, 49, "more than 16 sections [store]");
}

/* What is shown can be read again and means the same. */
static void shown_round_trip(void **state)
{
	CLEANUP(buf_done) struct buf one = BUF(65536), two = BUF(65536);
	struct config *c = load_ok(
		"[shutterfs]\ntimezone = Asia/Tokyo\nsidecars = off\ncache_size = 1000000\n" CAMERA
		"min_interval = 0\ninterval = 1d\ngroup = my house\n" STORE "scan = 36h\n");

	assert_int_equal(config_print(c, &one), 0);
	config_free(c);
	c = load_ok(one.data);
	assert_int_equal(config_print(c, &two), 0);
	assert_string_equal(one.data, two.data);
	assert_int_equal(c->camera[0].min_interval_us, 0);
	assert_int_equal(c->cache_size, 1000000);
	config_free(c);
}

static void the_table_is_sound(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF(65536);
	size_t lines = 0;

	for (size_t i = 0; i < config_n_keys; i++) {
		const struct key *k = &config_keys[i];

		assert_ptr_equal(key_find(k->section, k->name), k); /* no name twice */
		assert_true(i == 0 || k->section >= k[-1].section);
		assert_true(key_index(k) < KEYS_MAX);
		assert_non_null(k->help);
	}
	config_print_keys(&out);
	assert_int_equal(out.error, 0);
	for (const char *p = out.data; (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, config_n_keys);
	assert_non_null(
		strstr(out.data, "[shutterfs] cache_size = 20G: most bytes of the cache\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(design_example, setup, teardown),
		cmocka_unit_test_setup_teardown(defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(xdg_directories, setup, teardown),
		cmocka_unit_test_setup_teardown(home_comes_from_the_user_database, setup, teardown),
		cmocka_unit_test_setup_teardown(relative_file_name, setup, teardown),
		cmocka_unit_test_setup_teardown(long_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(fifty_byte_limits_of_inih_do_not_show, setup,
						teardown),
		cmocka_unit_test_setup_teardown(shipped_example, setup, teardown),
		cmocka_unit_test_setup_teardown(errors_have_a_line, setup, teardown),
		cmocka_unit_test_setup_teardown(all_errors_are_reported_up_to_twenty, setup,
						teardown),
		cmocka_unit_test_setup_teardown(files_that_are_no_config, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many_sections, setup, teardown),
		cmocka_unit_test_setup_teardown(shown_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(the_table_is_sound, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
