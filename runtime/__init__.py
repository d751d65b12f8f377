"""The image of the `tools` and `ssh` containers, and the tools that build images without Docker."""
