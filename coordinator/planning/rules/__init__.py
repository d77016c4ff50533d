"""One subject a file; each rule reads the snapshot and proposes actions, or says what a task waits for."""
