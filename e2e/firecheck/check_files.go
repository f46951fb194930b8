package firecheck

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// checkReads: what a reader was shown had been released to its member, and had not ended
// when it asked.
func (c *checker) checkReads() {
	owner := make(map[string]portionKey)
	for k, markers := range c.marker {
		for _, marker := range markers {
			owner[marker] = k
		}
	}
	for _, l := range c.journal.lines {
		if l.Kind != "read" {
			continue
		}
		c.rep.count("items read", 1)
		n := name{l.Originator, l.Alert, l.Version}
		for _, marker := range l.Markers {
			k, known := owner[marker]
			switch {
			case known && k.name != n:
				c.rep.find(content, "line %d: %s was shown in %v what stands in %v", l.N, l.Member, n, k.name)
			case known && l.Member != n.iss:
				c.checkRead(l, k)
			}
		}
	}
}

// checkRead judges one marker that a reader was shown.
func (c *checker) checkRead(l line, k portionKey) {
	c.rep.count("markers read, and judged", 1)
	permitted := slices.ContainsFunc(c.log.handed[handKey{l.Member, k.name}], func(e *entry) bool {
		return slices.ContainsFunc(e.Releases, func(r release) bool { return r.Portion == k.portion && r.Kind == kindContent })
	})
	if !permitted {
		c.rep.find(content, "line %d: %s was shown portion %s of %v, which was never released to it", l.N, l.Member, k.portion, k.name)
		return
	}
	end, ok := c.ended[endKey{l.Member, k}]
	behind, _ := c.journal.wrong("node-"+l.Member, l.Asked, l.T)
	switch {
	case !ok:
	case l.Asked > end.delivery+1000, l.Asked > end.time+1000 && behind == 0:
		c.rep.find(content, "line %d: %s was shown portion %s of %v after it had ended", l.N, l.Member, k.portion, k.name)
	case l.Asked > end.time+1000:
		c.rep.count("excused, reads of what had ended, but not by the node's clock, which was behind", 1)
	}
}

// checkFiles searches the raw files for markers: databases, whatever lies beside them, and
// what the processes wrote. A database may have what its owner holds by right, and
// nothing else, in whatever form; logs may have none.
func (c *checker) checkFiles(ctx context.Context) error {
	for _, m := range c.run.Members {
		if err := c.searchFolder(ctx, "node "+m, filepath.Dir(c.run.path(c.run.NodeDB[m]))); err != nil {
			return err
		}
	}
	hub := slices.Clone(c.run.PGData)
	if c.run.HubDB != "" {
		hub = append(hub, filepath.Dir(c.run.path(c.run.HubDB)))
	}
	for _, dir := range hub {
		if err := c.searchFolder(ctx, "hub", c.run.path(dir)); err != nil {
			return err
		}
	}
	for _, dir := range []string{"log", "notes"} {
		if err := c.searchFolder(ctx, dir, c.run.path(dir)); err != nil {
			return err
		}
	}
	c.rep.count("bytes searched", c.scanner.searched)
	return nil
}

// searchFolder searches all files below a folder.
func (c *checker) searchFolder(ctx context.Context, where, dir string) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) && path != dir {
			return nil // PostgreSQL is running
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		found, err := c.scanner.file(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		c.rep.count("files searched", 1)
		for _, marker := range slices.Sorted(maps.Keys(found)) {
			if !c.allowed[where][marker] {
				c.rep.find(content, "%s: the marker %s stands at byte %d, and may not be there", path, marker, found[marker])
			}
		}
		return nil
	})
	if errors.Is(err, os.ErrNotExist) && where == "notes" {
		return nil // none were taken
	}
	return err
}
