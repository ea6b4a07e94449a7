// Command stargz is the stargz snapshotter and its image converter, built from their own packages
// for benchmarks: `serve ROOT SOCKET HOST` and `convert LAYOUT NEW [PATHS]`.
package main

import (
	"context"
	"fmt"
	"os"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "stargz:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	switch {
	case len(arguments) == 4 && arguments[0] == "serve":
		return serve(ctx, arguments[1], arguments[2], arguments[3])
	case len(arguments) == 3 && arguments[0] == "convert":
		return convert(ctx, arguments[1], arguments[2], "")
	case len(arguments) == 4 && arguments[0] == "convert":
		return convert(ctx, arguments[1], arguments[2], arguments[3])
	}
	return fmt.Errorf("serve ROOT SOCKET HOST, or convert LAYOUT NEW [PATHS]")
}
