package storetest

import "errors"

// startServer has no way here to stop a server when the test process is killed.
func startServer() (string, error) {
	return "", errors.New("on Windows no server is started for tests")
}
