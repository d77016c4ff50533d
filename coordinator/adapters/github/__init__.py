"""GitHub over REST. PyGithub lives and dies here."""
