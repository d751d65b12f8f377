"""ssh into tasks: the machine's own ssh client, to a sshd that `kubectl exec` starts in the pod. No port is open."""
