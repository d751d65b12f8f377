"""Finding out which GPUs a node has, and labelling it."""
