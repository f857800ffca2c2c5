/* The config while calls fail: it is read whole or not at all, and what the machine lacks is not said to be wrong in it. */
#include "../unit/test-config.h"
#include "torture.h"

static const char text[] =
	"[shutterfs]\nstate = st\ncache = ca\ncache_size = 20G\ntimezone = Europe/Prague\n"
	"[camera \"front\"]\nurl = http://192.168.1.10/snapshot.jpg\nuser = admin\n"
	"password_file = front.secret\ninterval = 10m\ngroup = home\ntitle = Front: door\n"
	"[camera \"garden\"]\ndriver = foscam\nurl = http://user:pa%20ss@cam:88\n"
	"[store \"cloud\"]\ndriver = s3\nregion = eu-west-1\nbucket = b\nprofile = cameras\n"
	"[store \"disk\"]\ndriver = dir\npath = archive\n"
	"[elastic \"es\"]\nurl = http://127.0.0.1:9200\nindex = labels\n";
static const char keys[] = "[default]\naws_access_key_id = A\naws_secret_access_key = B\n"
			   "[cameras]\naws_access_key_id = AKID\naws_secret_access_key = SECRET\n";

static void *begin(void)
{
	char path[256];

	assert_int_equal(setup(NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/.aws", dir);
	assert_int_equal(make_dirs(path, 0700), 0);
	write_text(".aws/credentials", keys, 0600);
	write_text("front.secret", "hunter2\n", 0600);
	write_text("shutterfs.conf", text, 0600);
	return NULL;
}

static int try_config(void)
{
	CLEANUP(buf_done) struct buf err = BUF(65536), out = BUF(65536);
	struct config *c = NULL;
	int r = config_load(conf, &err, &c);

	if (r < 0) {
		if (r == -EINVAL)
			fail_msg("%s", err.data);
		assert_null(c);
		return r;
	}
	assert_int_equal(c->n_cameras, 2);
	assert_int_equal(c->n_stores, 2);
	assert_string_equal(c->camera[0].password.text, "hunter2");
	assert_string_equal(c->store[0].secret_key.text, "SECRET");
	r = config_print(c, &out);
	if (r == 0)
		assert_null(strstr(out.data, "hunter2"));
	c = config_free(c);
	return r;
}

static int try_keys(void)
{
	CLEANUP(buf_done) struct buf out = BUF(65536);

	config_print_keys(&out);
	return out.error;
}

static void work(void *data)
{
	again(try_config());
	again(try_keys());
}

static void end(void *data)
{
	assert_int_equal(try_config(), 0);
	assert_int_equal(teardown(NULL), 0);
}

int main(void)
{
	static const struct scenario all[] = {{"config", begin, work, end}};

	return torture(all, ARRAY_LEN(all));
}
