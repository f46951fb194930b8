package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/parcel"
)

// writeWhole makes a file with mode 0600 that is there only when it is whole and on stable
// storage, and never takes the place of another.
func writeWhole(out string, write func(*os.File) error) (err error) {
	if _, err := os.Lstat(out); err == nil {
		return usage("%s exists already; nothing is overwritten", out)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return usage("%v", err)
	}
	f, err := os.CreateTemp(filepath.Dir(out), ".entente-parcel-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if left := os.Remove(f.Name()); !errors.Is(left, fs.ErrNotExist) { // it was renamed, then
			err = errors.Join(err, left)
		}
	}()
	if err := errors.Join(write(f), f.Sync()); err != nil {
		return err
	}
	if err := appear(os.Link, f.Name(), out); err != nil {
		return err
	}
	return syncFile(filepath.Dir(out))
}

// appear gives a whole file its name, and never takes the place of another: a rename alone
// would replace what has come there meanwhile. The file systems that media usually have
// (FAT, exFAT) have no links: there the name is taken first, by an empty file, and it is
// that which is replaced.
func appear(link func(from, to string) error, from, out string) error {
	err := link(from, out)
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrExist) {
		var mine *os.File
		if mine, err = os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			if err = errors.Join(mine.Close(), os.Rename(from, out)); err != nil {
				err = errors.Join(err, os.Remove(out))
			}
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return usage("%s exists already; nothing is overwritten", out)
	}
	return err
}

// openParcel opens a parcel in a file and verifies all of it. The caller closes the file.
func openParcel(file string, t parcel.Trust) (*parcel.Reader, *os.File, error) {
	f, err := openRegular(file)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	r, err := parcel.Open(f, info.Size(), t)
	switch {
	case errors.Is(err, parcel.ErrSigner):
		err = problem.New(problem.BadSignature, "%s: %w", file, err)
	case errors.Is(err, parcel.ErrParcel):
		err = usage("%s: %v", file, err)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return r, f, nil
}

// sizeOf is how large a file is now.
func sizeOf(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// gone is the error of an interrupted command: what interrupts is not what is to be told.
func gone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted; nothing is lost: run it again")
	}
	return err
}
