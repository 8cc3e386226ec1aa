//go:build tools

// Package tools pins versitygw, an S3 that nobody here wrote.
package tools

import _ "github.com/versity/versitygw/cmd/versitygw"
