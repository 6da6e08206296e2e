package mariadb_test

import (
	"testing"

	"github.com/bearhug/bearhug/tests/mariadb"
)

// TestClaimPort: a port that is claimed is given to nobody else, though nobody
// listens there.
func TestClaimPort(t *testing.T) {
	had := map[int]bool{}
	for range 800 {
		port, held, err := mariadb.ClaimPort()
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		if had[port] {
			t.Fatalf("port %d was given twice", port)
		}
		had[port] = true
	}
}
