// Command run checks what a run under fire has left in a folder: see package firecheck.
//
//	go run ./e2e/firecheck/run FOLDER
//
// It prints the counts and, up to 50, what is wrong. It ends with 0 if nothing is, with 1
// if something is, and with 2 if the folder could not be checked.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/entente-hub/entente/e2e/firecheck"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./e2e/firecheck/run FOLDER")
		os.Exit(2)
	}
	report, err := firecheck.Check(context.Background(), os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Print(report)
	for _, f := range report.Findings {
		fmt.Println(f)
	}
	if len(report.Findings) > 0 {
		os.Exit(1)
	}
}
