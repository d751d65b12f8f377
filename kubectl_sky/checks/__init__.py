"""What `check` tells about a context."""
