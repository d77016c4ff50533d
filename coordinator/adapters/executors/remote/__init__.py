"""Workers on other hosts: one far end a host, its run files mirrored here."""
