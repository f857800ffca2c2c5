/* test-config-secrets.c - secrets are found in their order, only in private files, and are never shown. */
#include "test-config.h"

#include <sys/wait.h>

static void secret_files(void **state)
{
	static const mode_t wrong[] = {0640, 0604, 0644, 0666, 0610};
	static const char text[] = CAMERA "password_file = cam.secret\n";
	char path[128], other[128];
	struct config *c;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		write_text("cam.secret", "canary", wrong[i]);
		(void)snprintf(path, sizeof(path), "chmod 600 %s/cam.secret", dir);
		assert_error(text, -EACCES, 3, path);
	}
	write_text("cam.secret", "canary\n", 0600);
	c = load_ok(text);
	assert_string_equal(c->camera[0].password.text, "canary");
	config_free(c);
	(void)snprintf(path, sizeof(path), "%s/cam.secret", dir);
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 65534, (gid_t)-1), 0);
		assert_error(text, -EACCES, 3, "belongs to somebody else");
	}
	(void)snprintf(other, sizeof(other), "%s/real", dir);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	assert_error(text, -EACCES, 3, "symbolic link");
	unlink(path);
	assert_error(text, -EACCES, 3, "No such file");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_error(text, -EACCES, 3, "is not a regular file");
	unlink(path);
	write_text("cam.secret", "", 0600);
	assert_error(text, -EINVAL, 3, "one line");
	write_text("cam.secret", "two\nlines\n", 0600);
	assert_error(text, -EINVAL, 3, "one line");
}

static void the_folder_of_a_secret_is_ours_alone(void **state)
{
	static const mode_t wrong[] = {0770, 0707, 0730, 0777}, right[] = {0700, 0755, 0550, 01777};
	static const char text[] = CAMERA "password_file = keys/cam.secret\n";
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/keys", dir);
	assert_int_equal(make_dirs(path, 0700), 0);
	write_text("keys/cam.secret", "canary", 0600);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_int_equal(chmod(path, wrong[i]), 0);
		assert_error(text, -EACCES, 3, "chmod go-w");
	}
	for (size_t i = 0; i < ARRAY_LEN(right); i++) {
		assert_int_equal(chmod(path, right[i]), 0);
		config_free(load_ok(text));
	}
	assert_int_equal(chmod(path, 0700), 0);
}

/* Does the kernel show it to who may look at our environment? */
static bool environ_shows(const char *text)
{
	CLEANUP(buf_done) struct buf b = BUF(1024 * 1024);

	assert_int_equal(read_file(AT_FDCWD, "/proc/self/environ", b.max, &b), 0);
	return memmem(b.data, b.len, text, strlen(text)) != NULL;
}

