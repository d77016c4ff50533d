"""What is done with many jobs or tasks as one: looked at, waited for, cancelled, cleaned up, started again."""
