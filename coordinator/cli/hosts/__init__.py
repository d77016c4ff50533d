"""Other hosts: which there are, how they are, and one command on one of them."""
