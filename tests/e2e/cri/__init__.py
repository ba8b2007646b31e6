"""What CRI promises, as a table of cases that run with runc and with this project's runtime."""
