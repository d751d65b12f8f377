"""What clusters have and what is left of it: nodes, their devices, pods, prices; and what fits where."""
