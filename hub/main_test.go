package hub_test

import (
	"os"
	"testing"

	"github.com/entente-hub/entente/hub/store/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
