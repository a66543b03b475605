// Mappings of ids: of user namespaces and of mounts.
//
// Thread-safe.

#ifndef PINION_CRI_TRANSLATE_IDS_H_
#define PINION_CRI_TRANSLATE_IDS_H_

#include "absl/status/status.h"
#include "cri/api.h"
#include "cri/field.h"
#include "state.pb.h"

namespace pinion::cri {

using ApiIdMappings = google::protobuf::RepeatedPtrField<api::IDMapping>;
using IdMappings = google::protobuf::RepeatedPtrField<state::IdMapping>;

// At most 340 (user_namespaces(7)), none empty, none beyond 32 bits, no two
// that overlap inside or outside. With `whole` id 0 inside must be among them:
// it is whom files and processes of the container's set-up belong to.
absl::Status ToIdMappings(const Field& field, const ApiIdMappings& in,
                          bool whole, IdMappings* out);
void FromIdMappings(const IdMappings& in, ApiIdMappings* out);

}  // namespace pinion::cri

#endif  // PINION_CRI_TRANSLATE_IDS_H_
