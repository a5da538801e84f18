package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// askSecret asks for a password: on a terminal without echo, otherwise it is the first line of the
// input.
func askSecret(ctx context.Context, stdin io.Reader, asks io.Writer, question string) (string, error) {
	if !isTerminal(stdin) {
		line, err := bufio.NewReader(stdin).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	file := stdin.(*os.File)
	before, err := term.GetState(int(file.Fd()))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	// Reading does not end with ctx, and the terminal must not stay without echo.
	stop := context.AfterFunc(ctx, func() {
		term.Restore(int(file.Fd()), before)
		os.Exit(1)
	})
	defer stop()
	fmt.Fprint(asks, question)
	text, err := term.ReadPassword(int(file.Fd()))
	fmt.Fprintln(asks)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(text), nil
}

// isTerminal reports whether an input or output is a terminal.
func isTerminal(of any) bool {
	file, ok := of.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
