// Which namespaces a sandbox or a container shares, and with whom.
//
// Pure functions.

#ifndef PINION_CRI_TRANSLATE_NAMESPACES_H_
#define PINION_CRI_TRANSLATE_NAMESPACES_H_

#include "absl/status/statusor.h"
#include "cri/api.h"
#include "cri/field.h"
#include "state.pb.h"

namespace pinion::cri {

// Legal modes: network and ipc POD or NODE; pid POD, CONTAINER or NODE, and
// for a container TARGET with target_id. userns_options absent is NODE.
absl::StatusOr<state::Namespaces> ToSandboxNamespaces(
    const Field& field, const api::NamespaceOption& in);
absl::StatusOr<state::Namespaces> ToContainerNamespaces(
    const Field& field, const api::NamespaceOption& in);
void FromNamespaces(const state::Namespaces& in, api::NamespaceOption* out);

}  // namespace pinion::cri

#endif  // PINION_CRI_TRANSLATE_NAMESPACES_H_
