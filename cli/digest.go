package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// digestsLast keeps digests from being read as flags: a digest is base64url (RFC 4648,
// section 5), so one in 64 begins with "-". Whole digests that do, and are no value of the
// flag before them, go behind "--", in their order; no flag's name is that long.
func digestsLast(root *cobra.Command, args []string) []string {
	cmd, _, err := root.Find(args)
	if err != nil {
		cmd = root
	}
	end := slices.Index(args, "--")
	if end < 0 {
		end = len(args)
	}
	var flags, digests []string
	for i, arg := range args[:end] {
		if strings.HasPrefix(arg, "-") && isDigest(arg) && (i == 0 || !wantsValue(cmd, args[i-1])) {
			digests = append(digests, arg)
		} else {
			flags = append(flags, arg)
		}
	}
	if len(digests) == 0 {
		return args
	}
	out := append(append(flags, "--"), digests...)
	if end < len(args) {
		out = append(out, args[end+1:]...)
	}
	return out
}

// wantsValue reports whether an argument is a flag of cmd whose value is the next one.
func wantsValue(cmd *cobra.Command, arg string) bool {
	name, long := strings.CutPrefix(arg, "--")
	if !long {
		return false
	}
	f := cmd.Flag(name)
	return f != nil && f.NoOptDefVal == ""
}
