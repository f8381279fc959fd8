package storetest

import "syscall"

// processAttributes has nothing to change: Windows has no root.
func processAttributes(*account) *syscall.SysProcAttr { return nil }
