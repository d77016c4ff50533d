"""The text of plan files, as operators write them: read into tasks, and changed so that a person sees a small diff."""
