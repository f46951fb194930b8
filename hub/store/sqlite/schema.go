package sqlite

import (
	"io/fs"

	"github.com/entente-hub/entente/sqlitefile"
)

// Schema returns the version of the schema that Open brings a database to.
func Schema() (int64, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return 0, err
	}
	return sqlitefile.Newest(dir)
}
