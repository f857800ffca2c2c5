/* xml.h - what the readers of XML of this room share. */
#pragma once

#include "shutterfs/codec.h"

#include <expat.h>

/* Why the parser stopped by itself: -ENOMEM or -EBADMSG, and a sentence with the line. */
int xml_failed(XML_Parser parser, char why[WHY_MAX]) MUST_CHECK;
