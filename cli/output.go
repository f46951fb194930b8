package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"
)

// printJSON writes v for programs, and so that a terminal shows what it is.
func printJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(w, escapeJSON(b.String()))
	return err
}

// table writes rows in columns for people, each cell as plain has it, but for the
// blanks with which the program indents it.
func table(w io.Writer, header []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if len(header) > 0 {
		printf(t, "%s\n", cells(header))
	}
	for _, r := range rows {
		printf(t, "%s\n", cells(r))
	}
	return t.Flush()
}

// cells joins the cells of one row. One that begins with two blanks keeps these, and
// no more: so none looks like two.
func cells(row []string) verbatim {
	out := make([]string, len(row))
	for i, cell := range row {
		rest, indented := strings.CutPrefix(cell, indent)
		if out[i] = plain(rest); indented && out[i] != "" {
			out[i] = indent + out[i]
		}
	}
	return verbatim(strings.Join(out, "\t"))
}

// indent is how cells that belong to what stands above them begin.
const indent = "  "

// verbatim is text that printf leaves as it is: the program's own, or made of what
// plain has been through.
type verbatim string

// printf is fmt.Fprintf of what may come from others: each argument that is not a
// number, a truth value or verbatim goes through plain, so that only format decides
// where lines and columns are. The error may be passed over: the writers that
// commands have fail for good, and the last write tells.
func printf(w io.Writer, format string, args ...any) error {
	safe := make([]any, len(args))
	for i, arg := range args {
		switch v := arg.(type) {
		case bool, int, int32, int64, verbatim:
			safe[i] = v
		case json.RawMessage:
			safe[i] = jsonLine(v)
		case []byte:
			safe[i] = plain(string(v))
		default:
			safe[i] = plain(fmt.Sprint(v))
		}
	}
	_, err := fmt.Fprintf(w, format, safe...)
	return err
}

// plain makes of what others have written, the hub's own messages too, a text that
// stands in one line and looks like what it is: blanks, tabs and line breaks become
// one blank, and whatever is hidden is shown as \u and its number.
func plain(s string) string {
	var b strings.Builder
	for blank := false; len(s) > 0; {
		r, n := utf8.DecodeRuneInString(s)
		if r == '\n' || r == '\t' || unicode.Is(unicode.Zs, r) {
			blank = b.Len() > 0
			s = s[n:]
			continue
		}
		if blank {
			b.WriteByte(' ')
			blank = false
		}
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case hidden(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// quoted is what others have written, told from what the program says around it.
func quoted(s string) string {
	return `"` + strings.ReplaceAll(plain(s), `"`, `\"`) + `"`
}

// lines is plain of each line of a text that may have several, such as what a compiler
// says. Those after the first are indented, so that none looks like a line of its own.
func lines(s string) string {
	all := strings.Split(s, "\n")
	for i, line := range all {
		if all[i] = plain(line); i > 0 {
			all[i] = indent + all[i]
		}
	}
	return strings.Join(all, "\n")
}

// jsonLine writes JSON in one line that says the same and hides nothing.
func jsonLine(raw json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return plain(string(raw))
	}
	return escapeJSON(b.String())
}

// escapeJSON writes what is hidden in the strings of a JSON text as \u and its number
// (RFC 8259 section 7), which changes nothing in what it says. The line breaks between
// its tokens stay.
func escapeJSON(s string) string {
	var b strings.Builder
	for _, r := range s {
		if hidden(r) && r != '\n' {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// hidden reports the characters that move a cursor or change the order of what a
// reader sees: the controls C0, DEL and C1, the separators of lines and paragraphs,
// and those that direct the bidirectional algorithm (Unicode UAX #9 section 2).
func hidden(r rune) bool {
	return unicode.IsControl(r) || r == 0x2028 || r == 0x2029 || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 ||
		r == 0x200E || r == 0x200F || r == 0x061C
}
