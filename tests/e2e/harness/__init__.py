"""What the end-to-end tests are written with; see docs/testing.md."""
