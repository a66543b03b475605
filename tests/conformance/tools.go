//go:build tools

// Package tools pins what the conformance bed builds from cri-tools: crictl,
// and critest, which is a test binary (`go test -c`), so the packages its
// tests import are named here to keep their checksums in go.sum.
package tools

import (
	_ "sigs.k8s.io/cri-tools/pkg/benchmark"
	_ "sigs.k8s.io/cri-tools/pkg/common"
	_ "sigs.k8s.io/cri-tools/pkg/framework"
	_ "sigs.k8s.io/cri-tools/pkg/validate"
)
