"""What features of a task add to its manifests; each is a pure function that makes a Part."""
