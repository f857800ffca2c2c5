/* The table of store drivers: a new one is a row here. */
#include "drivers.h"

const struct store_driver *const store_drivers[] = {
	&store_dir, &store_s3, &store_null, &store_fault, NULL,
};
