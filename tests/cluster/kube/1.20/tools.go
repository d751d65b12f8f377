//go:build tools

package main

// generates what is not in the module (binaries.py)
import _ "k8s.io/kube-openapi/cmd/openapi-gen"
