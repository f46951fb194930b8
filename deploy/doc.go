// Package deploy holds no code: beside it lie the replicated set-up as systemd units
// and as compose file, and the scripts that start it on one machine. Its tests hold
// the files to the parsers of those who read them.
package deploy
