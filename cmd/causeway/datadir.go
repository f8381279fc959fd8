package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// defaultDataDir is the folder of `up` under the user's data home; "" if the
// user has none.
func defaultDataDir() string {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "causeway")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	switch runtime.GOOS {
	case "windows":
		if dir := os.Getenv("LOCALAPPDATA"); dir != "" {
			return filepath.Join(dir, "Causeway")
		}
		return filepath.Join(home, "AppData", "Local", "Causeway")
	case "darwin":
		return filepath.Join(home, "Library", "Application Support", "Causeway")
	}
	return filepath.Join(home, ".local", "share", "causeway")
}

// A dataDir is a folder that one process at a time uses.
type dataDir struct {
	path string
	lock *os.File
}

// openDataDir makes the folder if need be and locks it. The lock ends with
// the process, however that ends.
func openDataDir(path string) (*dataDir, error) {
	if path == "" {
		return nil, errors.New("there is no home folder to keep data in; name a folder with --data DIR")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the data folder: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, cannotWrite(path, err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, cannotWrite(path, err)
	}
	if err := lockFile(lock); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("the data folder %s is in use by another causeway; stop that one, or use another folder with --data DIR", path)
	}
	return &dataDir{path, lock}, nil
}

func cannotWrite(path string, err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("cannot write to the data folder %s (%w); use another folder with --data DIR, or change who may write to it", path, err)
}

// file is the path of a file in the folder.
func (d *dataDir) file(name string) string { return filepath.Join(d.path, name) }

// close unlocks the folder.
func (d *dataDir) close() { _ = d.lock.Close() }

// readSecret reads a file that holds one line, "" if it is not there.
func readSecret(path string) (string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return strings.TrimSpace(string(data)), nil
}

// writeSecret replaces a file that only its owner may read.
func writeSecret(path, secret string) error {
	temp := path + ".new"
	if err := os.WriteFile(temp, []byte(secret+"\n"), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
