"""Buckets as sources of file_mounts: what a URI means, and with which credentials rclone reads it."""
