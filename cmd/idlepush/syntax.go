package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func variable(name string) string {
	return "IDLEPUSH_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// unknownVariables returns the variables of the environment that have the prefix IDLEPUSH_ but are
// no setting, which are probably misspelt.
func unknownVariables(environ []string) (names []string) {
	known := make(map[string]bool)
	for _, t := range table() {
		known[variable(t.name)] = true
		known[variable(t.name)+"_FILE"] = t.secret
	}
	for _, v := range environ {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, variable("")) && !known[name] {
			names = append(names, name)
		}
	}
	return names
}

// parse reads flags, then the environment, then defaults, and checks every value. An error names
// the setting and the values that it allows, and never has a secret. parse returns flag.ErrHelp
// after it has printed the help.
func parse(command string, args []string, getenv func(string) string, out io.Writer) (settings, error) {
	s, _, err := syntax{command: command, settings: table()}.parse(args, getenv, out)
	return s, err
}

// syntax is what a command takes.
type syntax struct {
	command  string
	settings []setting
	operand  string              // for the help: the arguments that are no settings
	flags    func(*flag.FlagSet) // declares flags that are no settings; nil: there are none
}

// some returns the settings of these names.
func some(names ...string) (list []setting) {
	for _, t := range table() {
		if slices.Contains(names, t.name) {
			list = append(list, t)
		}
	}
	return list
}

// parse is the function parse for a command. It also returns the arguments that are no settings.
func (x syntax) parse(args []string, getenv func(string) string, out io.Writer) (settings, []string, error) {
	s, operands, problems, err := x.parseAll(args, getenv, out)
	if err == nil && len(problems) > 0 {
		return settings{}, nil, problems[0]
	}
	return s, operands, err
}

// oneName is what commands about a person want.
const oneName = "one name, in quotes if it has a space"

// parseOne is parse for a command that takes one operand. want says which. Its error is a
// usageError.
func (x syntax) parseOne(want string, args []string, getenv func(string) string, out io.Writer) (s settings, operand string, err error) {
	s, operands, err := x.parse(args, getenv, out)
	if err == nil && len(operands) != 1 {
		err = fmt.Errorf("want %s: `%s %s`", want, x.command, x.operand)
	}
	if err != nil {
		return s, "", usageError{err}
	}
	return s, operands[0], nil
}

// parseAll is parse, but a wrong setting is no error: it returns the problems of all of them, and
// the settings without these.
func (x syntax) parseAll(args []string, getenv func(string) string, out io.Writer) (s settings, operands []string, problems []error, err error) {
	given, operands, err := x.parseFlags(args, out)
	if err != nil {
		return s, nil, nil, err
	}
	for _, t := range x.settings {
		value, _, err := t.find(given, getenv)
		if err == nil && value != "" {
			err = t.set(&s, value)
		}
		if value != t.value || err != nil {
			s.set = append(s.set, t.name)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("setting %s (--%s or %s): %w", t.name, t.name, variable(t.name), err))
		}
	}
	if len(problems) == 0 {
		if err := s.check(); err != nil {
			problems = append(problems, err)
		}
	}
	return s, operands, problems, nil
}

// parseFlags returns the values of the flags. Those of absent flags are empty.
func (x syntax) parseFlags(args []string, out io.Writer) (given map[string]*string, operands []string, err error) {
	flags := flag.NewFlagSet(x.command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	given = make(map[string]*string)
	for _, t := range x.settings {
		given[t.name] = flags.String(t.name, "", t.meaning+defaultOf(t))
		if t.secret {
			given[t.name+"-file"] = flags.String(t.name+"-file", "", "`file` that holds "+t.name)
		}
	}
	if x.flags != nil {
		x.flags(flags)
	}
	for err = flags.Parse(args); err == nil && x.operand != "" && flags.NArg() > 0; {
		operands = append(operands, flags.Arg(0))
		err = flags.Parse(flags.Args()[1:])
	}
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(out)
		if x.operand != "" {
			fmt.Fprintf(out, "Usage: %s [settings] %s\n\n", x.command, x.operand)
		}
		fmt.Fprintf(out, "The settings of %s; each can also be given as %s, a secret as %s:\n\n", x.command, variable("<name>"), variable("<name>-file"))
		flags.PrintDefaults()
		return nil, nil, err
	} else if err != nil {
		return nil, nil, fmt.Errorf("%w: `%s -help` lists the settings", err, x.command)
	}
	if flags.NArg() > 0 {
		// The argument may be a secret after a misplaced space.
		return nil, nil, fmt.Errorf("argument %d is not a setting: write --name=value", len(args)-flags.NArg()+1)
	}
	return given, operands, nil
}

func defaultOf(t setting) string {
	if t.value == "" {
		return ""
	}
	return " (default " + t.value + ")"
}

// find returns the setting's value and its source: the flag, the variable or the default. A secret
// may come from a file.
func (t setting) find(given map[string]*string, getenv func(string) string) (value, from string, err error) {
	for _, source := range []struct{ value, file, name, fileName string }{
		{*given[t.name], fileFlag(given[t.name+"-file"]), "--" + t.name, "--" + t.name + "-file"},
		{getenv(variable(t.name)), getenv(variable(t.name) + "_FILE"), variable(t.name), variable(t.name) + "_FILE"},
	} {
		switch {
		case !t.secret || source.file == "":
		case source.value != "":
			return "", "", errors.New("is set directly and as a file: remove one of the two")
		default:
			content, err := os.ReadFile(source.file)
			if err != nil {
				return "", "", fmt.Errorf("read its file: %w", err)
			}
			if source.value = strings.TrimSpace(string(content)); source.value == "" {
				return "", "", fmt.Errorf("its file %s is empty", source.file)
			}
			source.name = source.fileName
		}
		if source.value != "" {
			return source.value, source.name, nil
		}
	}
	return t.value, "the default", nil
}

func fileFlag(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}
