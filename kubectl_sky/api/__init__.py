"""The way to the API server: kubeconfig, credentials, transport, watches, and what it says when it says no."""