/* Runs again with a secret in its environment: only what a process was started with is shown there. */
static void the_environment_shows_no_secret_that_was_taken(void **state)
{
	static const char *const text = CAMERA "password_env = CAMERA_SECRET\n";
	struct config *c;

	if (!getenv("CAMERA_SECRET")) {
		pid_t pid = fork();
		int status = -1;

		if (pid == 0) {
			setenv("CAMERA_SECRET", "canary-env", 1);
			execl("/proc/self/exe", "test-config-secrets", "environment", NULL);
			_exit(1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		return;
	}
	assert_true(environ_shows("canary-env"));
	for (int i = 0; i < 2; i++) { /* it can be loaded again */
		c = load_ok(text);
		assert_string_equal(c->camera[0].password.text, "canary-env");
		config_free(c);
		assert_false(environ_shows("canary-env"));
		assert_string_equal(getenv("CAMERA_SECRET"), "canary-env");
	}
}

static void systemd_credentials_come_first(void **state)
{
	char path[128];
	struct config *c;

	(void)snprintf(path, sizeof(path), "%s/credentials", dir);
	assert_int_equal(make_dirs(path, 0700), 0);
	write_text("credentials/cam.secret", "from systemd\n",
		   0440); /* its group bits are the mask of an ACL */
	write_text("cam.secret", "from file\n", 0600);
	setenv("CREDENTIALS_DIRECTORY", path, 1);
	c = load_ok(CAMERA "password_file = cam.secret\n");
	assert_string_equal(c->camera[0].password.text, "from systemd");
	config_free(c);
	c = load_ok(CAMERA "password_file = ./cam.secret\n");
	assert_string_equal(c->camera[0].password.text, "from file");
	config_free(c);
	unsetenv("CREDENTIALS_DIRECTORY");
}

static void who_asks_a_mount_needs_no_secrets(void **state)
{
	static const char *const lacking[] = {
		CAMERA "password_file = nowhere.secret\n",
		CAMERA "password_env = NO_SUCH_VARIABLE\n",
		"[store \"s\"]\ndriver = s3\nbucket = b\n",
		CAMERA "password_env = NO_SUCH_VARIABLE\nurl = http://twice/\n"};

	for (size_t i = 0; i < ARRAY_LEN(lacking); i++) {
		CLEANUP(buf_done) struct buf err = BUF(4096), text = BUF(4096);
		CLEANUP(freep) char *where = NULL;
		struct config *c = NULL;

		assert_int_equal(buf_printf(&text, "[shutterfs]\nstate = st\n%s", lacking[i]), 0);
		write_text("shutterfs.conf", text.data, 0600);
		assert_true(config_load_or_state(conf, &err, &c, &where) < 0);
		assert_null(c);
		assert_true(err.len > 0);
		if (i + 1 < ARRAY_LEN(lacking))
			assert_path(where, "st");
		else /* more than that is wrong */
			assert_null(where);
	}
}

static void passwords_in_the_config(void **state)
{
	CLEANUP(buf_done) struct buf err = BUF(4096);
	struct config *c = NULL;

	assert_error(CAMERA "password = canary\n", -EACCES, 3, "or use password_file");
	write_text("shutterfs.conf", CAMERA "password = canary # 1\n", 0600);
	assert_int_equal(config_load(conf, &err, &c), 0);
	assert_string_equal(c->camera[0].password.text, "canary # 1");
	config_free(c);
	setenv("CAMERA_PASSWORD", "from env", 1);
	c = load_ok(CAMERA "password_env = CAMERA_PASSWORD\n");
	assert_string_equal(c->camera[0].password.text, "from env");
	config_free(c);
}

#define S3 "[store \"s\"]\ndriver = s3\nbucket = b\n"

static void assert_keys(const char *more, const char *access, const char *secret, const char *token)
{
	char text[512];
	struct config *c;

	(void)snprintf(text, sizeof(text), S3 "%s", more);
	c = load_ok(text);
	assert_string_equal(c->store[0].access_key.text, access);
	assert_string_equal(c->store[0].secret_key.text, secret);
	if (token)
		assert_string_equal(c->store[0].session_token.text, token);
	else
		assert_null(c->store[0].session_token.text);
	config_free(c);
}

static void s3_keys_in_order(void **state)
{
	CLEANUP(buf_done) struct buf aws = BUF(8192);
	char token[2001], path[128];

	memset(token, 't', 2000);
	token[2000] = '\0';
	(void)snprintf(path, sizeof(path), "%s/.aws", dir);
	assert_int_equal(make_dirs(path, 0700), 0);
	buf_printf(
		&aws,
		"# mine\n[default]\naws_access_key_id = da\naws_secret_access_key=ds\n\n[cams]\r\n"
		"aws_access_key_id=ca\r\n  aws_secret_access_key = c=s\r\naws_session_token = %s\n[half]\naws_access_key_id = x",
		token);
	write_text(".aws/credentials", aws.data, 0600);
	write_text("ak", "fa\n", 0600);
	write_text("sk", "fs\n", 0600);
	write_text("st", "ft\n", 0600);
	assert_keys("", "da", "ds", NULL);
	assert_keys("profile = cams\n", "ca", "c=s", token);
	setenv("AWS_PROFILE", "cams", 1);
	assert_keys("", "ca", "c=s", token);
	setenv("AWS_ACCESS_KEY_ID", "ea", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "es", 1);
	assert_keys("", "ea", "es", NULL);
	setenv("AWS_SESSION_TOKEN", "et", 1);
	assert_keys("", "ea", "es", "et");
	assert_keys("profile = default\n", "da", "ds", NULL); /* what the config names wins */
	assert_keys("access_key_file = ak\nsecret_key_file = sk\n", "fa", "fs", NULL);
	assert_keys(
		"access_key_file = ak\nsecret_key_file = sk\nsession_token_file = st\nprofile = cams\n",
		"fa", "fs", "ft");
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	unsetenv("AWS_SESSION_TOKEN");
	unsetenv("AWS_PROFILE");
	assert_error(S3 "access_key_file = ak\n", -EINVAL, 1, "needs both");
	assert_error(S3 "profile = half\n", -EINVAL, 1, "has no keys");
	assert_error(S3 "profile = none\n", -EINVAL, 4, "has no profile [none]");
	write_text(".aws/credentials", aws.data, 0644);
	assert_error(S3, -EACCES, 1, "chmod 600");
}

/* ---- shown ---- */

static void shown_without_secrets(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF(65536);
	struct config *c;

	write_text("cam.secret", "canary1", 0600);
	setenv("AWS_ACCESS_KEY_ID", "canary2", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "canary3", 1);
	setenv("AWS_SESSION_TOKEN", "canary4", 1);
	c = load_ok(
		"[shutterfs]\ntimezone = UTC\n[camera \"a\"]\nurl = http://me:canary5@h:81/cgi?cmd=snap&pwd=canary6&token=canary7"
		"&usr=canary8&canary9&channel=1\nuser = admin\npassword_file = cam.secret\ninterval = 90s\n"
		"[camera \"b\"]\nurl = http://canarytoken@h/x@y?\n" S3 "path_style = yes\n");
	assert_int_equal(config_print(c, &out), 0);
	assert_null(strstr(out.data, "canary1"));
	for (int i = 2; i < 9; i++) {
		char canary[32];

		(void)snprintf(canary, sizeof(canary), "canary%d", i);
		if (strstr(out.data, canary))
			fail_msg("%s is shown in\n%s", canary, out.data);
	}
	assert_null(strstr(out.data, "canary9"));
	assert_null(strstr(out.data, "canarytoken"));
	assert_non_null(strstr(
		out.data,
		"url = http://me:****@h:81/cgi?cmd=snap&pwd=****&token=****&usr=****&****&channel=1\n"));
	assert_non_null(strstr(out.data, "url = http://****@h/x@y?\n"));
	assert_non_null(strstr(out.data, "password = ****\n"));
	assert_non_null(strstr(out.data, "interval = 90s\n"));
	assert_non_null(strstr(out.data, "cache_size = 20G\n"));
	assert_non_null(strstr(out.data, "path_style = yes\n"));
	assert_non_null(strstr(out.data, "upload = on\n"));
	assert_non_null(strstr(out.data, "[store \"s\"]\ndriver = s3\n"));
	config_free(c);
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	unsetenv("AWS_SESSION_TOKEN");
}

#define ELASTIC "[elastic \"lab\"]\nurl = https://h:9200\nindex = labels\n"

static void elastic(void **state)
{
	CLEANUP(buf_done) struct buf shown = BUF(65536);
	struct config *c;

	write_text("lab.secret", "horse\n", 0600);
	write_text("lab.key", "aWQ6a2V5\n", 0600);
	c = load_ok(ELASTIC "user = u\npassword_file = lab.secret\n[elastic \"b\"]\n"
			    "url = http://h\nindex = i\napi_key_file = lab.key\n");
	assert_int_equal(c->n_elastics, 2);
	assert_string_equal(c->elastic[0].name, "lab");
	assert_string_equal(c->elastic[0].index, "labels");
	assert_string_equal(c->elastic[0].password.text, "horse");
	assert_string_equal(c->elastic[1].api_key.text, "aWQ6a2V5");
	assert_int_equal(config_print(c, &shown), 0);
	assert_non_null(strstr(shown.data, "[elastic \"lab\"]\nurl = https://h:9200\n"));
	assert_null(strstr(shown.data, "horse"));
	assert_null(strstr(shown.data, "aWQ6a2V5"));
	assert_null(config_free(c));
	assert_error("[elastic \"a\"]\nurl = http://h\n", -EINVAL, 1, "has no index");
	assert_error("[elastic \"a\"]\nindex = x\n", -EINVAL, 1, "has no url");
	assert_error("[elastic \"a\"]\nurl = http://h\nindex = a*\n", -EINVAL, 3, "one index");
	assert_error("[elastic \"a\"]\nurl = http://u:p@h\nindex = a\n", -EINVAL, 2,
		     "without a password");
	assert_error(ELASTIC "password_file = lab.secret\n", -EINVAL, 1, "no user");
	assert_error(ELASTIC "user = u\napi_key_file = lab.key\n", -EINVAL, 1, "both an API key");
	assert_error(ELASTIC "password = x\n", -EACCES, 4, "chmod 600");
}

/* With a word: the process that is told how it was started. */
int main(int argc, char **argv)
{
	const struct CMUnitTest started[] = {
		cmocka_unit_test_setup_teardown(the_environment_shows_no_secret_that_was_taken,
						setup, teardown),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(elastic, setup, teardown),
		cmocka_unit_test_setup_teardown(secret_files, setup, teardown),
		cmocka_unit_test_setup_teardown(the_folder_of_a_secret_is_ours_alone, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_environment_shows_no_secret_that_was_taken,
						setup, teardown),
		cmocka_unit_test_setup_teardown(systemd_credentials_come_first, setup, teardown),
		cmocka_unit_test_setup_teardown(who_asks_a_mount_needs_no_secrets, setup, teardown),
		cmocka_unit_test_setup_teardown(passwords_in_the_config, setup, teardown),
		cmocka_unit_test_setup_teardown(s3_keys_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(shown_without_secrets, setup, teardown),
	};
	return argc > 1 ? cmocka_run_group_tests(started, NULL, NULL)
			: cmocka_run_group_tests(tests, NULL, NULL);
}
