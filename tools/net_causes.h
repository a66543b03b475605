// Why a check of `pinionctl net POD` failed: the likely cause, and what to do,
// from what both namespaces look like.
//
// Pure functions.

#ifndef PINION_TOOLS_NET_CAUSES_H_
#define PINION_TOOLS_NET_CAUSES_H_

#include "tools/net_checks.h"

namespace pinion::tools {

// Fills in cause and remedy of every check that failed.
void ExplainFailures(NetPicture* picture);

}  // namespace pinion::tools

#endif  // PINION_TOOLS_NET_CAUSES_H_
