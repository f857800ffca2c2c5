/* drivers.c - the table of camera drivers: the words that `driver =` may say in a [camera] section. */
#include "driver.h"

const struct source_driver *const source_drivers[] = {
	&source_http, &source_foscam, &source_null, &source_fault, NULL,
};
