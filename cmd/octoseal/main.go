// Command octoseal keeps a GitHub repository's secrets in step across its scopes.
package main

import (
	"os"

	"github.com/octoseal/octoseal/internal/cli"
)

func main() { os.Exit(cli.Main()) }
