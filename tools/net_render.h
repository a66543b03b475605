// `pinionctl net POD` for people and for programs.
//
// Pure functions.

#ifndef PINION_TOOLS_NET_RENDER_H_
#define PINION_TOOLS_NET_RENDER_H_

#include <string>

#include "tools/net_checks.h"
#include "tools/terminal.h"

namespace pinion::tools {

std::string RenderNetwork(const NetPicture& picture, const Terminal& terminal);
std::string NetworkJson(const NetPicture& picture);

// 0: the pod is ready and every check went well; 1: not.
int NetworkExitCode(const NetPicture& picture);

}  // namespace pinion::tools

#endif  // PINION_TOOLS_NET_RENDER_H_
